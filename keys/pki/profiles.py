"""Certificate profiles and the authorities of the demonstration, as data (RFC 5280, GB/T 20518).

A profile says what a kind of certificate states and which kinds of authorities may issue it; which algorithm an authority
itself signs with is chosen in its plan. An SM2 authority certifies SM2 keys only, every other authority none of them: a
chain is of one family (GB/T 20518).
"""

from dataclasses import dataclass

from keys.custody.store import Algorithm

DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"  # id-kp-documentSigning, RFC 9336
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"  # id-kp-emailProtection: what NSS (pdfsig) and `openssl cms` ask of a signer
CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2"  # id-kp-clientAuth
SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"  # id-kp-serverAuth
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"  # id-kp-timeStamping; RFC 3161 §2.3: critical and alone
TRUST_LIST_SIGNING = "0.4.0.2231.3.0"  # id-tsl-kp-tslSigning, ETSI TS 102 231 annex B: who may sign a list of trusted authorities
OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"  # id-kp-OCSPSigning, RFC 6960 §4.2.2.2

SIGNING_USE = frozenset({"digital_signature", "non_repudiation"})
PRESENCE_USE = frozenset({"digital_signature"})
ENCRYPTION_USE = frozenset({"key_encipherment", "data_encipherment", "key_agreement"})  # GB/T 20518: the encryption certificate of a pair
AUTHORITY_USE = frozenset({"key_cert_sign", "crl_sign"})

