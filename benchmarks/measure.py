"""Rounds and medians: contenders take turns, so that a busy minute of the machine falls on all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.cpu import Meter, own_seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds for one operation: CPU by part, and the median time on the wall."""

    cpu: Mapping[str, float]
    wall: float

    @property
    def total(self) -> float:
        return sum(self.cpu.values())

    def of(self, *parts: str) -> float:
        return sum(self.cpu.get(part, 0.0) for part in parts)


@dataclass(frozen=True, slots=True)
class Contender:
    """An operation and the processes it burns CPU in. ``operation`` is given a number that never comes twice."""

    operation: Callable[[int], object]
    meter: Meter = field(default=lambda: {"own": own_seconds()})
    count: int = 20


def one_round(contender: Contender, first: int) -> Cost:
    """``count`` operations, one after another."""
    walls = []
    before = contender.meter()
    for number in range(first, first + contender.count):
        begin = time.perf_counter()
        contender.operation(number)
        walls.append(time.perf_counter() - begin)
    after = contender.meter()
    spent = {part: (seconds - before.get(part, 0.0)) * 1000 / contender.count for part, seconds in after.items()}
    return Cost(spent, median(walls) * 1000)


def take_turns(contenders: Mapping[str, Contender], rounds: int, warm_up: int = 5) -> dict[str, Cost]:
    """The medians over ``rounds`` of each contender; ``warm_up`` operations of each come first and are not counted."""
    for contender in contenders.values():
        for number in range(warm_up):
            contender.operation(number)
    seen: dict[str, list[Cost]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name, contender in contenders.items():
            seen[name].append(one_round(contender, warm_up + turn * contender.count))
    return {name: _medians(costs) for name, costs in seen.items()}


def _medians(costs: list[Cost]) -> Cost:
    parts = {part: median(cost.cpu.get(part, 0.0) for cost in costs) for part in costs[0].cpu}
    return Cost(parts, median(cost.wall for cost in costs))
