"""`openid-client` against the whole running service: the portal of the demonstration, its citizen, the real log-in pages."""

import json
import subprocess
from pathlib import Path

from tests.outsiders.test_openid_client import HERE, NODE, node_project
from tests.running import City

__all__ = ["node_project"]


def test_a_person_logs_in_at_a_portal_and_out_again(city: City, node_project: Path) -> None:
    script = node_project / "running.js"
    script.write_text((HERE / "running.js").read_text())
    given = {"issuer": city.base_url, "portal": city.client("portal"), "account": city.account("citizen")}
    done = subprocess.run(
        [NODE, script], cwd=node_project, input=json.dumps(given), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    learnt = json.loads(done.stdout)
    assert learnt["prompts"] == ["/login", "/consent"]
    assert learnt["issuer"] == city.base_url
    assert learnt["acr"] == "urn:fujie:acr:aal1"
    assert learnt["name"]
    assert learnt["renewed"]
    assert learnt["rotated"]
    assert learnt["logged_out"]
    assert learnt["asked_again"] == "/login"
