"""Writes the parts of the documentation that the code knows best: ``python docs/reference.py`` (``make docs``).

``docs/errors.md``: every error code. A test fails while the file differs from what this writes.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from keys.base.errors import FujieError
from seal.lifecycle import markdown

ROOT = Path(__file__).parents[1]
PACKAGES = ("keys", "identity", "seal", "certs", "api")
SKIPPED = ("api.__main__", "api.migrations.env", "api.migrations.versions")

HEAD = """# Error codes 错误代码

Every refusal is an RFC 9457 problem document with one of these codes (`type` is `urn:fujie:problem:<code>`), or a page that
says the same sentence. Codes do not change; sentences may. OAuth errors have the codes of RFC 6749 and OpenID Connect.

| Code | Status | 中文 | English |
|---|---|---|---|
"""


def import_all() -> None:
    """Load every module, so that every error class exists."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):  # not pkgutil: it walks past folders without __init__.py, such as api/commands
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not name.startswith(SKIPPED):
                importlib.import_module(name)


def classes(base: type[FujieError] = FujieError) -> Iterator[type[FujieError]]:
    yield base
    for derived in base.__subclasses__():
        yield from classes(derived)


def errors_page() -> str:
    """The whole page. A code that two classes share must mean the same thing."""
    import_all()
    rows = {(kind.code, kind.status, *kind.public) for kind in classes() if kind.__module__.split(".")[0] in PACKAGES}
    return HEAD + "".join(f"| `{code}` | {status} | {chinese} | {english} |\n" for code, status, chinese, english in sorted(rows))


PAGES = {"docs/errors.md": errors_page, "docs/seal-lifecycle.md": markdown}


def main() -> None:
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
        print(f"wrote {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
