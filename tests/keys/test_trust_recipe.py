"""The recipe of ``docs/trust-list.md``, run as it stands there."""

import re
import subprocess
from pathlib import Path

from asn1crypto import pem

from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import authority_certificate
from keys.trust.publishing import current_list
from tests.keys.conftest import BASE_URL, MovableClock

PAGE = Path(__file__).parents[2] / "docs" / "trust-list.md"


async def test_the_recipe_verifies_a_list_and_refuses_a_changed_one(
    pki: Database, keystore: SoftwareKeyStore, clock: MovableClock, tmp_path: Path
) -> None:
    (recipe,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    async with pki.session() as session:
        (tmp_path / "root.pem").write_bytes(pem.armor("CERTIFICATE", await authority_certificate(session, "root")))
    jws = (await current_list(pki, keystore, clock, BASE_URL)).jws
    for content, verified in ((jws, True), (_changed(jws), False)):
        (tmp_path / "trust-list.json").write_bytes(content)
        # The demonstration's clock stands still: a certificate is judged at its time, not at the machine's.
        script = recipe.replace("openssl verify", f"openssl verify -attime {int(clock.now().timestamp())}")
        done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode == 0) is verified, done.stdout + done.stderr
        assert ("Verified OK" in done.stdout) is verified


def _changed(jws: bytes) -> bytes:
    place = jws.index(b'"payload":"') + 50
    return jws[:place] + (b"A" if jws[place : place + 1] != b"A" else b"B") + jws[place + 1 :]
