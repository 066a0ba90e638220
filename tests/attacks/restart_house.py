"""All that the service is made of, each a process of its own to be killed and started again: PostgreSQL, Valkey, S3, web, workers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from api.embedded import EmbeddedPostgres, EmbeddedValkey, ServerDidNotStart, _stop
from tests.running import ROOT, City, environment, free_port

READY_SECONDS = 120.0
S3_USER, S3_PASSWORD, BUCKET, REGION = "fujie-tests", "not-a-secret-12", "fujie", "us-east-1"


class Part(Protocol):
    """Something that runs. ``kill`` is SIGKILL; ``start`` waits until it answers."""

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Server:
    """PostgreSQL or Valkey as the embedded house starts them, with its data kept."""

    one: Any
    url: str = ""

    def start(self) -> None:
        """PostgreSQL refuses to start while a child of the one that was killed still holds its memory: then again."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.url = self.one.__enter__()
            except ServerDidNotStart:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def kill(self) -> None:
        process = self.one._process
        process.kill()
        process.wait()

    def stop(self) -> None:
        _stop(self.one._process)


@dataclass
class S3:
    """An S3 gateway (JuiceFS, with MinIO's S3) over a folder: what it acknowledged is there after it was killed."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    _reader: Any = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def program(self) -> str:
        return str(Path(sys.executable).with_name("juicefs"))

    @property
    def _meta(self) -> str:
        return f"sqlite3://{self.folder}/meta.db"

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=S3_USER, aws_secret_access_key=S3_PASSWORD, region_name=REGION,
            config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )  # fmt: skip

    def start(self) -> None:
        if not (self.folder / "meta.db").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            made = [self.program, "format", self._meta, BUCKET, "--storage", "file", "--bucket", f"{self.folder}/objects/"]
            subprocess.run(made, check=True, capture_output=True, env=self._environment(), timeout=60)
        command = [
            self.program,
            "gateway",
            self._meta,
            f"127.0.0.1:{self.port}",
            "--no-usage-report",
            "--cache-dir",
            f"{self.folder}/cache",
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment(), start_new_session=True)
        self._until_it_answers()

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), "MINIO_ROOT_USER": S3_USER, "MINIO_ROOT_PASSWORD": S3_PASSWORD}

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                self.client().list_objects_v2(Bucket=BUCKET, MaxKeys=1)
            except (BotoCoreError, ClientError):
                assert self.process is not None
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()

    def read(self, digest: bytes) -> bytes | None:
        """The object of a certificate's file; None where there is none."""
        name = digest.hex()
        self._reader = self._reader or self.client()
        try:
            content: bytes = self._reader.get_object(Bucket=BUCKET, Key=f"{name[:2]}/{name[2:4]}/{name}")["Body"].read()
        except ClientError:
            return None
        return content


@dataclass
class Worker:
    """``fujie worker``, on the same servers."""

    house: "RestartHouse"
    number: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.house.home.with_name(f"worker-{self.number}.log").open("ab") as log:
            surroundings = environment(self.house.home, self.house.port, **self.house.settings, FUJIE_CPU_WORKERS="1")
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "worker"], stdout=log, stderr=log, env=surroundings, cwd=ROOT, start_new_session=True
            )

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        _stop(self.process, 30.0)


@dataclass
class Web:
    """``fujie serve`` with its own background work, on the same servers."""

    city: City

    def start(self) -> None:
        """Again where a busy machine did not bring it up in time; what it had begun to make it goes on with."""
        for _ in range(3):
            try:
                self.city.start()
            except RuntimeError:
                continue
            return
        self.city.start()

    def kill(self) -> None:
        self.city.kill()

    def stop(self) -> None:
        self.city.stop()


@dataclass
class RestartHouse:
    """All of it in one folder with a short path. ``workers``: how many beside the web's own."""

    folder: Path
    workers: int = 2
    port: int = field(default_factory=free_port)
    parts: dict[str, Part] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def city(self) -> City:
        web = self.parts["web"]
        assert isinstance(web, Web)
        return web.city

    @property
    def s3(self) -> S3:
        found = self.parts["s3"]
        assert isinstance(found, S3)
        return found

    @property
    def database_url(self) -> str:
        """For asyncpg."""
        return self.settings["FUJIE_DATABASE_URL"]

    def start(self) -> None:
        """From the ground up; the demonstration city is made on the first start."""
        database, redis = Server(EmbeddedPostgres(self.folder / "pg")), Server(EmbeddedValkey(self.folder / "kv"))
        self.parts = {"postgres": database, "valkey": redis, "s3": S3(self.folder / "s3")}
        for part in self.parts.values():
            part.start()
        self.settings = {
            "FUJIE_DATABASE_URL": database.url.replace("+asyncpg", ""), "FUJIE_REDIS_URL": redis.url,
            "FUJIE_BLOB_URL": f"s3://{BUCKET}", "FUJIE_S3_ENDPOINT": self.s3.endpoint, "FUJIE_S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": S3_USER, "AWS_SECRET_ACCESS_KEY": S3_PASSWORD, "FUJIE_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }  # fmt: skip
        self.parts["web"] = Web(City(self.home, self.port, more=self.settings))
        self.parts["web"].start()
        for number in range(self.workers):
            self.parts[f"worker-{number}"] = Worker(self, number)
            self.parts[f"worker-{number}"].start()

    def restart(self, name: str) -> None:
        """SIGKILL, and up again. A process that ended by itself meanwhile, because what it stands on was away, is started as well."""
        self.parts[name].kill()
        self.parts[name].start()

    def stop(self) -> None:
        """In order, whatever is left."""
        for part in reversed(list(self.parts.values())):
            part.stop()

    def remove(self) -> None:
        """Whatever still runs is killed, and the folder goes."""
        for part in reversed(list(self.parts.values())):
            try:
                part.kill()
            except (OSError, AssertionError, AttributeError):
                continue
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
