"""One token of a PKCS #11 module as this process uses it: sessions, time limits, its going away and its return.

1. Calls run in a few threads of their own (lanes), each with one session: whoever asks waits a bounded time, never for a
   device that hangs. The first failure marks the token as away; from then on every call is refused at once.
2. An error of a call is looked into: the token answers → the handle is looked up again and the call is repeated once;
   it does not → the module is restarted, the session opened and the key found again, and the call is repeated once.
3. A watching thread asks after the token twice a second. When it is away, whoever keeps unwrapped keys is told to drop them,
   and the watcher goes on trying until it is back.
4. The PIN is given once for each return of the token. If the token refuses it, it is never given again by this process
   (tokens lock after a few), and never when only one attempt is left.
"""

import atexit
import contextlib
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pkcs11

from keys.base.errors import FujieError
from keys.custody import pkcs11_module
from keys.custody.errors import KeyStoreLoginRefused, KeyStoreMisconfigured, KeyStoreRefused, KeyStoreUnavailable
from keys.custody.pkcs11_location import Location

T = TypeVar("T")

CALL_SECONDS = 1.0
MAKE_SECONDS = 120.0
WATCH_SECONDS = 0.5
FRESH_SECONDS = 1.0
LANES = 4
_HANDLES = 2048

PIN_REFUSED = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)
FINAL = (
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.FunctionNotSupported,
    pkcs11.SessionReadOnly,
    pkcs11.TokenWriteProtected,
    pkcs11.TemplateIncomplete,
    pkcs11.TemplateInconsistent,
    pkcs11.AttributeTypeInvalid,
    pkcs11.AttributeValueInvalid,
    pkcs11.KeySizeRange,
    pkcs11.KeyTypeInconsistent,
    pkcs11.DomainParamsInvalid,
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
)
"""Answers of a token that is there: the same question gets the same answer."""


class KeyGone(Exception):
    """A job found no such key on the token; which error that is, is decided outside."""


@dataclass(slots=True)
class Lane:
    """What a job may use: the session of its thread, and the handles found in it."""

    token: pkcs11.Token
    session: pkcs11.Session
    generation: int
    handles: dict[Any, Any] = field(default_factory=dict)

    def remember(self, key: object, handle: object) -> None:
        if len(self.handles) >= _HANDLES:
            self.handles.clear()
        self.handles[key] = handle


_DEVICES: "weakref.WeakSet[Device]" = weakref.WeakSet()
Job = Callable[[Lane], T]


class _Call(Generic[T]):
    """A job on its way through a lane."""

    __slots__ = ("abandoned", "done", "error", "job", "result", "started")

    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.done = threading.Lock()
        self.done.acquire()
        self.abandoned = self.started = False
        self.error: BaseException | None = None
        self.result: T | None = None


