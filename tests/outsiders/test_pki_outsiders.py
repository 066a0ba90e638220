"""What openssl, GnuTLS and BouncyCastle make of our certificates: every profile, under authorities of every algorithm."""

import base64
import ctypes
import ctypes.util
import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from asn1crypto import pem
from cryptography import x509

from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import establish, establish_one
from keys.pki.certificate import Subject
from keys.pki.issuing import CertificateOrder, issue_order
from keys.pki.profiles import DEMONSTRATION_AUTHORITIES, PROFILES, AuthorityPlan
from tests.conftest import require_command

BASE_URL = "http://127.0.0.1:8000"
SUBJECT = Subject("某某市水务局行政审批专用章", "某某市水务局", "11990100MB0000001X", "990100")
PERSON = Subject("卫思远", "", "", "990100", "0190c0de-0000-7000-8000-000000000001")
DISTID = ("-vfyopt", "distid:1234567812345678")
BOUNCY_CASTLE = Path("/usr/share/java")
INTERNATIONAL = (Algorithm.P256, Algorithm.P384, Algorithm.RSA3072, Algorithm.RSA4096, Algorithm.ED25519)
SUBJECTS = {
    Algorithm.P256: (Algorithm.P256, Algorithm.P384, Algorithm.RSA2048, Algorithm.ED25519),
    Algorithm.P384: (Algorithm.P384,),
    Algorithm.RSA3072: (Algorithm.P256,),
    Algorithm.RSA4096: (Algorithm.RSA3072, Algorithm.RSA4096),
    Algorithm.ED25519: (Algorithm.ED25519,),
    Algorithm.SM2: (Algorithm.SM2,),
}
"""Kinds of keys to certify under an authority of each kind."""
ONLY = {Algorithm.RSA4096: "document-ca"}  # a key of this size takes a second to make
MADE: dict[Algorithm, list[tuple[str, tuple[bytes, ...]]]] = {}


def plans(algorithm: Algorithm) -> list[AuthorityPlan]:
    """A hierarchy of one algorithm: a root and an authority of each kind."""
    kinds = [name for name, profile in PROFILES.items() if profile.is_authority and name == ONLY.get(algorithm, name) != "root"]
    root = AuthorityPlan("root", "root", "root", f"演示 {algorithm} Root", algorithm)
    return [root, *(AuthorityPlan(kind, "root", kind, f"演示 {algorithm} {kind}", algorithm) for kind in kinds)]


async def chains(database: Database, keystore, algorithm: Algorithm) -> list[tuple[str, tuple[bytes, ...]]]:
    """A chain of each profile under a hierarchy of this algorithm, the leaf first; made once."""
    if algorithm not in MADE:
        MADE[algorithm] = await _chains(database, keystore, algorithm)
    return MADE[algorithm]


async def _chains(database: Database, keystore, algorithm: Algorithm) -> list[tuple[str, tuple[bytes, ...]]]:
    now, made = SystemClock().now(), []
    async with database.begin() as session:
        for plan in plans(algorithm):
            subject = Subject(plan.common_name, "演示专用，无法律效力 DEMONSTRATION", "", "990100")
            await establish_one(session, keystore, now, plan, subject, BASE_URL)
        for name, profile in PROFILES.items():
            for kind in () if profile.is_authority else SUBJECTS[algorithm]:
                issuers = profile.issuers & {plan.name for plan in plans(algorithm)} - {"root"}
                if kind in profile.algorithms and issuers:
                    issuer = sorted(issuers)[0]
                    made.append((name, await _one(session, keystore, now, issuer, name, kind)))
    return made


async def _one(session, keystore, now: dt.datetime, issuer: str, profile: str, algorithm: Algorithm) -> tuple[bytes, ...]:
    public = keystore.generate(algorithm, Purpose.SEALS).public
    subject = PERSON if profile == "person-sign-in" else SUBJECT
    hosts = ("exchange.example", "10.1.2.3") if PROFILES[profile].named else ()
    issued = await issue_order(session, keystore, now, CertificateOrder(issuer, profile, subject, public, hosts=hosts))
    return (issued.certificate, *issued.chain)


