"""x509-limbo with the product's default rules. What does not apply stands in docs/path-validation.md, which this test reads:
exactly the cases of that table may differ, each other case must agree."""

import base64
import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Any

from keys.pki.validation import Found, Limits, Material, Rules, validate

DOCUMENT = Path(__file__).parents[2] / "docs" / "path-validation.md"
TODAY = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)  # for the few cases that name no time
USES = {"SERVER": "1.3.6.1.5.5.7.3.1", "CLIENT": "1.3.6.1.5.5.7.3.2"}
CASES = 207
MOST_SECONDS = 1.5


def decoded(pem: str) -> bytes:
    return base64.b64decode("".join(pem.strip().splitlines()[1:-1]))


def cases(suites: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((suites / "limbo" / "limbo.json").read_bytes())["testcases"]
    return found


def answer(case: dict[str, Any]) -> Found:
    material = Material.read(
        map(decoded, case["trusted_certs"]), map(decoded, case["untrusted_intermediates"]), map(decoded, case["crls"] or ())
    )
    at = dt.datetime.fromisoformat(case["validation_time"]) if case["validation_time"] else TODAY
    between = case["max_chain_depth"]
    limits = Limits() if between is None else Limits(depth=between + 2)
    # Without lists the suite asks about the path alone.
    rules = Rules(limits=limits, revocation=bool(case["crls"]), extended_key_usage=USES[case["validation_kind"]])
    return validate(decoded(case["peer_certificate"]), material, at, rules)


def inapplicable() -> dict[str, str]:
    """Case → reason, from the table in the document."""
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (.*::.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    found: dict[str, str] = {}
    for reason, count, names in rows:
        listed = re.findall(r"`([a-z0-9:.-]+::[a-z0-9:.-]+)`", names)
        assert len(listed) == int(count), reason
        found |= dict.fromkeys(listed, reason)
    return found


def test_every_applicable_case_agrees_and_the_table_is_no_longer_than_it_must_be(suites: Path) -> None:
    found = cases(suites)
    assert len(found) == CASES
    differing = {case["id"] for case in found if (answer(case).fault is None) is not (case["expected_result"] == "SUCCESS")}
    assert differing == set(inapplicable())


def test_denial_of_service_ends_soon_and_is_refused(suites: Path) -> None:
    hostile = [case for case in cases(suites) if case["id"].startswith("pathological::") and case["expected_result"] == "FAILURE"]
    assert len(hostile) == 10
    for case in hostile:
        start = time.process_time()
        assert answer(case).fault is not None
        assert time.process_time() - start < MOST_SECONDS, case["id"]
