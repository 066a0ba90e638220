"""What every figure is given: the running instance, real inputs, a folder, and how long to try."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.instance import Instance
from benchmarks.peers.credentials import Credentials
from benchmarks.sample import Sample


@dataclass(frozen=True, slots=True)
class Bench:
    """``deadline`` is on the monotonic clock; ``rounds`` is how often each contender has its turn."""

    instance: Instance
    sample: Sample
    credentials: Credentials
    folder: Path
    rounds: int
    deadline: float

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() > self.deadline
