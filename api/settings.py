"""Settings: the one place that reads the environment (and ``fujie.toml``, beside the working directory)."""

import os
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    """``FUJIE_*`` variables; an empty one counts as absent (CONTRACT.md, Environment)."""

    model_config = SettingsConfigDict(env_prefix="FUJIE_", toml_file="fujie.toml", env_ignore_empty=True, extra="ignore")

    home: Path = Path("var")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    base_url: str = ""
    database_url: str = ""
    redis_url: str = ""
    blob_url: str = ""
    workers: int = Field(default=1, ge=1, le=64)
    cpu_workers: int = Field(default=0, ge=0, le=256)
    demo: bool = True

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

    @field_validator("blob_url")
    @classmethod
    def _folder(cls, value: str) -> str:
        """Files are kept in a folder; an S3 store is not written yet, and pretending would lose documents."""
        if value and not value.startswith("file:"):
            raise ValueError("FUJIE_BLOB_URL must be a file: address")
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
    def secure(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def blob_folder(self) -> Path:
        """Where certificates' files are: the folder of ``FUJIE_BLOB_URL``, else one in the home."""
        return Path(urlsplit(self.blob_url).path) if self.blob_url else self.home / "blobs"

    @property
    def trust_file(self) -> Path:
        return self.home / "trust.pem"

    @property
    def key_file(self) -> Path:
        """The key-encryption key: 32 octets, mode 0600."""
        return self.home / "secrets" / "key-encryption-key"

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


def language() -> str:
    """The language of a person at the terminal, from the usual locale variables."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