def files(folder: Path, chain: tuple[bytes, ...]) -> list[str]:
    names = []
    for number, der in enumerate(chain):
        path = folder / f"{number}.pem"
        path.write_bytes(pem.armor("CERTIFICATE", der))
        names.append(str(path))
    return names


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("algorithm", INTERNATIONAL)
async def test_openssl_and_gnutls_accept_every_profile(database, keystore, tmp_path, algorithm):
    openssl, certtool = require_command("openssl", "openssl"), require_command("certtool", "gnutls-bin")
    for profile, chain in await chains(database, keystore, algorithm):
        leaf, authority, root = files(tmp_path, chain)
        seen = run(openssl, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", root, "-untrusted", authority, leaf)
        assert (seen.returncode, seen.stdout.split()[-1:]) == (0, ["OK"]), (profile, seen.stderr)
        whole = tmp_path / "chain.pem"
        whole.write_bytes(b"".join(pem.armor("CERTIFICATE", der) for der in chain))
        told = run(certtool, "--verify", "--load-ca-certificate", root, "--infile", str(whole))
        assert told.returncode == 0, (profile, told.stdout)
        assert "The certificate is trusted" in told.stdout
        assert run(certtool, "--verify-chain", "--infile", str(whole)).returncode == 0, profile
        information = run(certtool, "--certificate-info", "--infile", leaf).stdout
        assert "Authority Information Access" in information
        assert "CRL Distribution points" in information
        for der, above in zip(chain, (*chain[1:], chain[-1]), strict=True):
            x509.load_der_x509_certificate(der).verify_directly_issued_by(x509.load_der_x509_certificate(above))


@pytest.mark.parametrize(
    ("profile", "purpose"),
    [("person-sign-in", "sslclient"), ("tsa-signer", "timestampsign"), ("ocsp-responder", "ocsphelper"), ("document-signer", "smimesign")],
)
async def test_openssl_accepts_each_for_its_purpose_only(database, keystore, tmp_path, profile, purpose):
    openssl = require_command("openssl", "openssl")
    made = dict(await chains(database, keystore, Algorithm.P384))
    leaf, authority, root = files(tmp_path, made[profile])
    verify = (openssl, "verify", "-x509_strict", "-CAfile", root, "-untrusted", authority, leaf, "-purpose")
    assert run(*verify[:-2], "-purpose", purpose, leaf).returncode == 0
    for other in {"sslserver", "sslclient", "timestampsign"} - {purpose}:
        if (profile, other) != ("ocsp-responder", "ocsphelper"):
            assert run(*verify[:-2], "-purpose", other, leaf).returncode != 0, other


@pytest.fixture(scope="session")
def bouncy_castle(tmp_path_factory) -> list[str]:
    """The command that runs the checker, compiled."""
    javac, java = require_command("javac", "default-jdk-headless"), require_command("java", "default-jre-headless")
    jars = [str(BOUNCY_CASTLE / f"{name}.jar") for name in ("bcprov", "bcpkix", "bcutil")]
    if not all(Path(jar).exists() for jar in jars):
        pytest.skip("needs BouncyCastle: apt-get install libbcprov-java libbcpkix-java")
    folder, path = tmp_path_factory.mktemp("java"), ":".join(jars)
    source = Path(__file__).with_name("java") / "ChainCheck.java"
    subprocess.run([javac, "-d", str(folder), "-cp", path, str(source)], check=True, capture_output=True, timeout=120)
    return [java, "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{path}", "ChainCheck"]


def ask(command: list[str], chosen: list[tuple[bytes, ...]]) -> list[str]:
    now = str(int(SystemClock().now().timestamp()))
    lines = "".join(" ".join([now, *(base64.b64encode(der).decode() for der in chain)]) + "\n" for chain in chosen)
    seen = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=120, check=True)
    return seen.stdout.splitlines()


@pytest.mark.parametrize("algorithm", [*INTERNATIONAL, Algorithm.SM2])
async def test_bouncy_castle_validates_whole_chains(database, keystore, bouncy_castle, algorithm):
    made = await chains(database, keystore, algorithm)
    broken = (made[0][1][0].replace(b"990100", b"990101", 1), *made[0][1][1:])
    *good, bad = ask(bouncy_castle, [*(chain for _, chain in made), broken])
    assert dict(zip((name for name, _ in made), good, strict=True)) == {name: "OK" for name, _ in made}
    assert bad != "OK"


