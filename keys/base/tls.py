"""The certificates that connections to other services are checked against."""

import ssl
from functools import cache

import httpx2


@cache
def web_trust() -> ssl.SSLContext:
    """The web's own roots, read once a process: reading them costs as much as a hundred requests. Nobody changes what this answers."""
    return httpx2.create_ssl_context(trust_env=False)
