"""Where messages to subscribers may go: never to our own networks, whatever a name said when it was registered."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certs.delivery_rules import Answer, Verdict, judge
from certs.webhook_http import Sender, WebhookAddressRefused, trusting
from seal.reachable import Reachable
from tests.receiving import Receiver

LOOPBACK = Reachable.read("127.0.0.0/8")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:1/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/",
        "https://192.168.1.1/", "https://172.16.0.1/", "https://100.64.0.1/", "https://0.0.0.0/", "https://[fe80::1]/", "https://[fc00::1]/",
        "https://[::ffff:192.168.0.1]/", "https://[64:ff9b::a00:1]/", "https://224.0.0.1/", "https://255.255.255.255/", "https://2130706433/",
        "https://0x7f.1/", "https://localhost/", "http://8.8.8.8/", "https://user:pass@8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd",
        "https://8.8.8.8/#x", "https://8.8.8.8/990100197003131003", "not an address", "https://8.8.8.8:0/", "https://8.8.8.8:99999/",
        "https:///x", "https://8.8.8.8/\r\nHost: x", "https://8.8.8.8/" + "x" * 500, "",
    ],
)  # fmt: skip
async def test_addresses_that_may_not_be_told(url: str) -> None:
    with pytest.raises(WebhookAddressRefused):
        await Sender().admit(url)


@pytest.mark.parametrize("url", ["https://8.8.8.8/hook", "https://[2001:4860:4860::8888]/", "https://1.1.1.1:8443/a?b=c"])
async def test_public_addresses_under_tls_may_be_told(url: str) -> None:
    assert await Sender().admit(url) == url


@pytest.mark.parametrize("found", [["8.8.8.8", "10.0.0.1"], ["127.0.0.1"], []])
async def test_a_name_is_judged_by_every_address_it_leads_to(found: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return found

    with pytest.raises(WebhookAddressRefused):
        await Sender(resolve=resolve).admit("https://subscriber.example/hook")


async def test_a_name_that_leads_home_after_it_was_registered_is_not_connected_to() -> None:
    """DNS rebinding: public when it is registered, loopback when it is told; nobody is connected to."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    async with Receiver() as receiver:
        sender, url = Sender(resolve=resolve), f"https://subscriber.example:{receiver.port}/hook"
        assert await sender.admit(url) == url
        async with sender.line(url) as line:
            answer = await line.post(b"{}", {})
        assert answer == Answer(None, "WEBHOOK_ADDRESS_REFUSED: address")
        assert judge(answer) is Verdict.TROUBLE
        assert not receiver.told


async def test_a_redirect_is_not_followed() -> None:
    async with Receiver() as within:
        redirecting = Receiver(lambda told: 307, more_headers=f"Location: {within.url}\r\n")
        async with redirecting as receiver, Sender(LOOPBACK).line(receiver.url) as line:
            assert await line.post(b"{}", {}) == Answer(307)
        assert (len(receiver.told), within.told) == (1, [])


async def test_a_subscriber_may_ask_for_a_pause() -> None:
    async with Receiver(lambda told: 429, more_headers="Retry-After: 120\r\n") as receiver, Sender(LOOPBACK).line(receiver.url) as line:
        assert await line.post(b"{}", {}) == Answer(429, "", 120.0)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for a name, and the PEM that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    trusted, private = folder / "trusted.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted


async def test_under_tls_the_certificate_is_asked_for_the_name_that_was_registered(tmp_path: Path) -> None:
    served, trusted = certificate(tmp_path, "subscriber.example")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with Receiver(tls=served) as receiver:
        outcomes = {}
        for name, bundle in (("subscriber.example", trusted), ("other.example", trusted), ("subscriber.example", None)):
            sender = Sender(LOOPBACK, trusting(bundle), resolve)
            async with sender.line(f"https://{name}:{receiver.port}/hook") as line:
                outcomes[name, bundle is not None] = (await line.post(b"{}", {})).status
        assert outcomes == {("subscriber.example", True): 204, ("other.example", True): None, ("subscriber.example", False): None}
        assert [one.headers["host"] for one in receiver.told] == [f"subscriber.example:{receiver.port}"]
