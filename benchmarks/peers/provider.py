"""npm ``oidc-provider`` in a process of its own, with a Valkey of its own."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey

from api.embedded import EmbeddedValkey
from benchmarks.cpu import descendants, process_seconds
from benchmarks.instance import free_port
from benchmarks.peers.installing import NODE, NotInstalled, node_folder

SECRET = "a-benchmark-keeps-no-secret-at-all"
CALLBACK = "http://127.0.0.1:9999/callback"


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """A provider that answers at ``base_url``."""

    base_url: str
    pid: int
    valkey_pid: int

    def cpu(self) -> dict[str, float]:
        return {"web": process_seconds(self.pid), "Valkey": process_seconds(self.valkey_pid)}


def _clients() -> list[dict[str, object]]:
    usual = {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic", "id_token_signed_response_alg": "ES256"}
    person = usual | {"redirect_uris": [CALLBACK], "response_types": ["code"]}
    return [
        person | {"client_id": "portal", "grant_types": ["authorization_code"]},
        person | {"client_id": "refresher", "grant_types": ["authorization_code", "refresh_token"]},
        usual | {"client_id": "machine", "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": []},
    ]


@contextlib.contextmanager
def running(folder: Path, account: dict[str, str]) -> Iterator[RunningPeer]:
    """Raises NotInstalled."""
    scripts, port = node_folder(), free_port()
    with EmbeddedValkey(folder / "valkey") as address:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "benchmark"}).as_dict(private=True)
        valkey = address.removeprefix("unix://")
        given = {"port": port, "valkey": valkey, "clients": _clients(), "account": account, "key": key}
        with (folder / "oidc-provider.log").open("wb") as log:
            process = subprocess.Popen(
                [str(NODE), "oidc_provider.mjs", json.dumps(given)],
                cwd=scripts,
                env={"NODE_ENV": "production"},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            if process.stdout is None or process.stdout.readline().strip() != b"ready":
                raise NotInstalled(f"oidc-provider did not start: {(folder / 'oidc-provider.log').read_text()[-200:]}")
            yield RunningPeer(f"http://127.0.0.1:{port}", process.pid, _valkey_pid(valkey))
        finally:
            process.terminate()
            process.wait(20)


def _valkey_pid(socket: str) -> int:
    """The child of ours that listens there."""
    children = [pid for pid in descendants(os.getpid()) if socket.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if not children:
        raise NotInstalled("the peer's Valkey is not a child of this process")
    return children[0]
