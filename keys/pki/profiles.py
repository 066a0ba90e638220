"""Certificate profiles and the authorities of the demonstration, as data (RFC 5280, GB/T 20518)."""

from dataclasses import dataclass

from keys.custody.store import Algorithm

DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"  # id-kp-documentSigning, RFC 9336
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"  # id-kp-emailProtection: what NSS (pdfsig) and `openssl cms` ask of a signer

SIGNING_USE = frozenset({"digital_signature", "non_repudiation"})
AUTHORITY_USE = frozenset({"key_cert_sign", "crl_sign"})


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate says.

    ``algorithm``           the kind of key it certifies
    ``authorities``         who may issue it
    ``days``                period of validity unless the order names its end
    ``key_usage``           bits of RFC 5280 §4.2.1.3, always critical
    ``extended_key_usage``  OIDs; none leaves the extension out
    ``path_length``         for an authority: how many authorities may follow below it
    """

    name: str
    algorithm: Algorithm
    authorities: frozenset[str]
    days: int
    key_usage: frozenset[str]
    extended_key_usage: tuple[str, ...] = ()
    path_length: int | None = None

    @property
    def is_authority(self) -> bool:
        return self.path_length is not None


@dataclass(frozen=True, slots=True)
class AuthorityPlan:
    """An authority to be established; ``parent`` is its own name for a root."""

    name: str
    parent: str
    profile: str
    common_name: str

    @property
    def is_root(self) -> bool:
        return self.parent == self.name


_ROOT_DAYS, _AUTHORITY_DAYS, _SIGNER_DAYS = 9131, 7305, 1096  # 25, 20 and 3 years

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("root", Algorithm.P256, frozenset({"root"}), _ROOT_DAYS, AUTHORITY_USE, path_length=1),
        Profile("authority", Algorithm.P256, frozenset({"root"}), _AUTHORITY_DAYS, AUTHORITY_USE, path_length=0),
        Profile("document-signer", Algorithm.P256, frozenset({"seal"}), _SIGNER_DAYS, SIGNING_USE, (DOCUMENT_SIGNING, EMAIL_PROTECTION)),
        Profile("root-sm", Algorithm.SM2, frozenset({"root-sm"}), _ROOT_DAYS, AUTHORITY_USE, path_length=1),
        Profile("authority-sm", Algorithm.SM2, frozenset({"root-sm"}), _AUTHORITY_DAYS, AUTHORITY_USE, path_length=0),
        Profile("seal-signer-sm", Algorithm.SM2, frozenset({"seal-sm"}), _SIGNER_DAYS, SIGNING_USE, (DOCUMENT_SIGNING,)),
        Profile("seal-maker", Algorithm.SM2, frozenset({"seal-maker"}), _SIGNER_DAYS, SIGNING_USE),
    )
}

# Parents come before their children. Names stay within 64 octets: some readers count ub-common-name so, not in characters.
DEMONSTRATION_AUTHORITIES: tuple[AuthorityPlan, ...] = (
    AuthorityPlan("root", "root", "root", "符节演示根CA Fujie DEMONSTRATION Root CA"),
    AuthorityPlan("seal", "root", "authority", "符节演示印章CA Fujie DEMONSTRATION Seal CA"),
    AuthorityPlan("root-sm", "root-sm", "root-sm", "符节演示国密根CA Fujie DEMONSTRATION SM2 Root CA"),
    AuthorityPlan("seal-sm", "root-sm", "authority-sm", "符节演示国密印章CA Fujie DEMONSTRATION SM2 Seal CA"),
    AuthorityPlan("seal-maker", "root-sm", "authority-sm", "符节演示制章CA Fujie DEMONSTRATION Seal Maker CA"),
)
DEMONSTRATION_ORGANISATION = "演示专用，无法律效力 DEMONSTRATION, no legal effect"
DEMONSTRATION_DIVISION = "990100"
