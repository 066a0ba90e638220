"""``deploy/federation``: its files agree with each other, with the settings and with the commands that there are."""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from typer.testing import CliRunner

from api.cli import COMMANDS
from api.commands import federation
from api.settings import Settings
from certs.federation import is_address

FOLDER = Path(__file__).parents[2] / "deploy" / "federation"
INSTANCES = ("city", "province")


def lines_of(name: str) -> list[str]:
    return (FOLDER / name).read_text(encoding="utf-8").splitlines()


def settings_of(instance: str) -> dict[str, str]:
    given = [line.partition("=") for line in lines_of(f"{instance}.env") if line and not line.startswith("#")]
    assert all(sign for _, sign, _ in given)
    return {name: value for name, _, value in given}


def establishing(text: str) -> dict[str, str]:
    """The options of a ``fujie federation establish`` written in a text."""
    words = shlex.split(text.lstrip("# "))
    assert words[:3] == ["fujie", "federation", "establish"]
    return dict(zip(words[3::2], words[4::2], strict=True))


@pytest.mark.parametrize("instance", INSTANCES)
def test_every_setting_is_one(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_of(instance)
    assert {name.removeprefix("FUJIE_").lower() for name in given} <= set(Settings.model_fields)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert (read.home, read.base_url, read.demo) == (Path(f"/srv/fujie/{instance}"), given["FUJIE_BASE_URL"], False)
    assert (read.federation_host, read.federation_port) == ("127.0.0.1", 9443), "TLS ends here, behind a proxy that passes it through"


@pytest.mark.parametrize("instance", INSTANCES)
def test_the_proxy_leads_to_the_listener(instance: str) -> None:
    proxy = "\n".join(lines_of("nginx-stream.conf"))
    given = settings_of(instance)
    assert f"server {given['FUJIE_FEDERATION_HOST']}:{given['FUJIE_FEDERATION_PORT']};" in proxy
    assert "ssl" not in re.sub(r"#.*", "", proxy), "mutual TLS does not end in the proxy"
    address = establishing(lines_of(f"{instance}.env")[0])["--address"]
    assert is_address(address)
    assert f"listen {urlsplit(address).port};" in proxy


def test_the_unit_runs_a_command_with_these_settings() -> None:
    unit = dict(line.split("=", 1) for line in lines_of("fujie.service") if "=" in line and not line.startswith("#"))
    assert unit["EnvironmentFile"] == "/etc/fujie/%i.env"
    program, command = unit["ExecStart"].split()
    assert (Path(program).name, command in COMMANDS) == ("fujie", True)
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"/etc/fujie/{instance}.env" in readme and f"fujie@{instance}" in readme for instance in INSTANCES)


def test_the_commands_named_are_there() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(federation.app)
    named = set(re.findall(r"fujie federation ([a-z]+)", readme))
    assert named >= {"establish", "card", "list"}
    assert named <= set(commands.list_commands(None))  # type: ignore[attr-defined,arg-type]
    written = [line for line in readme.splitlines() if line.startswith("fujie federation establish")]
    options = {name for line in [*written, *(lines_of(f"{one}.env")[0] for one in INSTANCES)] for name in establishing(line)}
    assert all(option in CliRunner().invoke(federation.app, ["establish", "--help"], env={"COLUMNS": "200"}).stdout for option in options)
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert (FOLDER / link).resolve().is_file(), link
