"""The Merkle arithmetic against transparency-dev's vectors and against itself."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    MerkleTree,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)


def _b64(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def _proof(case: dict[str, object]) -> list[bytes]:
    return [_b64(item) for item in case["proof"] or []]  # type: ignore[union-attr]


def test_inclusion_vectors(suites: Path) -> None:
    files = sorted((suites / "merkle" / "testdata" / "inclusion").rglob("*.json"))
    assert len(files) > 50
    for file in files:
        case = json.loads(file.read_text())
        good = verify_inclusion(_b64(case["leafHash"]), case["leafIdx"], case["treeSize"], _proof(case), _b64(case["root"]))
        assert good is not case["wantErr"], file


def test_consistency_vectors(suites: Path) -> None:
    files = sorted((suites / "merkle" / "testdata" / "consistency").rglob("*.json"))
    assert len(files) > 50
    for file in files:
        case = json.loads(file.read_text())
        good = verify_consistency(case["size1"], case["size2"], _b64(case["root1"]), _b64(case["root2"]), _proof(case))
        assert good is not case["wantErr"], file


def test_empty_tree() -> None:
    assert root_of([]) == EMPTY_ROOT == Frontier().root()


def _split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, as it is defined there."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    k = _split(len(leaves))
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], complete: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 9162 §2.1.4.1."""
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@given(st.integers(1, 70), st.data())
def test_proofs_are_those_the_rfc_defines_and_no_other_leaf_verifies(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([i])) for i in range(size)]
    tree = MerkleTree(leaves)
    within = data.draw(st.integers(1, size))
    index, earlier = data.draw(st.integers(0, within - 1)), data.draw(st.integers(1, within))
    root, proof = mth(leaves[:within]), tree.inclusion_proof(index, within)
    assert root == tree.root(within) == root_of(leaves[:within])
    assert proof == path(index, leaves[:within])
    assert verify_inclusion(leaves[index], index, within, proof, root)
    assert not verify_inclusion(leaf_hash(b"forged"), index, within, proof, root)
    consistency = tree.consistency_proof(earlier, within)
    assert consistency == subproof(earlier, leaves[:within], True)
    assert verify_consistency(earlier, within, mth(leaves[:earlier]), root, consistency)
    if earlier < within:
        assert not verify_consistency(earlier, within, leaf_hash(b"forged"), root, consistency)


def test_what_a_tree_does_not_hold_is_refused() -> None:
    tree = MerkleTree([leaf_hash(b"1"), leaf_hash(b"2")])
    for wrong in (lambda: tree.node(1, 1), lambda: tree.inclusion_proof(2), lambda: tree.consistency_proof(0), lambda: tree.root(3)):
        with pytest.raises((ValueError, IndexError)):
            wrong()


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_frontier_survives_storage(size: int, more: int) -> None:
    leaves = [leaf_hash(str(i).encode()) for i in range(size + more)]
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.add(leaf)
    frontier = Frontier(size, frontier.nodes)
    for leaf in leaves[size:]:
        frontier.add(leaf)
    assert frontier.root() == root_of(leaves)


def test_a_frontier_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one node"):
        Frontier(3, [b"x" * 32])
