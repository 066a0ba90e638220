"""Documentation that the code writes is what the code writes today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", _reference().PAGES)
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == _reference().PAGES[name](), "run `make docs`"


def test_one_code_has_one_meaning() -> None:
    module = _reference()
    module.import_all()
    meanings: dict[str, set[int]] = {}
    for kind in module.classes():
        meanings.setdefault(kind.code, set()).add(kind.status)
    assert {code: statuses for code, statuses in meanings.items() if len(statuses) > 1} == {}
