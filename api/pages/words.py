"""Codes in words: what statuses, levels, scopes, checks and rules are called on the pages. Tables only."""

from dataclasses import dataclass

from api.pages.i18n import mark, translate


@dataclass(frozen=True, slots=True)
class Answer:
    """How a verdict is spoken: its tone (good, wait, bad, mute), a headline and the sentence under it."""

    tone: str
    headline: str
    sentence: str

    def within(self, locale: str) -> "Answer":
        return Answer(self.tone, translate(locale, self.headline), translate(locale, self.sentence))


NO_LONGER = mark("The record is genuine, but the certificate is no longer in force. Do not rely on it.")

RECORDS = {
    "in_force": Answer(
        "good",
        mark("The record is genuine and in force"),
        mark("This certificate was issued here and stands today. Compare it with the paper in your hand."),
    ),
    "not_yet_valid": Answer(
        "wait",
        mark("Genuine, but not yet valid"),
        mark("The record is genuine; its period has not begun. Do not rely on it before its first day."),
    ),
    "suspended": Answer(
        "wait", mark("Suspended"), mark("The record is genuine, but the issuer has suspended the certificate. Do not rely on it for now.")
    ),
    "revoked": Answer("bad", mark("Revoked"), NO_LONGER),
    "cancelled": Answer("bad", mark("Cancelled"), NO_LONGER),
    "expired": Answer("bad", mark("Expired"), NO_LONGER),
    "superseded": Answer(
        "wait",
        mark("Replaced by a newer one"),
        mark("The record is genuine, but it is no longer the current one. Ask for the newer certificate and verify that."),
    ),
    "disposed": Answer(
        "mute",
        mark("Disposed of"),
        mark("There was a certificate under this code. Its time is over: file and personal data were deleted. Do not rely on it."),
    ),
    "unknown": Answer("mute", mark("No such record"), mark("No certificate was issued here under this code.")),
}
UNCLEAR_RECORD = Answer(
    "mute", mark("The record does not say"), mark("The record exists, but its status is not one we can vouch for. Ask the issuer.")
)

STATUS_TAGS = {
    "in_force": ("good", mark("In force")),
    "not_yet_valid": ("wait", mark("Not yet valid")),
    "suspended": ("wait", mark("Suspended")),
    "revoked": ("bad", mark("Revoked")),
    "cancelled": ("bad", mark("Cancelled")),
    "expired": ("bad", mark("Expired")),
    "superseded": ("wait", mark("Replaced")),
    "disposed": ("mute", mark("Disposed of")),
    "unknown": ("mute", mark("Unclear")),
}

FILES = {
    "TOTAL_PASSED": Answer(
        "good",
        mark("The file is genuine and unaltered"),
        mark("Every signature and the seal were checked, over the whole file, with the certificates behind them."),
    ),
    "INDETERMINATE": Answer(
        "wait",
        mark("Not enough to say"),
        mark("Something needed for a firm answer is missing or does not hold. The list below says what."),
    ),
    "TOTAL_FAILED": Answer(
        "bad",
        mark("Do not rely on this file"),
        mark("At least one check failed: the file was altered, or its seal or signature does not hold."),
    ),
    "NO_SIGNATURE": Answer(
        "bad", mark("This file carries no signature"), mark("It may be a copy or a scan. Nothing proves where it comes from.")
    ),
    "UNREADABLE": Answer("bad", mark("This file cannot be read"), mark("It is damaged, or not a PDF, OFD or seal file.")),
}

WHOM_TO_ASK = mark("Ask whoever gave it to you for the original, or ask its issuer.")
OUTCOMES = {"PASSED": "good", "NOTICE": "mute", "INDETERMINATE": "wait", "FAILED": "bad"}
NOT_IN_FORCE = mark("The file is genuine, but the certificate does not stand")
NOT_ISSUED_HERE = mark("Its record is not held here, so nothing is said about whether it still stands. Ask its issuer.")
OTHER_CERTIFICATE = mark("This file is another certificate than the one whose code you looked up.")

INDICATIONS = {
    "TOTAL_PASSED": ("good", mark("Passed")),
    "INDETERMINATE": ("wait", mark("Unclear")),
    "TOTAL_FAILED": ("bad", mark("Failed")),
    "UNREADABLE": ("bad", mark("Unreadable")),
    "NO_SIGNATURE": ("bad", mark("No signature")),
}

LEVELS = {
    0: mark("not checked yet"),
    1: mark("self-declared and well-formed"),
    2: mark("name and number agree with the registry"),
    3: mark("confirmed by a second, independent source"),
    4: mark("checked in person, or by certificate"),
}

CODE_TYPES = {
    "111": mark("Resident ID card"),
    "516": mark("Hong Kong and Macao travel permit"),
    "511": mark("Taiwan travel permit"),
    "001": mark("Unified social credit code"),
}

SCOPES = {
    "openid": (mark("That it is you"), mark("The identifier of your account.")),
    "profile": (mark("Your name and level"), mark("Your display name and how well your identity was checked.")),
    "real_name": (mark("Your verified name"), mark("The name the registry confirmed, and at what level. Not your ID number.")),
    "offline_access": (mark("Access while you are away"), mark("The portal may ask again later, until you withdraw it.")),
    "pki:enrol": (mark("A sign-in certificate"), mark("Having a key of yours certified, with your name, for logging in.")),
    "trust:manage": (mark("The trust list"), mark("Deciding in your name which authorities are trusted here.")),
    "seals:manage": (mark("Electronic seals"), mark("Applying for seals, reviewing and managing them in your name.")),
    "catalogue:manage": (
        mark("The catalogue of certificates"),
        mark("Writing and reviewing types of certificates in your name."),
    ),
    "documents:seal": (mark("Documents to be sealed"), mark("Uploading documents, asking for seals and approving in your name.")),
    "seals:hash": (mark("Stamps by digest"), mark("Stamping documents that are never sent here.")),
    "seals:read": (mark("The register of seals"), mark("Seals of your organisation, their history and the feed.")),
    "certificates:read": (mark("Your certificates"), mark("The list of certificates in your name.")),
    "events:receive": (mark("Events"), mark("Being told what happens to the organisation's certificates.")),
    "certificates:numbers": (mark("Numbers in exports"), mark("Exports with numbers of people, on a legal basis.")),
    "certificates:issue": (mark("Issuing certificates"), mark("Sending approvals in your name.")),
    "identity:check": (mark("Real-name checks"), mark("Asking whether a name and a number belong together.")),
    "verify": (mark("Verification"), mark("Checking certificates and files.")),
}

AUDIT_OUTCOMES = {
    "done": ("good", mark("Done")),
    "refused": ("wait", mark("Refused")),
    "failed": ("bad", mark("Not completed")),
    "intent": ("mute", mark("Intended")),
}
ACTOR_KINDS = {
    "person": mark("Person"),
    "client": mark("Connected system"),
    "system": mark("This system"),
    "anonymous": mark("Not logged in"),
}

METHODS = {"pwd": mark("password"), "otp": mark("one-time code"), "hwk": mark("passkey"), "mfa": ""}

REAL_NAME_OUTCOMES = {
    "match": mark("Name and number agree with the registry."),
    "name_differs": mark("The registry has another name for this number."),
    "mobile_differs": mark("The mobile number is not this person's."),
    "no_record": mark("The registry does not know this number."),
    "id_invalid": mark("This cannot be a number of that kind."),
    "source_unavailable": mark("The registry does not answer at the moment. Please try again later."),
}
