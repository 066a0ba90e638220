"""The ASN.1 of STANDARDS.md §3 for asn1crypto, member by member; names are those of the standards.

``1`` at the end of a name means GM/T 0031-2014 (version 1); the others are GB/T 38540-2020 (4) and GM/T 0031-2025 (5).
"""
# ruff: noqa: RUF012 - asn1crypto declares structures by lists on the class
# mypy: allow-subclassing-any

from asn1crypto import core

SM2_WITH_SM3 = "1.2.156.10197.1.501"
SM3 = "1.2.156.10197.1.401"
SES_ATTRIBUTE = "2.25.318914147478244946130053354457434415611"
"""Type of the signed CMS attribute that holds a DER SES_Signature in one OCTET STRING."""

CERTIFICATES, DIGESTS = 1, 2
"""Values of certListType."""


class CertDigest(core.Sequence):
    _fields = [("type", core.PrintableString), ("value", core.OctetString)]


class CertDigests(core.SequenceOf):
    _child_spec = CertDigest


class Certs(core.SequenceOf):
    _child_spec = core.OctetString


class Header(core.Sequence):
    _fields = [("ID", core.IA5String), ("version", core.Integer), ("Vid", core.IA5String)]


class Picture(core.Sequence):
    _fields = [("type", core.IA5String), ("data", core.OctetString), ("width", core.Integer), ("height", core.Integer)]


class Extension(core.Sequence):
    _fields = [
        ("extnID", core.ObjectIdentifier),
        ("critical", core.Boolean, {"default": False}),
        ("extnValue", core.OctetString),
    ]


class Extensions(core.SequenceOf):
    _child_spec = Extension


class Time(core.Choice):
    _alternatives = [("utc", core.UTCTime), ("general", core.GeneralizedTime)]


class Property1(core.Sequence):
    _fields = [
        ("type", core.Integer),
        ("name", core.UTF8String),
        ("certList", Certs),
        ("createDate", Time),
        ("validStart", Time),
        ("validEnd", Time),
    ]


class Property(core.Sequence):
    _fields = [
        ("type", core.Integer),
        ("name", core.UTF8String),
        ("certListType", core.Integer),
        ("certList", core.Any),
        ("createDate", core.GeneralizedTime),
        ("validStart", core.GeneralizedTime),
        ("validEnd", core.GeneralizedTime),
    ]


class PropertyLoose(core.Sequence):
    """What producers wrote in versions 4 and 5 that departs from the standard: see :mod:`seal.foreign_rules`."""

    _fields = [
        ("type", core.Integer),
        ("name", core.UTF8String),
        ("certListType", core.Integer, {"optional": True}),
        ("certList", core.Any),
        ("createDate", Time),
        ("validStart", Time),
        ("validEnd", Time),
    ]


class SealInfo1(core.Sequence):
    _fields = [
        ("header", Header),
        ("esID", core.IA5String),
        ("property", Property1),
        ("picture", Picture),
        ("extDatas", Extensions, {"optional": True}),
    ]


class SealInfo(core.Sequence):
    _fields = [
        ("header", Header),
        ("esID", core.IA5String),
        ("property", Property),
        ("picture", Picture),
        ("extDatas", Extensions, {"optional": True}),
    ]


class SealInfoLoose(core.Sequence):
    _fields = [
        ("header", Header),
        ("esID", core.IA5String),
        ("property", PropertyLoose),
        ("picture", Picture),
        ("extDatas", Extensions, {"optional": True}),
    ]


class SignInfo1(core.Sequence):
    _fields = [("cert", core.OctetString), ("signatureAlgorithm", core.ObjectIdentifier), ("signData", core.OctetBitString)]


class Seal1(core.Sequence):
    _fields = [("eSealInfo", SealInfo1), ("signInfo", SignInfo1)]


class Seal(core.Sequence):
    _fields = [
        ("eSealInfo", SealInfo),
        ("cert", core.OctetString),
        ("signAlgID", core.ObjectIdentifier),
        ("signedValue", core.OctetBitString),
        ("timeStamp", core.OctetBitString, {"explicit": 0, "optional": True}),
    ]


class SealLoose(core.Sequence):
    _fields = [("eSealInfo", SealInfoLoose), *Seal._fields[1:]]


class TbsSign1(core.Sequence):
    _fields = [
        ("version", core.Integer),
        ("eseal", core.Any),
        ("timeInfo", core.OctetBitString),
        ("dataHash", core.OctetBitString),
        ("propertyInfo", core.IA5String),
        ("cert", core.OctetString),
        ("signatureAlgorithm", core.ObjectIdentifier),
    ]


class TbsSign(core.Sequence):
    _fields = [
        ("version", core.Integer),
        ("eseal", core.Any),
        ("timeInfo", core.GeneralizedTime),
        ("dataHash", core.OctetBitString),
        ("propertyInfo", core.IA5String),
        ("extDatas", Extensions, {"explicit": 0, "optional": True}),
    ]


class TbsSignLoose(core.Sequence):
    _fields = [(name, Time, *more) if name == "timeInfo" else (name, kind, *more) for name, kind, *more in TbsSign._fields]


class Signature1(core.Sequence):
    _fields = [("toSign", TbsSign1), ("signature", core.OctetBitString)]


class Signature(core.Sequence):
    _fields = [
        ("toSign", TbsSign),
        ("cert", core.OctetString),
        ("signatureAlgID", core.ObjectIdentifier),
        ("signature", core.OctetBitString),
        ("timeStamp", core.OctetBitString, {"explicit": 0, "optional": True}),
    ]


class SignatureLoose(core.Sequence):
    _fields = [("toSign", TbsSignLoose), *Signature._fields[1:]]
