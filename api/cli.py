"""``fujie``: one command, its parts loaded only when asked for (``fujie verify`` must not wait for the web server)."""

import importlib
import sys
from collections.abc import Callable

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("api.commands.serving:serve", "start everything and serve until Ctrl-C"),
    "worker": ("api.commands.working:worker", "run background jobs and batches beside the servers, until SIGTERM"),
    "verify": ("api.commands.verify:verify", "verify files: PDF, seal, QR picture"),
    "seal": ("api.commands.seals:app", "seals: apply, review, make, file, activate, suspend, cancel, status, feed …"),
    "certs": ("api.commands.certs:app", "certificates: show, suspend, resume, revoke, cancel, find, export, scrub …"),
    "bulk": ("api.commands.bulk:app", "issue many certificates from one file: issue, status, rows, cancel"),
    "import": ("api.commands.importing:import_file", "take legacy certificates from CSV or JSON lines"),
    "audit": ("api.commands.audit:app", "the audit log: verify, checkpoint, export, prove, search, witness"),
    "client": ("api.commands.clients:app", "OpenID clients: create, list, rotate"),
    "user": ("api.commands.users:app", "accounts: show, create, change, certificate, unlock, close, reopen"),
    "org": ("api.commands.organisations:app", "organisations: show, put"),
    "registry": ("api.commands.registries:app", "what real names are checked against: people, organisations"),
    "keys": ("api.commands.keys:app", "keys and authorities: ceremony, list, rotate, check, shares, status, revoke, renew"),
    "authority": ("api.commands.authorities:app", "certificates that others issue for keys of ours: request, accept, refresh"),
    "federation": ("api.commands.federation:app", "other instances, city and province: card, propose, approve, suspend, sync, rotate"),
    "events": ("api.commands.events:app", "events to subscribers, signed approvals in, the file drop: subscribe, replay, entrance …"),
    "trust": ("api.commands.trust:app", "trusted authorities: propose, approve, suspend, withdraw, list, import, export"),
    "codes": ("api.commands.codes:app", "offline codes: fetch or export their keys and status lists"),
    "clock": ("api.commands.clock:app", "the clock guard: show, acknowledge"),
    "backup": ("api.commands.backup:backup", "write the database and the files to a folder"),
    "restore": ("api.commands.backup:restore", "load a backup into an empty home"),
    "doctor": ("api.commands.doctor:doctor", "look whether everything that must be there is there"),
}


def usage() -> str:
    lines = [f"  fujie {name:<9} {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(["符节 Fujie", *lines, "", "fujie COMMAND --help says more."])


def main() -> None:
    """Run the command named first; exit 2 with the usage where there is none such."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in {"-h", "--help", "help", ""}:
        print(usage())
        raise SystemExit(0 if name else 2)
    if name not in COMMANDS:
        print(f"fujie: unknown command {name!r}\n\n{usage()}", file=sys.stderr)
        raise SystemExit(2)
    module, _, attribute = COMMANDS[name][0].partition(":")
    run: Callable[[list[str]], None] = importlib.import_module("api.commands.run").run
    sys.argv = [f"fujie {name}", *sys.argv[2:]]
    run(getattr(importlib.import_module(module), attribute))
