"""Merkle tree hashes and proofs of RFC 9162 (§2.1), as pure functions over 32-octet hashes.

A *node* ``(level, index)`` is the hash of the perfect subtree over the leaves ``index·2^level … (index+1)·2^level − 1``.
Every subtree of a proof is made of a few nodes, so a proof reads some twenty nodes of a tree of a million leaves.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_SIZE = 32

Node: TypeAlias = tuple[int, int]
NodeReader: TypeAlias = Callable[[int, int], bytes]
"""``(level, index)`` → the node's hash."""

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """``SHA-256(0x00 ‖ entry)`` (RFC 9162 §2.1.1)."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 ‖ left ‖ right)`` (RFC 9162 §2.1.1)."""
    return _sha256(b"\x01" + left + right).digest()


def split_hashes(data: bytes) -> list[bytes]:
    """The 32-octet hashes that stand one behind the other in ``data``."""
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


class Frontier:
    """The roots of the perfect subtrees of a tree of ``size`` leaves, largest first: all that appending needs."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)
        if len(self.nodes) != size.bit_count():
            raise ValueError("a frontier has one node for each set bit of its size")

    def copy(self) -> "Frontier":
        return Frontier(self.size, self.nodes)

    def add(self, node: bytes, level: int = 0) -> None:
        """Add the perfect subtree ``node`` of 2^level leaves (0: one leaf hash); no smaller subtree may stand at the end."""
        size = self.size >> level
        if size << level != self.size:
            raise ValueError("a perfect subtree begins at a multiple of its width")
        while size & 1:
            node = node_hash(self.nodes.pop(), node)
            size >>= 1
        self.nodes.append(node)
        self.size += 1 << level

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        return fold(self.nodes)


class MerkleTree:
    """A whole tree in memory: every node of every level, 64 octets a leaf."""

    __slots__ = ("_levels", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self.size = 0
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash, and every node it completes."""
        levels, size, level = self._levels, self.size, 0
        below = levels[0]
        below += leaf
        while size & 1:
            node = _sha256(b"\x01" + below[-64:]).digest()
            level += 1
            if level == len(levels):
                levels.append(bytearray())
            below = levels[level]
            below += node
            size >>= 1
        self.size += 1

    def node(self, level: int, index: int) -> bytes:
        """The node's hash; the subtree must be complete."""
        found = bytes(self._levels[level][index * HASH_SIZE : (index + 1) * HASH_SIZE])
        if len(found) != HASH_SIZE:
            raise ValueError("no such node")
        return found

    def root(self, size: int | None = None) -> bytes:
        """The Merkle tree hash of the first ``size`` leaves (default: all)."""
        return subtree_hash((0, self.size if size is None else size), self.node)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of leaf ``index`` in the tree of the first ``size`` leaves (RFC 9162 §2.1.3.1)."""
        return [subtree_hash(one, self.node) for one in inclusion_path(index, self.size if size is None else size)]

    def consistency_proof(self, old: int, size: int | None = None) -> list[bytes]:
        """The proof that the first ``old`` leaves are a prefix of the first ``size`` (RFC 9162 §2.1.4.1)."""
        return [subtree_hash(one, self.node) for one in consistency_path(old, self.size if size is None else size)]


def fold(nodes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over the perfect subtrees ``nodes``, largest first."""
    if not nodes:
        return EMPTY_ROOT
    node = nodes[-1]
    for left in reversed(nodes[:-1]):
        node = node_hash(left, node)
    return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of leaf hashes."""
    level = list(leaves)
    while len(level) > 1:
        above = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])  # a last node without a neighbour rises as it is
        level = above
    return level[0] if level else EMPTY_ROOT


def perfect_nodes(begin: int, end: int) -> list[Node]:
    """The nodes that make up the leaves ``begin`` … ``end - 1`` of a subtree of RFC 9162, largest first."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def subtree_hash(leaves: tuple[int, int], node: NodeReader) -> bytes:
    """The hash of the subtree over the leaves from the first number up to, not including, the second."""
    return fold([node(level, index) for level, index in perfect_nodes(*leaves)])


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (> 1)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_path(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees whose hashes are the audit path of leaf ``index`` (RFC 9162 §2.1.3.1), nearest sibling first."""
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(old: int, size: int) -> list[tuple[int, int]]:
    """The subtrees whose hashes prove that the first ``old`` leaves are a prefix (RFC 9162 §2.1.4.1)."""
    if not 0 < old <= size:
        raise ValueError("the earlier size must lie within the tree")
    path, begin, end = [], 0, size
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    if begin:  # else the old tree is itself a node the verifier has
        path.append((begin, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows that ``leaf`` stands at ``index`` in the tree of ``size`` and ``root`` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or len(leaf) != HASH_SIZE:
        return False
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def verify_consistency(size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that tree 1 is a prefix of tree 2 (RFC 9162 §2.1.4.2)."""
    if not 0 < size1 <= size2:  # nothing can be proved of the empty tree
        return False
    if size1 == size2:
        return not proof and root1 == root2
    if not proof:
        return False
    path = list(proof) if size1 & (size1 - 1) else [root1, *proof]
    return _walk_consistency(size1 - 1, size2 - 1, root1, root2, path)


def _walk_consistency(fn: int, sn: int, root1: bytes, root2: bytes, path: Sequence[bytes]) -> bool:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(node, first), node_hash(node, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == root1 and second == root2
