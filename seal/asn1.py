"""The structures of an electronic seal and of a stamp, in all three generations (STANDARDS.md §3).

GM/T 0031-2014 is version 1, GB/T 38540-2020 version 4, GM/T 0031-2025 version 5. All three are read; 5 is written by
default and 4 on request. Reading never re-encodes: ``signed`` is the slice of the file the signature was made over.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from asn1crypto import cms, core, tsp

from keys.base import der
from keys.base.errors import FujieError
from seal.asn1_build import SealContent, assemble_seal, assemble_ses_signature, build_seal_info, build_tbs_sign
from seal.asn1_structures import (
    CERTIFICATES,
    DIGESTS,
    SES_ATTRIBUTE,
    SM2_WITH_SM3,
    SM3,
    CertDigests,
    Certs,
    Header,
    Seal,
    Seal1,
    SealLoose,
    Signature,
    Signature1,
    SignatureLoose,
)
from seal.foreign_rules import Tolerance

__all__ = [
    "SES_ATTRIBUTE",
    "SM2_WITH_SM3",
    "SM3",
    "ParsedExtension",
    "ParsedSeal",
    "ParsedStamp",
    "SealContent",
    "SealFormat",
    "StampFormat",
    "assemble_seal",
    "assemble_ses_signature",
    "build_seal_info",
    "build_tbs_sign",
    "parse_seal",
    "parse_ses_signature",
    "seal_version",
]

T = TypeVar("T")
_LARGEST_REMEMBERED = 1 << 18


class SealFormat(FujieError):
    code = "SEAL_FORMAT"
    status = 422
    public = ("电子印章数据的格式不正确。", "The data of the electronic seal is not well-formed.")


class StampFormat(FujieError):
    code = "STAMP_FORMAT"
    status = 422
    public = ("电子签章数据的格式不正确。", "The data of the electronic stamp is not well-formed.")


@dataclass(frozen=True, slots=True)
class ParsedExtension:
    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class ParsedSeal:
    """An SESeal as read.

    ``encoded`` is the whole seal, ``signed`` the octets its maker signed. ``certificates`` or ``digests`` (algorithm,
    digest of the certificate) name who may stamp with it; one of the two is empty. ``timestamp`` is a token, version 5 only.
    """

    version: int
    encoded: bytes
    signed: bytes
    es_id: str
    vendor: str
    type: int
    name: str
    certificates: tuple[bytes, ...]
    digests: tuple[tuple[str, bytes], ...]
    created: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime
    picture_type: str
    picture: bytes
    width_mm: int
    height_mm: int
    extensions: tuple[ParsedExtension, ...]
    maker_certificate: bytes
    algorithm: str
    signature: bytes
    timestamp: bytes | None
    departures: frozenset[Tolerance] = frozenset()


@dataclass(frozen=True, slots=True)
class ParsedStamp:
    """An SES_Signature as read.

    ``signed`` is DER(TBS_Sign). ``time`` is timeInfo; in version 1 it may be a time-stamp token, kept in ``time_token``, and
    ``time`` is then the token's own (unchecked here) or None. ``timestamp`` is the token over the signature value.
    """

    version: int
    encoded: bytes
    signed: bytes
    seal: ParsedSeal
    time: dt.datetime | None
    time_token: bytes | None
    data_hash: bytes
    property_info: str
    extensions: tuple[ParsedExtension, ...]
    certificate: bytes
    algorithm: str
    signature: bytes
    timestamp: bytes | None
    departures: frozenset[Tolerance] = frozenset()


def parse_seal(encoded: bytes, *, loose: bool = False) -> ParsedSeal:
    """Read an SESeal of version 1, 4 or 5. Raises :class:`SealFormat`.

    ``loose`` reads what departs from the standard in a way that rules for a system can put up with, and names it in ``departures``:
    whether it is put up with is for the caller to decide.
    """
    return _guarded(_known_seal if len(encoded) <= _LARGEST_REMEMBERED else _read_seal, encoded, SealFormat, loose)


def parse_ses_signature(encoded: bytes, *, loose: bool = False) -> ParsedStamp:
    """Read an SES_Signature of version 1, 4 or 5. Raises :class:`StampFormat`, or :class:`SealFormat` for the seal within.

    ``loose`` as in :func:`parse_seal`; the seal's departures stand in the seal.
    """
    return _guarded(_read_stamp, encoded, StampFormat, loose)


def _guarded(read: Callable[[bytes, bool], T], encoded: bytes, refusal: type[FujieError], loose: bool) -> T:
    try:
        return read(encoded, loose)
    except FujieError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:  # what asn1crypto raises
        raise refusal(f"{type(error).__name__}: {error}"[:200]) from error


def seal_version(encoded: bytes) -> int:
    """Two members at the top are version 1, five version 5; otherwise the header says. Raises ValueError."""
    parts = der.members(der.read(encoded))
    if len(parts) == 2:
        return 1
    if len(parts) == 5:
        return 5
    version = int(Header.load(der.members(parts[0])[0].encoded, strict=True)["version"].native)
    if len(parts) != 4 or version not in (4, 5):
        raise ValueError(f"unknown version {version} of a seal of {len(parts)} members")
    return version


@lru_cache(maxsize=64)
def _known_seal(encoded: bytes, loose: bool) -> ParsedSeal:
    """The same few seals are in every stamp."""
    return _read_seal(encoded, loose)


def _read_seal(encoded: bytes, loose: bool) -> ParsedSeal:
    version = seal_version(encoded)
    seal = _structure(version == 1, loose, Seal1, SealLoose, Seal).load(encoded, strict=True)
    info = seal["eSealInfo"]
    if info["header"]["ID"].native != "ES":
        raise ValueError("the header is not that of a seal")
    parts = der.members(der.read(encoded))
    proof = seal["signInfo"] if version == 1 else seal
    algorithm, value = ("signatureAlgorithm", "signData") if version == 1 else ("signAlgID", "signedValue")
    certificates, digests = _who_may_stamp(version, info["property"])
    prop, picture = info["property"], info["picture"]
    return ParsedSeal(
        version=version,
        encoded=encoded,
        signed=_signed_part(version, parts),
        es_id=info["esID"].native,
        vendor=info["header"]["Vid"].native,
        type=prop["type"].native,
        name=prop["name"].native,
        certificates=certificates,
        digests=digests,
        created=_time(prop["createDate"]),
        valid_from=_time(prop["validStart"]),
        valid_to=_time(prop["validEnd"]),
        picture_type=picture["type"].native,
        picture=picture["data"].native,
        width_mm=_millimetres(picture["width"].native),
        height_mm=_millimetres(picture["height"].native),
        extensions=_extensions(info["extDatas"]),
        maker_certificate=proof["cert"].native,
        algorithm=proof[algorithm].dotted,
        signature=_octets(proof[value]),
        timestamp=None if version == 1 else _optional_octets(seal["timeStamp"]),
        departures=_departures(prop, "createDate", "validStart", "validEnd") if loose and version != 1 else frozenset(),
    )


def _structure(first: bool, loose: bool, one: Any, wide: Any, strict: Any) -> Any:
    """Version 1 leaves its times open; the others have a strict form and one that takes in departures."""
    return one if first else wide if loose else strict


def _departures(value: Any, *times: str) -> frozenset[Tolerance]:
    found = {Tolerance.UTC_TIME} if any(value[time].name == "utc" for time in times) else set()
    if "certListType" in value and isinstance(value["certListType"], core.Void):
        found.add(Tolerance.CERT_LIST_TYPE_ABSENT)
    return frozenset(found)


def _signed_part(version: int, parts: list[der.Element]) -> bytes:
    """Seal 4 and 5: DER(eSealInfo) alone; seal 1: SEQUENCE{SealInfo, cert, algorithm}."""
    if version != 1:
        return parts[0].encoded
    certificate, algorithm, _ = der.members(parts[1])
    return der.sequence(parts[0].encoded, certificate.encoded, algorithm.encoded)


def _who_may_stamp(version: int, prop: Any) -> tuple[tuple[bytes, ...], tuple[tuple[str, bytes], ...]]:
    if version == 1:
        return tuple(prop["certList"].native), ()
    kind = CERTIFICATES if isinstance(prop["certListType"], core.Void) else prop["certListType"].native
    if kind == CERTIFICATES:
        return tuple(prop["certList"].parse(spec=Certs).native), ()
    if kind == DIGESTS:
        listed = prop["certList"].parse(spec=CertDigests)
        return (), tuple((one["type"].native, one["value"].native) for one in listed)
    raise ValueError(f"unknown certListType {kind}")


def _read_stamp(encoded: bytes, loose: bool) -> ParsedStamp:
    return _written_stamp(encoded, loose) or _any_stamp(encoded, loose)


def _written_stamp(encoded: bytes, loose: bool) -> ParsedStamp | None:
    """A stamp in our own spelling, which is proven by writing it again from what was read; None: of another, or none."""
    try:
        tbs, certificate, _, signature = der.members(der.outermost(encoded))
        version, seal, stated, data_hash, info = der.members(tbs)
        time = der.parse_time(stated.value)
        stamp = ParsedStamp(
            version=int.from_bytes(version.value),
            encoded=encoded,
            signed=tbs.encoded,
            seal=parse_seal(seal.encoded, loose=loose),
            time=time,
            time_token=None,
            data_hash=data_hash.value[1:],
            property_info=info.value.decode("ascii"),
            extensions=(),
            certificate=certificate.value,
            algorithm=SM2_WITH_SM3,
            signature=signature.value[1:],
            timestamp=None,
        )
        again = build_tbs_sign(stamp.seal.encoded, time, stamp.data_hash, stamp.property_info, stamp.version)
        return stamp if assemble_ses_signature(again, stamp.certificate, stamp.signature) == encoded else None
    except (ValueError, FujieError):
        return None


def _any_stamp(encoded: bytes, loose: bool) -> ParsedStamp:
    parts = der.members(der.read(encoded))
    tbs_parts = der.members(parts[0])
    seal = parse_seal(tbs_parts[1].encoded, loose=loose)
    first = len(parts) == 2
    stamp = _structure(first, loose, Signature1, SignatureLoose, Signature).load(encoded, strict=True)
    tbs = stamp["toSign"]
    version = int(tbs["version"].native)
    if not first and version not in (4, 5):
        raise ValueError(f"unknown version {version} of a stamp")
    holder = tbs if first else stamp
    time, token = _time_of_version_1(_octets(tbs["timeInfo"])) if first else (_time(tbs["timeInfo"]), None)
    return ParsedStamp(
        version=1 if first else version,
        encoded=encoded,
        signed=parts[0].encoded,
        seal=seal,
        time=time,
        time_token=token,
        data_hash=_octets(tbs["dataHash"]),
        property_info=tbs["propertyInfo"].native,
        extensions=() if first else _extensions(tbs["extDatas"]),
        certificate=holder["cert"].native,
        algorithm=holder["signatureAlgorithm" if first else "signatureAlgID"].dotted,
        signature=_octets(stamp["signature"]),
        timestamp=None if first else _optional_octets(stamp["timeStamp"]),
        departures=_departures(tbs, "timeInfo") if loose and not first else frozenset(),
    )


def _time_of_version_1(info: bytes) -> tuple[dt.datetime | None, bytes | None]:
    """GM/T 0031-2014 leaves it open: a time as text or DER, or a time-stamp token."""
    if info[:1] in (b"\x17", b"\x18"):
        return der.parse_time(der.read(info).value), None
    if info[:1].isdigit():
        return der.parse_time(info), None
    if not info:
        return None, None
    content = cms.ContentInfo.load(info, strict=True)["content"]["encap_content_info"]["content"]
    return tsp.TSTInfo.load(content.parsed.dump() if content.parsed else content.native)["gen_time"].native, info


def _time(value: Any) -> dt.datetime:
    chosen = value.chosen if isinstance(value, core.Choice) else value
    return der.parse_time(chosen.contents)


def _millimetres(value: int) -> int:
    if not 0 < value <= 1000:
        raise ValueError("no such size of a picture")
    return value


def _octets(value: Any) -> bytes:
    """The octets of a BIT STRING that has no unused bits."""
    if value.contents[:1] != b"\0":
        raise ValueError("a BIT STRING with unused bits")
    return bytes(value.contents[1:])


def _optional_octets(value: Any) -> bytes | None:
    return None if isinstance(value, core.Void) else _octets(value)


def _extensions(value: Any) -> tuple[ParsedExtension, ...]:
    if isinstance(value, core.Void):
        return ()
    return tuple(ParsedExtension(one["extnID"].dotted, one["critical"].native, one["extnValue"].native) for one in value)
