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
    consistency_proof,
    inclusion_proof,
    leaf_hash,
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


@given(st.integers(1, 70), st.data())
def test_own_proofs_verify_and_no_other_leaf_does(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([i])) for i in range(size)]
    index = data.draw(st.integers(0, size - 1))
    root, proof = root_of(leaves), inclusion_proof(index, leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"forged"), index, size, proof, root)
    earlier = data.draw(st.integers(1, size))
    assert verify_consistency(earlier, size, root_of(leaves[:earlier]), root, consistency_proof(earlier, leaves))


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_frontier_survives_storage(size: int, more: int) -> None:
    leaves = [leaf_hash(str(i).encode()) for i in range(size + more)]
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.append(leaf)
    frontier = Frontier.from_bytes(size, frontier.to_bytes())
    for leaf in leaves[size:]:
        frontier.append(leaf)
    assert frontier.root() == root_of(leaves)


def test_a_frontier_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="one node"):
        Frontier(3, [b"x" * 32])