class Device:
    """The token of ``location``. Nothing is opened before the first call; ``on_lost`` is told each time it goes away."""

    def __init__(self, location: Location, on_lost: Callable[[], None]) -> None:
        self.location = location
        self._on_lost = on_lost
        self._begin()
        _DEVICES.add(self)

    def _begin(self) -> None:
        """Nothing opened yet: at first, and in a child of fork, which has none of our threads."""
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._login = threading.Lock()
        self._logged_in = -1  # the generation of the module in which the PIN was accepted
        self._refusal = ""
        self._lanes = self._busy = 0
        self._away: str | None = None
        self._heard = 0.0
        self._ended = threading.Event()
        self._watching = False

    # What the store uses

    def call(self, job: Job[T], seconds: float = CALL_SECONDS) -> T:
        """The job's result. Raises ``KeyStoreUnavailable`` within ``seconds``, at once while the token is known to be away."""
        self._refuse_if_away()
        call = _Call(job)
        self._submit(call)
        if not call.done.acquire(timeout=seconds):
            call.abandoned = True
            if call.started or time.monotonic() - self._heard > seconds:
                self._lost(f"no answer within {seconds:g} s")
            raise KeyStoreUnavailable(f"the token {self.location.label!r} does not answer in time")
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]

    def require(self) -> None:
        """Raises ``KeyStoreUnavailable`` unless the token answered within the last second or answers now."""
        self._refuse_if_away()
        if time.monotonic() - self._heard > FRESH_SECONDS:
            self.call(_ask)

    def close(self) -> None:
        """End the threads, waiting a moment for calls under way."""
        self._ended.set()
        for _ in range(self._lanes):
            self._calls.put(None)
        deadline = time.monotonic() + CALL_SECONDS
        while self._lanes and time.monotonic() < deadline:
            time.sleep(0.005)

    def _refuse_if_away(self) -> None:
        if self._refusal:
            raise KeyStoreLoginRefused(self._refusal)
        if self._away is not None:
            raise KeyStoreUnavailable(self._away)

    # Lanes

    def _submit(self, call: _Call[Any]) -> None:
        with self._lock:
            self._busy += 1
            more = self._busy > self._lanes and self._lanes < LANES
            self._lanes += more
            watch, self._watching = not self._watching, True
        if watch:
            threading.Thread(target=_watch, args=(self,), name="fujie-pkcs11-watch", daemon=True).start()
            atexit.register(self.close)  # before the module is unloaded
        if more:
            threading.Thread(target=self._lane, name="fujie-pkcs11", daemon=True).start()
        self._calls.put(call)

    def _lane(self) -> None:
        state: list[Lane] = []
        while (call := self._calls.get()) is not None:
            if not call.abandoned:
                call.started = True
                try:
                    call.result = self._run(call.job, state)
                except BaseException as error:  # handed to whoever waits
                    call.error = error
            with self._lock:
                self._busy -= 1
            call.done.release()
            del call
        with self._lock:
            self._lanes -= 1

    def _run(self, job: Job[T], state: list[Lane]) -> T:
        """The job, and once more where the token came back or the handle was stale (numbers 2 and 4 of this module)."""
        try:
            return self._attempt(job, state)
        except (pkcs11.PKCS11Error, KeyGone, KeyStoreUnavailable) as error:
            if isinstance(error, FINAL):
                raise KeyStoreRefused(f"the token refuses: {type(error).__name__}") from error
        if not self._answers(state):
            self._come_back(state)
        try:
            return self._attempt(job, state)
        except pkcs11.PKCS11Error as error:
            if self._answers(state):
                raise KeyStoreRefused(f"the token refuses: {type(error).__name__}") from error
            self._lost(f"the token {self.location.label!r} is away: {type(error).__name__}")
            raise KeyStoreUnavailable(self._away or "") from error

    def _attempt(self, job: Job[T], state: list[Lane]) -> T:
        module = pkcs11_module.loaded(self.location.module)
        with module.calling(CALL_SECONDS) as generation:
            if not state or state[0].generation != generation:
                state[:] = [self._open(module, generation)]
            result = job(state[0])
        self._heard = time.monotonic()
        return result

    def _answers(self, state: list[Lane]) -> bool:
        """Whether token and session are still what they were; the handles are looked up anew in any case."""
        if not state:
            return False
        state[0].handles.clear()
        try:
            self._attempt(_ask, state)
        except (pkcs11.PKCS11Error, KeyStoreUnavailable):
            return False
        return True

    def _come_back(self, state: list[Lane]) -> None:
        """Restart the module and find the token again, or mark it as away and raise ``KeyStoreUnavailable``."""
        module = pkcs11_module.loaded(self.location.module)
        try:
            module.restart(state[0].generation if state else module.generation, CALL_SECONDS)
            state.clear()
            self._attempt(_ask, state)
        except (pkcs11.PKCS11Error, FujieError) as error:
            self._lost(f"the token {self.location.label!r} is away: {getattr(error, 'detail', '') or type(error).__name__}")
            if isinstance(error, FujieError) and not isinstance(error, KeyStoreUnavailable):
                raise
            raise KeyStoreUnavailable(self._away or "") from error

    # Sessions

    def _open(self, module: pkcs11_module.Module, generation: int) -> Lane:
        """A read-only session; the first of a generation logs in for all (PKCS #11 v2.40 §5.6: the login is the application's)."""
        with self._login:
            token = module.token(self.location.label)
            if self._logged_in == generation:
                return Lane(token, token.open(), generation)
            session = self._log_in(token)
            self._logged_in = generation
            return Lane(token, session, generation)

    def _log_in(self, token: pkcs11.Token) -> pkcs11.Session:
        if self._refusal:
            raise KeyStoreLoginRefused(self._refusal)
        if not token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
            raise KeyStoreMisconfigured(f"the token {self.location.label!r} is not initialised")
        if token.flags & (pkcs11.TokenFlag.USER_PIN_FINAL_TRY | pkcs11.TokenFlag.USER_PIN_LOCKED):
            self._refusal = f"the PIN of {self.location.label!r} is locked or one attempt from it: log in by hand"
            raise KeyStoreLoginRefused(self._refusal)
        try:
            return token.open(user_pin=self.location.read_pin())
        except pkcs11.UserAlreadyLoggedIn:  # by another part of this process
            return token.open()
        except PIN_REFUSED as error:
            self._refusal = f"the token {self.location.label!r} refuses the PIN: {type(error).__name__}"
            raise KeyStoreLoginRefused(self._refusal) from None

    # Going away and coming back

    def _lost(self, reason: str) -> None:
        with self._lock:
            known, self._away = self._away is not None, reason
        if not known:
            self._on_lost()

    def watch_once(self) -> None:
        """Ask after the token; notice that it went away, or that it is back."""
        state: list[Lane] = []
        try:
            module = pkcs11_module.loaded(self.location.module)
            if self._away is None:
                with module.calling(CALL_SECONDS):
                    module.token(self.location.label)
            else:
                module.restart(module.generation, CALL_SECONDS)
                self._attempt(_ask, state)
        except Exception as error:  # whatever it is: the watcher must live on, or the token would never be seen to return
            self._lost(f"the token {self.location.label!r} is away: {getattr(error, 'detail', '') or type(error).__name__}")
        else:
            self._heard, self._away = time.monotonic(), None

    def rest(self) -> bool:
        """Wait for the next turn; whether there is one."""
        return not self._ended.wait(WATCH_SECONDS) and not self._refusal


def _ask(lane: Lane) -> None:
    """The lightest question that needs token and session: does it answer, and may we see what only its user sees?"""
    lane.token.slot.get_token()
    with contextlib.suppress(StopIteration):
        next(iter(lane.session.get_objects({pkcs11.Attribute.LABEL: "fujie is there"})))


def _watch(device: Device) -> None:
    while device.rest():
        device.watch_once()


def _after_fork() -> None:
    for device in _DEVICES:
        device._begin()


os.register_at_fork(after_in_child=_after_fork)
