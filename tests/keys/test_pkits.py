"""NIST PKITS, all 246 entries of the machine-readable index, with the product's own validation.

The suite is of another time: RSA beside DSA with SHA-1 (4.1.4 to 4.1.6), chains of seven, certificates that RFC 5280 no longer
lets a CA issue. These are parameters, set here and nowhere in the product (docs/path-validation.md).
"""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from keys.custody.verifying import DSA_WITH_SHA1, STRICT, AlgorithmPolicy
from keys.custody.verifying_keys import DSA, STRICT_KEYS, KeyPolicy
from keys.pki.validation import Limits, Material, Rules, validate

NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LEGACY = AlgorithmPolicy(STRICT.signatures | {DSA_WITH_SHA1}, KeyPolicy(STRICT_KEYS.kinds | {DSA}))
ENTRIES = 246
MUST_FAIL = 136
DSA_ONLY = {"40104", "40105"}
# Valid tests with basic constraints (4.6.4) or policy constraints (the others) that are not critical.
IRREGULAR = {"40604", "40806", "40810", "40811", "40813", "40814", "41001", "41003", "41005", "41006", "41009"}
IRREGULAR |= {"41011", "41013", "41014", "41202", "41203", "41207", "41209"}


def entries(suites: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((suites / "pkits" / "pkits.json").read_bytes())
    return found


def material(folder: Path, entry: dict[str, Any]) -> Material:
    certificates = [(folder / "certs" / name).read_bytes() for name in entry.get("other_certs", ())]
    lists = [(folder / "crls" / name).read_bytes() for name in ("TrustAnchorRootCRL.crl", *entry.get("crls", ()))]
    return Material.read([(folder / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()], certificates, lists)


def rules(entry: dict[str, Any], **changed: Any) -> Rules:
    stated = entry.get("params", {})
    return Rules(
        **{"limits": Limits(depth=8), "algorithms": LEGACY, "regular": False} | changed,
        policies=frozenset(stated.get("user_initial_policy_set", ["2.5.29.32.0"])),
        explicit_policy=stated.get("initial_explicit_policy", False),
        mapping_inhibited=stated.get("initial_policy_mapping_inhibit", False),
        any_policy_inhibited=stated.get("initial_any_policy_inhibit", False),
    )


def stands(folder: Path, entry: dict[str, Any], **changed: Any) -> bool:
    leaf = (folder / "certs" / entry["cert"]).read_bytes()
    return validate(leaf, material(folder, entry), NOW, rules(entry, **changed)).fault is None


def test_every_entry_agrees(suites: Path) -> None:
    found = entries(suites)
    assert len(found) == ENTRIES
    assert sum("error" in entry for entry in found) == MUST_FAIL
    wrong = [(entry["id"], entry["name"]) for entry in found if stands(suites / "pkits", entry) is ("error" in entry)]
    assert wrong == []


def test_the_products_own_rules_let_nothing_pass_that_must_fail(suites: Path) -> None:
    """Depth apart, with the parameters of the product: what is refused beyond the suite's verdict is DSA and irregular."""
    own = {"limits": Limits(depth=8), "algorithms": STRICT, "regular": True}
    found = [(entry, stands(suites / "pkits", entry, **own)) for entry in entries(suites)]
    assert not any(passed for entry, passed in found if "error" in entry)
    refused = {entry["id"] for entry, passed in found if not passed and "error" not in entry}
    assert refused == DSA_ONLY | IRREGULAR


def test_a_hang_is_impossible_whatever_the_budget(suites: Path) -> None:
    """With next to nothing to spend, every entry that must fail still fails and none raises."""
    starved = Limits(depth=8, signatures=3, steps=40)
    assert not any(stands(suites / "pkits", entry, limits=starved) for entry in entries(suites) if "error" in entry)
