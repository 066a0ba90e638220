"""Which revocation list a certificate is on: authorities of many certificates publish partitioned lists (RFC 5280 §5.2.5).

The partition follows from the serial number alone, so nothing is stored and every process agrees. The count of an authority
never changes once it has issued: its certificates name their partition's address for as long as they live.
"""

from collections.abc import Mapping

PARTITIONS: Mapping[str, int] = {"persons": 64}
"""Authority → how many partitions; an authority that is not named has its one full list only."""

FULL = 0
"""The number of the full list; partitions are numbered from 1."""


def partition_of(authority: str, serial: int) -> int:
    """The partition of a certificate, 1 … count; ``FULL`` where the authority has none. Serial numbers are random."""
    count = PARTITIONS.get(authority, 0)
    return serial % count + 1 if count else FULL


def partitions_of(authority: str) -> range:
    """Every partition of an authority; empty where it has none."""
    return range(1, PARTITIONS.get(authority, 0) + 1)


def list_url(base_url: str, authority: str, partition: int = FULL) -> str:
    """Where a list is published: ``/pki/persons.crl`` (full), ``/pki/persons/7.crl`` (a partition)."""
    return f"{base_url}/pki/{authority}.crl" if partition == FULL else f"{base_url}/pki/{authority}/{partition}.crl"