SM2_ONLY = (Algorithm.SM2,)
INTERNATIONAL = (Algorithm.P256, Algorithm.P384, Algorithm.RSA2048, Algorithm.RSA3072, Algorithm.RSA4096, Algorithm.ED25519)
EVERY_SIGNATURE = (*INTERNATIONAL, Algorithm.SM2)
# An authority's RSA key is expected to last past 2030: 3072 bits and more (NIST SP 800-57 part 1, table 2).
AUTHORITY_ALGORITHMS = (Algorithm.P256, Algorithm.P384, Algorithm.RSA3072, Algorithm.RSA4096, Algorithm.ED25519, Algorithm.SM2)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate says.

    ``algorithms``          the kinds of keys it certifies, the usual one first
    ``issuers``             the profiles of the authorities that may issue it
    ``days``                period of validity unless the order names its end
    ``key_usage``           bits of RFC 5280 §4.2.1.3, always critical
    ``extended_key_usage``  OIDs; none leaves the extension out; ``extended_critical`` makes it critical
    ``path_length``         for an authority: how many authorities may follow below it
    ``no_check``            id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): nobody asks for the status of whoever answers for it
    ``named``               may name hosts (subjectAltName, RFC 5280 §4.2.1.6)
    """

    name: str
    algorithms: tuple[Algorithm, ...]
    issuers: frozenset[str]
    days: int
    key_usage: frozenset[str]
    extended_key_usage: tuple[str, ...] = ()
    extended_critical: bool = False
    path_length: int | None = None
    no_check: bool = False
    named: bool = False

    @property
    def algorithm(self) -> Algorithm:
        """The usual kind of key."""
        return self.algorithms[0]

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
    algorithm: Algorithm

    @property
    def is_root(self) -> bool:
        return self.parent == self.name


_ROOT_DAYS, _AUTHORITY_DAYS, _STAMPER_DAYS, _SIGNER_DAYS, _PERSON_DAYS, _RESPONDER_DAYS = 9131, 7305, 1826, 1096, 731, 90
_ROOT = frozenset({"root"})
_AUTHORITIES = frozenset({"root", "seal-ca", "seal-maker-ca", "document-ca", "person-ca", "tsa-ca"})


def _authority(name: str) -> Profile:
    return Profile(name, AUTHORITY_ALGORITHMS, _ROOT, _AUTHORITY_DAYS, AUTHORITY_USE, path_length=0)


def _responder(name: str, algorithms: tuple[Algorithm, ...]) -> Profile:
    return Profile(name, algorithms, _AUTHORITIES, _RESPONDER_DAYS, PRESENCE_USE, (OCSP_SIGNING,), no_check=True)


_SIGNERS = frozenset({"seal-ca", "document-ca"})
_SIGNING = (DOCUMENT_SIGNING, EMAIL_PROTECTION)
_BOTH_ENDS = (SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION)  # two instances call each other: each is server and client
_INSTANCE_DAYS = 90

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("root", AUTHORITY_ALGORITHMS, _ROOT, _ROOT_DAYS, AUTHORITY_USE, path_length=1),
        _authority("seal-ca"),
        _authority("seal-maker-ca"),
        _authority("document-ca"),
        _authority("person-ca"),
        _authority("tsa-ca"),
        Profile("document-signer", INTERNATIONAL, _SIGNERS, _SIGNER_DAYS, SIGNING_USE, _SIGNING),
        Profile("seal-signer-sm", SM2_ONLY, _SIGNERS, _SIGNER_DAYS, SIGNING_USE, (DOCUMENT_SIGNING,)),
        Profile("encryption-sm", SM2_ONLY, _SIGNERS | {"person-ca"}, _SIGNER_DAYS, ENCRYPTION_USE),
        Profile("seal-maker", SM2_ONLY, frozenset({"seal-maker-ca"}), _SIGNER_DAYS, SIGNING_USE),
        Profile("person-sign-in", EVERY_SIGNATURE, frozenset({"person-ca"}), _PERSON_DAYS, PRESENCE_USE, (CLIENT_AUTHENTICATION,)),
        Profile("tsa-signer", EVERY_SIGNATURE, frozenset({"tsa-ca"}), _STAMPER_DAYS, SIGNING_USE, (TIME_STAMPING,), extended_critical=True),
        Profile("trust-list-signer", EVERY_SIGNATURE, _SIGNERS, _SIGNER_DAYS, PRESENCE_USE, (TRUST_LIST_SIGNING,)),
        Profile("instance-tls", INTERNATIONAL, frozenset({"document-ca"}), _INSTANCE_DAYS, PRESENCE_USE, _BOTH_ENDS, named=True),
        _responder("ocsp-responder", INTERNATIONAL),
        _responder("ocsp-responder-sm", SM2_ONLY),
    )
}

# Parents come before their children. Names stay within 64 octets: some readers count ub-common-name so, not in characters.
DEMONSTRATION_AUTHORITIES: tuple[AuthorityPlan, ...] = (
    AuthorityPlan("root", "root", "root", "符节演示根CA Fujie DEMONSTRATION Root CA", Algorithm.P256),
    AuthorityPlan("seal", "root", "seal-ca", "符节演示印章CA Fujie DEMONSTRATION Seal CA", Algorithm.P256),
    AuthorityPlan("documents", "root", "document-ca", "符节演示文书CA Fujie DEMONSTRATION Document CA", Algorithm.P256),
    AuthorityPlan("persons", "root", "person-ca", "符节演示个人CA Fujie DEMONSTRATION Person CA", Algorithm.P256),
    AuthorityPlan("tsa", "root", "tsa-ca", "符节演示时间戳CA Fujie DEMONSTRATION Time-Stamp CA", Algorithm.P256),
    AuthorityPlan("root-sm", "root-sm", "root", "符节演示国密根CA Fujie DEMONSTRATION SM2 Root CA", Algorithm.SM2),
    AuthorityPlan("seal-sm", "root-sm", "seal-ca", "符节演示国密印章CA Fujie DEMONSTRATION SM2 Seal CA", Algorithm.SM2),
    AuthorityPlan("seal-maker", "root-sm", "seal-maker-ca", "符节演示制章CA Fujie DEMONSTRATION Seal Maker CA", Algorithm.SM2),
)
DEMONSTRATION_ORGANISATION = "演示专用，无法律效力 DEMONSTRATION, no legal effect"
DEMONSTRATION_DIVISION = "990100"
