"""``make test-on-token``: everything that asks the demonstration city, with the city's keys on a SoftHSM token.

``make test`` must have been run before: it installs SoftHSM.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.running import ROOT
from tests.softhsm import Hsm

ASKING = ("tests/journeys/test_story.py", "tests/journeys/test_bad_input.py", "tests/journeys/test_no_number_leaks.py", "tests/outsiders")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fujie-token-") as folder:
        token = Hsm(Path(folder) / "hsm").prepare().token("city")
        command = [ROOT / "tests" / "run", *(sys.argv[1:] or ASKING)]
        done = subprocess.run(command, env=os.environ | {"FUJIE_TEST_CITY": json.dumps(token.settings)}, check=False)
        keys = token.tool("--list-objects", "--type", "privkey").count("Private Key Object")
    print(f"private keys on the token: {keys}")
    raise SystemExit(done.returncode or (0 if keys else 1))


if __name__ == "__main__":
    main()
