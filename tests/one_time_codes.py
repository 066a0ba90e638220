"""One-time codes as the owner of an authenticator types them: each is of a later step than the one before, so none is refused as used."""

import time

import pyotp

STEP = 30


class OneTimeCodes:
    """The codes of one authenticator, from its ``otpauth://`` address or its secret."""

    def __init__(self, secret: str) -> None:
        found = pyotp.parse_uri(secret) if secret.startswith("otpauth:") else pyotp.TOTP(secret)
        assert isinstance(found, pyotp.TOTP)
        self._totp, self._step = found, 0

    def next(self) -> str:
        """A step early is accepted, so two codes are to be had within half a minute; for a third it waits."""
        self._step = max(self._step + 1, int(time.time()) // STEP)
        while self._step > int(time.time()) // STEP + 1:
            time.sleep(0.2)
        return self._totp.generate_otp(self._step)
