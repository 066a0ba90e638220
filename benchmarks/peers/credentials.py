"""A root and signers of it, made anew for every run: peers sign with these, never with a key of Fujie's."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs12
from cryptography.x509.oid import NameOID

from keys.base.clock import SystemClock

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Benchmark root")])
PASSPHRASE = "benchmark"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """PKCS #12 files of a P-256 and an RSA-2048 signer, each below a root of its kind; the P-256 root and its CRL."""

    p256: Path
    rsa2048: Path
    root: Path
    crl: Path


def make_credentials(folder: Path) -> Credentials:
    now = SystemClock().now()
    made = Credentials(folder / "p256.p12", folder / "rsa2048.p12", folder / "root.der", folder / "root.crl")
    root_key, root = _signer_below_a_root(made.p256, lambda: ec.generate_private_key(ec.SECP256R1()), now)
    _signer_below_a_root(made.rsa2048, lambda: rsa.generate_private_key(65537, 2048), now)
    made.root.write_bytes(root.public_bytes(Encoding.DER))
    week = dt.timedelta(days=7)
    crl = x509.CertificateRevocationListBuilder().issuer_name(NAME).last_update(now - week).next_update(now + week)
    made.crl.write_bytes(crl.sign(root_key, hashes.SHA256()).public_bytes(Encoding.DER))
    return made


def _signer_below_a_root(path: Path, generate: Callable[[], Key], now: dt.datetime) -> tuple[Key, x509.Certificate]:
    """A root and a signer with keys of one kind (node-forge reads no certificate of another); the signer goes to ``path``."""
    root_key, key = generate(), generate()
    root = _certificate(NAME, root_key, root_key, now, authority=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Benchmark signer")])
    path.write_bytes(_p12(key, _certificate(subject, key, root_key, now, authority=False), root))
    return root_key, root


def _certificate(subject: x509.Name, key: Key, issuer_key: Key, now: dt.datetime, *, authority: bool) -> x509.Certificate:
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    usage |= {"digital_signature": not authority, "content_commitment": not authority, "key_cert_sign": authority, "crl_sign": authority}
    return (
        x509.CertificateBuilder(NAME, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=8))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _p12(key: Key, certificate: x509.Certificate, root: x509.Certificate) -> bytes:
    """With the old password scheme: node-forge reads no newer one."""
    scheme = PrivateFormat.PKCS12.encryption_builder().key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).kdf_rounds(1)
    secret = scheme.hmac_hash(hashes.SHA1()).build(PASSPHRASE.encode())
    return pkcs12.serialize_key_and_certificates(b"benchmark", key, certificate, [root], secret)
