"""What a serving process keeps of status lists and of the keys of offline codes: made on first use, looked at again after a while."""

import datetime as dt
import hashlib

from starlette.requests import Request

from api.wiring import House
from certs.code_key_set import PublicCodeKey, cose_key_set, sign_key_set
from certs.code_keys import code_keys, signing_key
from certs.offline_verdict import OfflineTrust
from certs.status_publishing import StatusListNotFound, StatusLists, list_address
from certs.token_status import StatusList, read_cwt
from keys.custody.store import Algorithm, Purpose
from keys.suites import Crypto
from keys.trust.publishing import ensure_list_signer

CALM = dt.timedelta(minutes=1)


class CodeServices:
    """One of each for an application."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.lists = StatusLists(house.database, house.keystore, house.clock, house.base_url)
        self._keys: tuple[dt.datetime, tuple[PublicCodeKey, ...]] | None = None
        self._set: tuple[bytes, dt.datetime, bytes] | None = None
        self._read: dict[int, tuple[bytes, StatusList]] = {}

    async def keys(self) -> tuple[PublicCodeKey, ...]:
        """Every key there ever was; made on first use, so that a new home's key set is not empty."""
        now = self._house.clock.now()
        if self._keys is None or not dt.timedelta(0) <= now - self._keys[0] < CALM:
            async with self._house.database.begin() as session:
                await signing_key(session, self._house.keystore, now)
                self._keys = now, tuple(one.public for one in await code_keys(session))
        return self._keys[1]

    async def cose_keys(self) -> bytes:
        """The COSE_KeySet."""
        return cose_key_set(await self.keys(), self._house.clock.now())

    async def signed_keys(self) -> tuple[bytes, str]:
        """The signed key set and its tag. Raises ``AuthorityUnknown`` before the ceremony."""
        house, now, keys = self._house, self._house.clock.now(), await self.keys()
        addresses = [list_address(house.base_url, number) for number in await self.lists.numbers()]
        content = hashlib.sha256(repr((keys, addresses)).encode()).digest()
        if self._set is None or self._set[0] != content or not dt.timedelta(0) <= now - self._set[1] < dt.timedelta(hours=1):
            algorithm = Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256
            async with house.database.begin() as session:
                signer = await ensure_list_signer(session, house.keystore, now, algorithm)
            jws = sign_key_set(
                house.base_url, now, keys, addresses, signer.alg, signer.chain,
                lambda message: house.keystore.sign(signer.key, message, Purpose.TRUST),
            )  # fmt: skip
            self._set = content, now, jws
        return self._set[2], hashlib.sha256(self._set[2]).hexdigest()

    async def trust(self, *numbers: int) -> OfflineTrust:
        """What this process itself judges offline codes by: its own keys, and these lists as they are now."""
        found = {}
        for number in numbers:
            try:
                published = await self.lists.current(number)
            except StatusListNotFound:
                continue
            if number not in self._read or self._read[number][0] != published.cwt:
                self._read[number] = published.cwt, read_cwt(published.cwt).list
            found[number] = self._read[number][1]
        return OfflineTrust(await self.keys(), found)


def code_services(request: Request) -> CodeServices:
    """Those of the application that answers ``request``."""
    state = request.app.state
    if getattr(state, "code_services", None) is None:
        state.code_services = CodeServices(state.house)
    services: CodeServices = state.code_services
    return services
