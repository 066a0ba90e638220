"""Settings: the one place that reads the environment (and ``fujie.toml``, beside the working directory)."""

import base64
import binascii
import datetime as dt
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from keys.base.object_store import S3Address
from keys.custody.private_file import in_memory
from keys.evidence.notes import MalformedNote, VerifierKey
from keys.schedule import Schedule
from keys.suites import Crypto
from keys.time.sntp import TimeServer
from seal.reachable import Reachable
from seal.upgrade_policy import Renewal, read_sunsets

_KEK_OCTETS = 32
_HELD: dict[str, Path] = {}
"""Secrets that stood in the environment, by setting: where they are now."""
_S3_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Settings(BaseSettings):
    """``FUJIE_*`` variables; an empty one counts as absent (CONTRACT.md, Environment).

    A secret among them is taken out of the environment, so that no process we start inherits it, and held in memory
    under a path that our own processes can read; see :mod:`keys.custody.private_file`.
    """

    model_config = SettingsConfigDict(env_prefix="FUJIE_", toml_file="fujie.toml", env_ignore_empty=True, extra="ignore")

    home: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    base_url: str = ""
    database_url: str = ""
    redis_url: str = ""
    blob_url: str = ""
    s3_endpoint: str = ""
    s3_region: str = ""
    scrub_kilobytes: int = Field(default=2048, ge=16, le=1_048_576)
    scrub_days: float = Field(default=30, gt=0, le=3660)
    orphan_hours: float = Field(default=168, ge=1, le=8760)
    preview_megabytes: int = Field(default=512, ge=1, le=1_048_576)
    workers: int = Field(default=1, ge=1, le=64)
    cpu_workers: int = Field(default=0, ge=0, le=256)
    background: bool = True
    demo: bool = True
    crypto: Crypto = Crypto.INTL
    token_key_days: float = Field(default=90, gt=0, le=3660)
    jwks_seconds: int = Field(default=300, ge=1, le=86_400)

    document_megabytes: int = Field(default=50, ge=1, le=500)
    document_pages: int = Field(default=1000, ge=1, le=10_000)
    upload_person_megabytes: int = Field(default=5120, ge=1, le=1_048_576)
    upload_organisation_megabytes: int = Field(default=51_200, ge=1, le=1_048_576)
    upload_days: float = Field(default=30, gt=0, le=3660)
    registry_networks: str = ""
    webhook_networks: str = ""
    webhook_ca: Path | None = None
    drop: Path | None = None
    document_seconds: float = Field(default=60, ge=1, le=600)

    time_source: str = ""
    tsa_url: str = ""
    tsa_anchors: Path | None = None
    tsa_policy: str = Field(default="", pattern=r"^$|^[0-2](\.(0|[1-9]\d{0,39})){1,20}$")
    tsa_accuracy_ms: int = Field(default=1000, ge=0, le=60_000)
    timestamp_max_age: int = Field(default=3600, ge=1)
    archive: str = Field(default="off", pattern=r"^(off|all|[0-9A-Z]{4,40}(,[0-9A-Z]{4,40})*)$")
    archive_margin_days: int = Field(default=180, ge=1, le=3660)
    hash_sunsets: str = Field(default="", pattern=r"^$|^[a-z0-9]+=\d{4}-\d\d-\d\d(,[a-z0-9]+=\d{4}-\d\d-\d\d)*$")

    anchor_seconds: float = Field(default=600, ge=1, le=86_400)
    witness_seconds: float = Field(default=30, ge=0.1, le=86_400)
    audit_seconds: float = Field(default=86_400, ge=1)
    witnesses: str = ""

    federation_host: str = "127.0.0.1"
    federation_port: int = Field(default=0, ge=0, le=65535)
    federation_seconds: float = Field(default=15, ge=1, le=3600)

    pkcs11_module: Path | None = None
    pkcs11_token: str = ""
    pkcs11_pin: SecretStr = SecretStr("")
    pkcs11_pin_file: Path | None = None
    key_encryption_key: SecretStr = SecretStr("")
    _held: dict[str, Path] = PrivateAttr(default_factory=dict)

    @field_validator("key_encryption_key")
    @classmethod
    def _key_of_32_octets(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            _kek(value.get_secret_value())
        return value

    def model_post_init(self, context: Any, /) -> None:
        """Secrets go where the processes we start do not see them in their environment."""
        if secret := self.pkcs11_pin.get_secret_value():
            _HELD["pkcs11_pin"] = in_memory("fujie-pin", secret.encode())
        if secret := self.key_encryption_key.get_secret_value():
            _HELD["key_encryption_key"] = in_memory("fujie-key-encryption-key", _kek(secret))
        self.pkcs11_pin = self.key_encryption_key = SecretStr("")
        if self.blob_url.startswith("s3:"):
            for name in _S3_SECRETS:
                if secret := os.environ.pop(name, ""):
                    _HELD[name] = in_memory(name, secret.encode())
        self._held = dict(_HELD)
        for name in [name for name in os.environ if name.upper() in {"FUJIE_PKCS11_PIN", "FUJIE_KEY_ENCRYPTION_KEY"}]:
            del os.environ[name]

    @property
    def pin_files(self) -> list[Path]:
        """Where the token's PIN may be read: one place, unless the settings contradict themselves."""
        return [path for path in (self.pkcs11_pin_file, self._held.get("pkcs11_pin")) if path is not None]

    @property
    def given_key_file(self) -> Path | None:
        """The key-encryption key of ``FUJIE_KEY_ENCRYPTION_KEY``, in memory."""
        return self._held.get("key_encryption_key")

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.absolute()

    @field_validator("database_url")
    @classmethod
    def _asyncpg(cls, value: str) -> str:
        """Any PostgreSQL URL is taken; the driver is ours to choose."""
        scheme, separator, rest = value.partition("://")
        if not separator:
            return value
        if scheme.split("+")[0] not in {"postgresql", "postgres"}:
            raise ValueError("FUJIE_DATABASE_URL must be a postgresql:// address")
        return f"postgresql+asyncpg://{rest}"

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        """Another authority's time stamps are believed because of its anchors; without them there is nothing to check."""
        if bool(self.tsa_url) != (self.tsa_anchors is not None):
            raise ValueError("FUJIE_TSA_URL and FUJIE_TSA_ANCHORS belong together")
        return self

    @field_validator("registry_networks", "webhook_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        Reachable.read(value)
        return value

    @property
    def reachable(self) -> Reachable:
        """Whom our service may ask: public addresses, and the networks of ``FUJIE_REGISTRY_NETWORKS``."""
        return Reachable.read(self.registry_networks)

    @property
    def time_servers(self) -> list[TimeServer]:
        """Those of ``FUJIE_TIME_SOURCE``: ``ntp://host[:port]``, several separated by commas."""
        return [TimeServer.parse(one) for one in self.time_source.split(",") if one.strip()]

    @field_validator("time_source")
    @classmethod
    def _time_servers(cls, value: str) -> str:
        for one in filter(str.strip, value.split(",")):
            TimeServer.parse(one)
        return value

    @field_validator("blob_url")
    @classmethod
    def _file_or_s3(cls, value: str) -> str:
        """``file:/folder`` or ``s3://bucket/prefix``; no credentials in an address."""
        parts = urlsplit(value)
        if value and parts.scheme not in {"file", "s3"}:
            raise ValueError("FUJIE_BLOB_URL must be a file: or an s3: address")
        if parts.scheme == "s3" and (not parts.hostname or "@" in parts.netloc or parts.query):
            raise ValueError("FUJIE_BLOB_URL must be s3://BUCKET or s3://BUCKET/PREFIX, without credentials")
        return value

    @field_validator("witnesses")
    @classmethod
    def _witnesses(cls, value: str) -> str:
        """``VKEY@URL`` of each, with spaces or commas between them."""
        for item in value.replace(",", " ").split():
            vkey, separator, _ = item.partition("@http")
            try:
                good = bool(separator) and VerifierKey.parse(vkey).kind.timed
            except MalformedNote:
                good = False
            if not good:
                raise ValueError("must be VKEY@URL of cosignature keys")
        return value

    @field_validator("base_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @cached_property
    def issuer(self) -> str:
        """The base URL: follows the port unless set."""
        return self.base_url or f"http://127.0.0.1:{self.port}"

    @property
    def witness_list(self) -> list[tuple[str, str]]:
        """Verifier key and address of each witness the settings name."""
        parts = [item.partition("@http") for item in self.witnesses.replace(",", " ").split()]
        return [(vkey, f"http{rest}") for vkey, _, rest in parts]

    @field_validator("hash_sunsets")
    @classmethod
    def _sunsets(cls, value: str) -> str:
        """Digests we know, and days there are."""
        read_sunsets(value)
        return value

    @property
    def renewal(self) -> Renewal:
        """When sealed files are stamped again."""
        return Renewal(read_sunsets(self.hash_sunsets), dt.timedelta(days=self.archive_margin_days))

    @property
    def anchor_period(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.anchor_seconds)

    @property
    def secure(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def blob_folder(self) -> Path:
        """Where certificates' files are: the folder of ``FUJIE_BLOB_URL``, else one in the home."""
        return Path(urlsplit(self.blob_url).path) if self.blob_url else self.home / "blobs"

    @property
    def s3_address(self) -> S3Address | None:
        """The bucket of ``FUJIE_BLOB_URL``; None: files are in a folder. Without keys in the environment the instance's role is asked."""
        parts = urlsplit(self.blob_url)
        if parts.scheme != "s3":
            return None
        secret, token = (self._held[name].read_text() if name in self._held else "" for name in _S3_SECRETS)
        key_id = os.environ.get("AWS_ACCESS_KEY_ID", "") if secret else ""
        return S3Address(parts.netloc, parts.path.strip("/"), self.s3_endpoint, self.s3_region, key_id, secret, token)

    @property
    def trust_file(self) -> Path:
        return self.home / "trust.pem"

    @property
    def key_file(self) -> Path:
        """The key-encryption key: 32 octets, mode 0600."""
        return self.home / "secrets" / "key-encryption-key"

    @property
    def rotation(self) -> Schedule:
        """When token keys change. Where a set may be kept for seconds only, all is one trial machine, and clocks agree as well."""
        cached = dt.timedelta(seconds=self.jwks_seconds)
        usual = Schedule()
        return Schedule(
            period=dt.timedelta(days=self.token_key_days), cached=cached, read=min(usual.read, cached), skew=min(usual.skew, cached)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def _kek(text: str) -> bytes:
    """32 octets written as 64 hexadecimal digits or in base64. The error says nothing of the value."""
    for decode in (bytes.fromhex, lambda given: base64.b64decode(given, validate=True)):
        try:
            octets = decode(text.strip())
        except (ValueError, binascii.Error):
            continue
        if len(octets) == _KEK_OCTETS:
            return octets
    raise ValueError("a key-encryption key is 64 hexadecimal digits or the base64 of 32 octets")


def language() -> str:
    """The language of a person at the terminal, from the usual locale variables."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
