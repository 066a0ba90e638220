"""The demonstration city as data. People, organisations and matters stand in ``data/``; here is who works where."""

import csv
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from keys.base.actor import Role

DIVISION = "990100"

SERVICE_BUREAU = "11990100MB0000027F"
MARKET_BUREAU = "11990100MB0000035A"
CONSTRUCTION_BUREAU = "11990100MB00000435"
LAND_BUREAU = "11990100MB00000510"
SERVICE_CENTRE = "11990102MB000006XL"

KIND_BY_FIRST = {"1": "authority", "9": "enterprise", "5": "social", "N": "collective"}


def _rows(name: str) -> Iterator[dict[str, str]]:
    with files(__package__).joinpath("data", name).open(encoding="utf-8") as handle:
        yield from csv.DictReader(handle)


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """``number``: whose entry of the population registry this is."""

    role: Role
    username: str
    name: str
    number: str
    organisation: str | None = None


ACCOUNTS = (
    DemoAccount(Role.CITIZEN, "citizen", "卫思远", "990100195409041017"),
    DemoAccount(Role.LEGAL_REPRESENTATIVE, "representative", "钱喆堃", "990100199011191064"),
    DemoAccount(Role.AGENT, "agent", "周海燕", "990100196401181087"),
    DemoAccount(Role.WINDOW_CLERK, "clerk", "李志强", "990100196807051098", SERVICE_CENTRE),
    DemoAccount(Role.APPROVER, "approver", "沈建国", "990100195202141037", MARKET_BUREAU),
    DemoAccount(Role.SEAL_KEEPER, "keeper", "郑建国", "990100198601201133", MARKET_BUREAU),
    DemoAccount(Role.SYSTEM_ADMIN, "sysadmin", "吴晓明", "990100198605181109", SERVICE_BUREAU),
    DemoAccount(Role.SECURITY_ADMIN, "secadmin", "韩海燕", "99010019830811118X", SERVICE_BUREAU),
    DemoAccount(Role.AUDITOR, "auditor", "褚雨桐", "990100199202251226", SERVICE_BUREAU),
    DemoAccount(Role.SECURITY_ADMIN, "reviewer", "杨建国", "990100197112121234", SERVICE_BUREAU),
)


@dataclass(frozen=True, slots=True)
class DemoSeal:
    """An approval seal and what it is for."""

    organisation: str
    matter: str
    certificate_type: str


SEALS = (
    DemoSeal(MARKET_BUREAU, "000131015000", "11990100MB0000035A002"),
    DemoSeal(CONSTRUCTION_BUREAU, "000117004000", "11990100MB00000435001"),
    DemoSeal(LAND_BUREAU, "000115022000", "11100000MB03271699022"),
)


@dataclass(frozen=True, slots=True)
class DemoClient:
    """``name`` is what ``demo.json`` calls it. The two portals in the browser register themselves (``portals``)."""

    name: str
    client_id: str
    name_zh: str
    name_en: str
    scopes: tuple[str, ...]
    organisation: str | None = None
    redirect_uris: tuple[str, ...] = ()

    @property
    def grant_types(self) -> tuple[str, ...]:
        return ("authorization_code", "refresh_token") if self.redirect_uris else ("client_credentials",)


PORTAL_SCOPES = ("openid", "profile", "real_name", "offline_access", "identity:check")

CLIENTS = (
    DemoClient(
        "portal",
        "portal",
        "示范市一网通办",
        "Demonstration city one-stop portal",
        PORTAL_SCOPES,
        SERVICE_BUREAU,
        redirect_uris=("http://127.0.0.1:9999/callback", "http://localhost:9999/callback"),
    ),
    DemoClient(
        "approvals",
        "approvals",
        "示范市审批平台",
        "Approval platform",
        ("certificates:issue", "certificates:read", "identity:check", "events:receive"),
        SERVICE_BUREAU,
    ),
    DemoClient("window", "window", "示范区综合窗口", "Service window", ("certificates:issue", "certificates:read"), SERVICE_CENTRE),
    DemoClient("verifier", "verifier", "示范银行", "Verifier", ("verify", "identity:check", "certificates:read")),
)
"""``approvals`` holds unattended grants on all three seals; ``window`` holds none: what it brings waits for an approver."""


def organisations() -> list[tuple[str, str, str]]:
    """(USCC, name, kind) of the city's organisations."""
    return [(row["uscc"], row["name"], _kind(row["uscc"], row["name"])) for row in _rows("organisations.csv")]


def _kind(uscc: str, name: str) -> str:
    if name.endswith("人民政府"):
        return "government"
    if name.endswith("政务服务中心"):
        return "service_centre"
    return "individual_business" if uscc.startswith("92") else KIND_BY_FIRST.get(uscc[0], "other")


def division_of(uscc: str) -> str:
    """The division inside a credit code (characters 3 to 8, GB 32100)."""
    return uscc[2:8]


def population() -> list[dict[str, str]]:
    return list(_rows("population.csv"))


def matters() -> list[dict[str, str]]:
    return list(_rows("matters.csv"))


def papers() -> bytes:
    """Which papers the matters ask for, as the import of such tables takes it (CSV)."""
    return files(__package__).joinpath("data", "papers.csv").read_bytes()


def approvals() -> list[dict[str, object]]:
    """The three approvals of the city, in the form ``POST /api/v1/approvals`` takes."""
    text = files(__package__).joinpath("data", "approvals.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def story_approvals(today: dt.date) -> list[dict[str, object]]:
    """The story's own approvals: the same three matters decided today, under numbers of their own."""
    renumbered = []
    for approval in approvals():
        ends = today.replace(year=today.year + 5, day=min(today.day, 28)) if approval["valid_to"] else None
        changes = {
            "approval_number": _next_number(str(approval["approval_number"])),
            "valid_from": today.isoformat(),
            "valid_to": (ends - dt.timedelta(days=1)).isoformat() if ends else None,
        }
        renumbered.append(approval | changes)
    return renumbered


def _next_number(number: str) -> str:
    """The number with its last digits one higher."""
    digits = max(i for i, character in enumerate(number) if character.isdigit())
    return number[:digits] + str((int(number[digits]) + 1) % 10) + number[digits + 1 :]
