"""What the pages of the catalogue call things. Marked for translation; the pages translate where they show."""

from api.pages.i18n import mark, translate
from certs.catalogue import CertificateType, FieldKind, HolderKind, Mask, SharingClass
from certs.type_lifecycle import TypeMove, TypeStatus

STATUSES = {
    TypeStatus.PUBLISHED: mark("In force (type)"),
    TypeStatus.DRAFT: mark("Draft"),
    TypeStatus.REVIEW: mark("In review"),
    TypeStatus.RETIRED: mark("Retired"),
    TypeStatus.ABANDONED: mark("Abandoned"),
}
TONES = {
    TypeStatus.PUBLISHED: "good",
    TypeStatus.DRAFT: "mute",
    TypeStatus.REVIEW: "wait",
    TypeStatus.RETIRED: "bad",
    TypeStatus.ABANDONED: "none",
}
SHARING = {
    SharingClass.UNCONDITIONAL: mark("Shared unconditionally"),
    SharingClass.CONDITIONAL: mark("Shared conditionally"),
    SharingClass.NOT_SHARED: mark("Not shared"),
}
HOLDERS = {HolderKind.LEGAL: mark("organisations"), HolderKind.NATURAL: mark("people"), HolderKind.BOTH: mark("people and organisations")}
MASKS = {
    Mask.NONE: mark("Shown in full"),
    Mask.NAME: mark("Masked as a name"),
    Mask.ADDRESS: mark("Masked as an address"),
    Mask.NUMBER: mark("Masked as a number"),
    Mask.HIDDEN: mark("Hidden"),
}
KINDS = {
    FieldKind.TEXT: mark("Text"),
    FieldKind.DATE: mark("Date"),
    FieldKind.INTEGER: mark("Whole number"),
    FieldKind.DECIMAL: mark("Number"),
    FieldKind.CHOICE: mark("Choice"),
}
MEMBERS = {
    "name_zh": mark("Chinese name"),
    "name_en": mark("English name"),
    "holder_kind": mark("Holders"),
    "issued_here": mark("Issued here"),
    "open_ended": mark("Open end"),
    "max_years": mark("Most years"),
    "issuers": mark("Issuers"),
    "matters": mark("Matters"),
    "seal_kind": mark("Kind of seal"),
    "template": mark("Template"),
    "most_holders": mark("Most holders"),
    "offline_fields": mark("Offline code"),
    "sharing": mark("Sharing"),
    "exact_term": mark("Exact term"),
    "own_documents": mark("Own documents"),
    "aliases": mark("Other names"),
    "fields": mark("Order of the fields"),
    "field.name": mark("Label"),
    "field.mandatory": mark("Mandatory"),
    "field.mask": mark("Shown to strangers"),
    "field.kind": mark("Kind of value"),
    "field.longest": mark("Most characters"),
    "field.pattern": mark("Form"),
    "field.choices": mark("Choices"),
}
YES, NO = mark("yes"), mark("no")
VALUES = {
    **{("holder_kind", one.value): words for one, words in HOLDERS.items()},
    **{("field.mask", one.value): words for one, words in MASKS.items()},
    **{("field.kind", one.value): words for one, words in KINDS.items()},
}
"""Values of a definition by member, where they are words of ours."""
MOVES_OFFERED = {
    TypeMove.PUBLISH: (mark("Agree and publish"), False, False),
    TypeMove.SEND_BACK: (mark("Send it back"), True, True),
    TypeMove.SUBMIT: (mark("Ask for a review"), False, False),
    TypeMove.ABANDON: (mark("Give it up"), True, True),
    TypeMove.RETIRE: (mark("Retire the type"), True, True),
}
"""Label, whether it needs a reason, whether it takes something away."""


def holder_words(kind: CertificateType, locale: str) -> str:
    held = translate(locale, HOLDERS[kind.holder_kind])
    return translate(locale, mark("%(kind)s, at most %(most)s together")) % {"kind": held, "most": kind.most_holders}
