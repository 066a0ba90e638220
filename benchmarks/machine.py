"""The shape of the machine and the versions of what ran, for ``results.json``."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def first_line(*command: str) -> str:
    """What a program says of its version; empty if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return ((done.stdout or done.stderr).strip().splitlines() or [""])[0]


def shape() -> dict[str, Any]:
    """Nothing in it names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "openssl": first_line("openssl", "version"),
        "packages": {name: version(name) for name in ("cryptography", "pyhanko", "sqlalchemy", "starlette", "typst", "uvicorn")},
    }
