"""A PKCS #11 module, loaded once a process, and who may call it when.

PKCS #11 v2.40 §5.4: an application whose threads call the module at the same time must say so to ``C_Initialize`` (python-pkcs11
does not, hence :class:`Module`); a token that went away is, for many modules, only seen again after ``C_Finalize`` and
``C_Initialize``; and no other call may be under way during these two. So calls share a gate that a restart has to itself.
"""

import ctypes
import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11
from pkcs11 import _pkcs11

from keys.custody.errors import KeyStoreMisconfigured, KeyStoreUnavailable

_OS_LOCKING_OK = 2
_CKR_OK, _CKR_NOT_INITIALIZED, _CKR_ALREADY_INITIALIZED = 0x0, 0x190, 0x191


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS: four mutex callbacks (none: the module uses the system's locks), flags, a reserved pointer."""

    _fields_ = (("callbacks", ctypes.c_void_p * 4), ("flags", ctypes.c_ulong), ("reserved", ctypes.c_void_p))


class Module(_pkcs11.lib):
    """The module's functions for all threads of this process. ``generation`` counts its restarts: older sessions are void."""

    generation: int

    def initialize(self) -> None:
        """What python-pkcs11 calls while loading; what another library or our parent process initialised is started anew."""
        self._functions = ctypes.CDLL(self.so)
        self._gate = threading.Condition()
        self._inside = 0
        self._closed = False
        self.generation = 0
        result = self._initialize()
        if result == _CKR_ALREADY_INITIALIZED:
            self._functions.C_Finalize(None)
            result = self._initialize()
        if result != _CKR_OK:
            raise KeyStoreUnavailable(f"{self.so}: C_Initialize answered {result:#x}")

    def _initialize(self) -> int:
        arguments = _InitializeArguments(flags=_OS_LOCKING_OK)
        return int(self._functions.C_Initialize(ctypes.byref(arguments)))

    @contextmanager
    def calling(self, seconds: float) -> Iterator[int]:
        """A call under way, in the generation it is told; waits for a restart to be over, at most ``seconds``."""
        with self._gate:
            if not self._gate.wait_for(lambda: not self._closed, seconds):
                raise KeyStoreUnavailable("the PKCS #11 module is being restarted")
            self._inside += 1
            generation = self.generation
        try:
            yield generation
        finally:
            with self._gate:
                self._inside -= 1
                self._gate.notify_all()

    def restart(self, seen: int, seconds: float) -> None:
        """``C_Finalize`` and ``C_Initialize``, unless somebody did since generation ``seen``.

        The caller is outside :meth:`calling`. Raises ``KeyStoreUnavailable`` if other calls do not end within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        with self._gate:
            if not self._gate.wait_for(lambda: not self._closed, seconds) or self.generation != seen:
                return
            self._closed = True
        try:
            with self._gate:
                if not self._gate.wait_for(lambda: not self._inside, deadline - time.monotonic()):
                    raise KeyStoreUnavailable("calls to the PKCS #11 module do not end")
            self._restart()
            self.generation += 1
        finally:
            with self._gate:
                self._closed = False
                self._gate.notify_all()

    def _restart(self) -> None:
        ended = self._functions.C_Finalize(None)
        if ended not in (_CKR_OK, _CKR_NOT_INITIALIZED):
            raise KeyStoreUnavailable(f"{self.so}: C_Finalize answered {ended:#x}")
        if (begun := self._initialize()) != _CKR_OK:
            raise KeyStoreUnavailable(f"{self.so}: C_Initialize answered {begun:#x}")

    def token(self, label: str) -> pkcs11.Token:
        """The one token of this label. ``KeyStoreUnavailable`` if it is not there, ``KeyStoreMisconfigured`` if two are."""
        present = [_token_of(slot) for slot in self.get_slots(token_present=True)]
        found = [token for token in present if token is not None and token.label == label]
        if len(found) > 1:
            raise KeyStoreMisconfigured(f"{len(found)} tokens are labelled {label!r}: give ours a label of its own")
        if not found:
            others = ", ".join(repr(token.label) for token in present if token is not None and token.label) or "none"
            raise KeyStoreUnavailable(f"no token labelled {label!r} in {self.so}; there are: {others}")
        return found[0]


def _token_of(slot: pkcs11.Slot) -> pkcs11.Token | None:
    """The slot's token; none if it is not there or does not answer."""
    try:
        return slot.get_token()
    except pkcs11.PKCS11Error:
        return None


@functools.cache
def loaded(path: Path) -> Module:
    """The module at ``path``, loaded and initialised once. ``KeyStoreMisconfigured`` when there is none."""
    if not path.is_file():
        raise KeyStoreMisconfigured(f"FUJIE_PKCS11_MODULE: there is no file {path}")
    try:
        return Module(str(path))
    except (pkcs11.PKCS11Error, OSError, AttributeError) as error:
        raise KeyStoreMisconfigured(f"FUJIE_PKCS11_MODULE: {path} is no PKCS #11 module: {error}") from error


# A child of fork inherits a module that is not initialised for it (§5.4) and locks of threads that it does not have.
os.register_at_fork(after_in_child=loaded.cache_clear)