async def test_sm2_chains_in_openssl_link_by_link_and_whole_through_its_library(database, keystore, tmp_path):
    """``openssl verify -vfyopt distid`` names the signer id of the certificate in question only (see docs/decisions); the library
    takes it for each certificate of the chain, and then accepts the whole."""
    openssl = require_command("openssl", "openssl")
    for profile, chain in await chains(database, keystore, Algorithm.SM2):
        leaf, authority, root = files(tmp_path, chain)
        for below, above in ((leaf, authority), (authority, root), (root, root)):
            seen = run(openssl, "verify", *DISTID, "-x509_strict", "-partial_chain", "-CAfile", above, below)
            assert (seen.returncode, seen.stdout.split()[-1:]) == (0, ["OK"]), (profile, seen.stderr)
        assert whole_chain_in_libcrypto(chain) == 1, profile
    altered = (chain[0], chain[1].replace(b"990100", b"990101", 1), chain[2])
    assert whole_chain_in_libcrypto(altered) != 1
    assert whole_chain_in_libcrypto(chain, b"another") != 1


def whole_chain_in_libcrypto(chain: tuple[bytes, ...], distid: bytes = b"1234567812345678") -> int:
    """X509_verify_cert over leaf, authority and root, each told the signer id by X509_set0_distinguishing_id."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    pointer = ctypes.c_void_p
    for name in ("d2i_X509", "X509_STORE_new", "X509_STORE_CTX_new", "OPENSSL_sk_new_null", "ASN1_OCTET_STRING_new"):
        getattr(crypto, name).restype = pointer

    def read(der: bytes) -> ctypes.c_void_p:
        start = ctypes.cast(ctypes.create_string_buffer(der, len(der)), ctypes.c_char_p)
        certificate = pointer(crypto.d2i_X509(None, ctypes.byref(start), ctypes.c_long(len(der))))
        identifier = pointer(crypto.ASN1_OCTET_STRING_new())
        crypto.ASN1_OCTET_STRING_set(identifier, distid, len(distid))
        crypto.X509_set0_distinguishing_id(certificate, identifier)
        return certificate

    leaf, authority, root = map(read, chain)
    store, untrusted, context = (
        pointer(getattr(crypto, name)()) for name in ("X509_STORE_new", "OPENSSL_sk_new_null", "X509_STORE_CTX_new")
    )
    crypto.X509_STORE_add_cert(store, root)
    crypto.OPENSSL_sk_push(untrusted, authority)
    crypto.X509_STORE_CTX_init(context, store, leaf, untrusted)
    answer: int = crypto.X509_verify_cert(context)
    crypto.X509_STORE_CTX_free(context)
    crypto.X509_STORE_free(store)
    return answer


async def test_the_demonstrations_own_hierarchy_in_bouncy_castle(database, keystore, bouncy_castle):
    await establish(database, keystore, SystemClock(), BASE_URL)
    now, asked = SystemClock().now(), []
    async with database.begin() as session:
        for plan in DEMONSTRATION_AUTHORITIES:
            responder = "ocsp-responder-sm" if plan.algorithm is Algorithm.SM2 else "ocsp-responder"
            asked.append(await _one(session, keystore, now, plan.name, responder, plan.algorithm))
    assert ask(bouncy_castle, asked) == ["OK"] * len(DEMONSTRATION_AUTHORITIES)


PKILINT = """
import sys
from pkilint.bin import lint_pkix_cert
sys.exit(max(lint_pkix_cert.main(["lint", "-s", "ERROR", path]) for path in sys.argv[1:]))
"""


@pytest.mark.parametrize("algorithm", [Algorithm.P256, Algorithm.SM2])
async def test_pkilint_finds_no_error(database, keystore, tmp_path, algorithm):
    """An outsider's linter over what ours let through (RFC 5280), and that it would have said so.

    Not the SM2 encryption certificate: RFC 8813 forbids encipherment with elliptic curves, GB/T 20518 gives SM2 just that use.
    """
    made = {der for name, chain in await chains(database, keystore, algorithm) for der in chain if name != "encryption-sm"}
    linted = run(sys.executable, "-c", PKILINT, *files(tmp_path, tuple(made)))
    assert (linted.returncode, linted.stderr) == (0, ""), linted.stdout
    spoilt = tuple(der.replace(bytes.fromhex("0603551d130101ff"), bytes.fromhex("0603551d13010100")) for der in made)  # not critical
    assert run(sys.executable, "-c", PKILINT, *files(tmp_path, spoilt)).returncode != 0
