"""Files that would pass although the seal, the signer or the time does not justify it: each of these once did."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from asn1crypto import crl as crl_structures
from asn1crypto import x509

from keys.custody.store import Purpose
from keys.pki.certificate import assemble, key_identifier, signature_algorithm, x509_time
from seal import levels
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify
from tests.stamped import NOW, World

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
LATER = NOW + 6 * DAY
BEFORE, OLD = NOW - HOUR, NOW - 2 * HOUR


class OldLists(World):
    """A thief stamps with lists that were made before the theft was known, and are still in date."""

    def crl(self, name: str, revoked: dict[int, dt.datetime] | None = None, *, this: dt.datetime = NOW, days: int = 90) -> bytes:
        return super().crl(name, revoked, this=OLD if this < LATER else this, days=days)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return OldLists(tmp_path_factory.mktemp("world"))


def listed(world: World, since: dt.datetime, reason: str, base: dt.datetime | None) -> bytes:
    """What the signer's authority published on the day of judging: a complete list, or what is new since ``base``."""
    party = world["seal"]
    extensions = [
        {"extn_id": "crl_number", "extn_value": int(LATER.timestamp())},
        {
            "extn_id": "authority_key_identifier",
            "extn_value": x509.AuthorityKeyIdentifier({"key_identifier": key_identifier(party.key.public)}),
        },
    ]
    if base is not None:
        extensions.append({"extn_id": "delta_crl_indicator", "critical": True, "extn_value": int(base.timestamp())})
    entry = {
        "user_certificate": world["signer"].serial,
        "revocation_date": x509_time(since),
        "crl_entry_extensions": [{"extn_id": "crl_reason", "extn_value": reason}],
    }
    body = crl_structures.TbsCertList(
        {
            "version": "v2",
            "signature": signature_algorithm(party.key.algorithm),
            "issuer": x509.Name.load(party.subject),
            "this_update": x509_time(LATER),
            "next_update": x509_time(LATER + 90 * DAY),
            "revoked_certificates": [entry],
            "crl_extensions": extensions,
        }
    ).dump()
    return assemble(body, party.key.algorithm, world.keystore.sign(party.key, body, Purpose.AUTHORITY))


@pytest.mark.parametrize("level", ["B-T", "B-LT", "B-LTA"])
@pytest.mark.parametrize(("reason", "base"), [("certificate_hold", None), ("key_compromise", None), ("key_compromise", OLD)])
def test_what_was_revoked_when_a_thief_had_it_time_stamped_is_learnt_from_any_later_list(
    world: World, level: str, reason: str, base: dt.datetime | None
) -> None:
    """The time stamp is genuine, the list in the file too: it is older than the theft. The later list speaks of that time as well."""
    pdf = world.stamped_at_level(level)
    others = [world.crl(name, this=LATER) for name in ("root", "root-sm", "seal-sm", "seal-maker", "tsa")]
    stolen = verify(pdf, Trust(world.trust.certificates, (*others, listed(world, BEFORE, reason, base))), LATER)
    assert (stolen.indication, stolen.sub_indication) == (Indication.TOTAL_FAILED, "REVOKED")
    honest = verify(pdf, Trust(world.trust.certificates, (*others, listed(world, NOW + DAY, reason, base))), LATER)
    assert honest.indication is Indication.TOTAL_PASSED


def upgraded(world: World, change: Callable[[bytes], bytes]) -> bytes:
    """A B-LT file with a genuine document time stamp over an upgrade that was written otherwise, to the same length."""
    pdf = world.stamped_at_level("B-LT")
    hollow = levels.append_timestamp(pdf, levels.Store(world.time_validation().certificates))
    before, after = bytes(hollow.octets[: len(pdf)]), change(bytes(hollow.octets[len(pdf) :]))
    assert len(before + after) == len(hollow.octets)
    hollow.octets[:] = before + after
    return levels.stamped(hollow, world.token(hollow.digest(), NOW + dt.timedelta(seconds=2)))


@pytest.mark.parametrize("size", [b"0", b"1", b"9"])
def test_an_upgrade_counts_its_objects_or_readers_would_look_for_them_by_themselves(world: World, size: bytes) -> None:
    """mupdf and others rebuild the table of such a file from whatever looks like an object, certificates included."""
    trust = Trust(world.trust.certificates, (World.crl(world, "tsa"),))
    assert verify(upgraded(world, lambda tail: tail), trust, NOW + HOUR).indication is Indication.TOTAL_PASSED

    def recounted(tail: bytes) -> bytes:
        found = re.search(rb"/Size (\d+)", tail)
        assert found is not None
        return tail.replace(found[0], b"/Size " + size.rjust(len(found[1]), b"0"))

    assert verify(upgraded(world, recounted), trust, NOW + HOUR).indication is Indication.TOTAL_FAILED
