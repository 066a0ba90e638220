"""Where a token is and where its PIN is read: all that another process is told."""

from dataclasses import dataclass
from pathlib import Path

from keys.custody.errors import KeyStoreMisconfigured
from keys.custody.private_file import read_private

_PIN_OCTETS = 255


@dataclass(frozen=True, slots=True)
class Location:
    """``module``: the PKCS #11 library; ``label``: the token's CKA_LABEL; ``pin_file``: a file of mode 0600 that holds the PIN."""

    module: Path
    label: str
    pin_file: Path

    def read_pin(self) -> str:
        """The PIN, read anew each time and kept nowhere; one line end after it is no part of it."""
        octets = read_private(self.pin_file, _PIN_OCTETS + 2)
        try:
            pin = octets.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            pin = ""
        if not 0 < len(pin) <= _PIN_OCTETS:
            raise KeyStoreMisconfigured(f"{self.pin_file}: a PIN has 1 to {_PIN_OCTETS} characters, UTF-8")
        return pin
