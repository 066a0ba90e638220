"""Chains and lists: what the small path check refuses."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from keys.custody.store import Algorithm
from seal.verification_path import (
    MAX_CANDIDATES,
    MAX_DEPTH,
    Party,
    Revoked,
    Unknown,
    find_path,
    out_of_bounds,
    read_certificate,
    read_crl,
    revocation,
    signature_holds,
)
from tests.stamped import NOW, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def party(world: World, name: str) -> Party:
    found = read_certificate(world[name].certificate)
    assert found is not None
    return found


@pytest.mark.parametrize(("leaf", "middle", "root"), [("signer", "seal", "root"), ("signer-sm", "seal-sm", "root-sm")])
def test_a_chain_is_found_in_both_algorithms(world: World, leaf: str, middle: str, root: str) -> None:
    path = find_path(party(world, leaf), [party(world, middle)], [party(world, root)])
    assert path is not None
    assert [one.name for one in path] == [f"Test {name}" for name in (leaf, middle, root)]
    assert find_path(party(world, leaf), [], [party(world, root)]) is None
    assert find_path(party(world, leaf), [party(world, middle)], []) is None
    assert find_path(party(world, leaf), [party(world, "seal-maker")], [party(world, root)]) is None


def test_who_may_not_certify_does_not(world: World) -> None:
    seal, root = party(world, "seal"), party(world, "root")
    for unable in (replace(seal, is_authority=False), replace(seal, key_usage=frozenset({"crl_sign"})), replace(seal, key_usage=None)):
        assert find_path(party(world, "signer"), [unable], [root]) is None
    assert find_path(party(world, "signer"), [seal], [replace(root, is_authority=False)]) is None


def test_an_altered_certificate_breaks_the_chain(world: World) -> None:
    altered = bytearray(world["seal"].certificate)
    altered[-1] ^= 1
    middle = read_certificate(bytes(altered))
    assert middle is not None
    assert find_path(party(world, "signer"), [middle], [party(world, "root")]) is None


def test_depth_path_length_and_number_of_candidates_are_bounded(tmp_path: Path) -> None:
    world = World(tmp_path)
    names = ["root"]
    for number in range(4):
        world.authority(f"level-{number}", Algorithm.P256, names[-1])
        names.append(f"level-{number}")
    leaf = party(world, names[-1])
    candidates = [replace(party(world, name), path_length=None) for name in names[1:-1]]
    root = replace(party(world, "root"), path_length=None)
    assert len(candidates) + 2 > MAX_DEPTH
    assert find_path(leaf, candidates, [root]) is None
    shorter = party(world, names[-2])
    assert find_path(shorter, candidates, [root]) is not None
    assert find_path(shorter, candidates, [party(world, "root")]) is None, "the root allows one authority below it"
    crowd = [replace(candidates[0], serial=number, subject=b"x") for number in range(MAX_CANDIDATES)]
    assert find_path(shorter, [*crowd, *candidates], [root]) is None


def test_an_unknown_critical_extension_ends_the_path(world: World) -> None:
    strange = replace(party(world, "signer"), unknown_critical=("1.2.3.4",))
    assert find_path(strange, [party(world, "seal")], [party(world, "root")]) is None


def test_validity_is_asked_of_the_whole_chain(world: World) -> None:
    path = [party(world, name) for name in ("signer", "seal", "root")]
    assert out_of_bounds(path, NOW) is None
    assert out_of_bounds(path, NOW + dt.timedelta(days=366)) is path[0]
    assert out_of_bounds(path, NOW - dt.timedelta(days=31)) is path[0]


def test_revocation_needs_a_current_list_of_the_right_issuer(world: World, tmp_path: Path) -> None:
    path = [party(world, name) for name in ("signer", "seal", "root")]

    def asked(*lists: bytes, at: dt.datetime = NOW) -> Revoked | Unknown | None:
        return revocation(path, [crl for crl in map(read_crl, lists) if crl], at)

    clean = (world.crl("seal"), world.crl("root"))
    assert asked(*clean) is None
    assert isinstance(asked(clean[0]), Unknown)
    assert isinstance(asked(), Unknown)
    assert isinstance(asked(*clean, at=NOW + dt.timedelta(days=91)), Unknown)
    assert isinstance(asked(*clean, at=NOW - dt.timedelta(seconds=1)), Unknown)
    impostor = World(tmp_path)
    assert isinstance(asked(impostor.crl("seal"), world.crl("root")), Unknown)
    revoked = asked(world.crl("seal", {path[0].serial: NOW - dt.timedelta(days=2)}), world.crl("root"))
    assert isinstance(revoked, Revoked)
    assert (revoked.depth, revoked.since) == (0, NOW - dt.timedelta(days=2))
    authority = asked(world.crl("seal"), world.crl("root", {path[1].serial: NOW}))
    assert isinstance(authority, Revoked)
    assert authority.depth == 1


def test_a_stale_list_still_proves_a_revocation_and_an_old_one_does_not_hide_it(world: World) -> None:
    path = [party(world, name) for name in ("signer", "seal", "root")]
    stale = read_crl(world.crl("seal", {path[0].serial: NOW - dt.timedelta(days=200)}, this=NOW - dt.timedelta(days=150), days=1))
    clean, root = read_crl(world.crl("seal")), read_crl(world.crl("root"))
    assert stale is not None
    assert clean is not None
    assert root is not None
    assert isinstance(revocation(path, [clean, stale, root], NOW), Revoked)


def test_the_future_does_not_revoke_the_past(world: World) -> None:
    path = [party(world, name) for name in ("signer", "seal", "root")]
    later = NOW + dt.timedelta(days=10)
    lists = [crl for crl in (read_crl(world.crl("seal", {path[0].serial: later})), read_crl(world.crl("root"))) if crl]
    assert revocation(path, lists, NOW) is None
    assert isinstance(revocation(path, lists, later), Revoked)


@pytest.mark.parametrize("octets", [b"", b"\x30\x00", b"x" * 50, b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_or_list_reads_as_none(octets: bytes) -> None:
    assert read_certificate(octets) is None
    assert read_crl(octets) is None


def test_signatures_of_unknown_algorithms_never_hold(world: World) -> None:
    leaf = party(world, "signer")
    assert not signature_holds(leaf.public, "1.2.840.113549.1.1.11", leaf.signed, leaf.signature)
    assert not signature_holds(b"x", leaf.algorithm, leaf.signed, leaf.signature)
    issuer = party(world, "seal")
    assert signature_holds(issuer.public, leaf.algorithm, leaf.signed, leaf.signature)
    assert not signature_holds(issuer.public, leaf.algorithm, leaf.signed + b"\0", leaf.signature)
