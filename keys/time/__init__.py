"""Trusted time: an RFC 3161 authority and its client, a clock that is watched, time stamps that wait their turn."""
