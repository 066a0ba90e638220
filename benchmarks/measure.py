"""Rounds and medians: contenders take turns, so that a busy minute of the machine falls on all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

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


class Turns(Protocol):
    """What takes turns."""

    def warm_up(self, operations: int) -> None:
        """Before anything is counted."""
        ...

    def turn(self, first: int) -> Cost:
        """One round; ``first`` is the number of its first operation."""
        ...


@dataclass(frozen=True, slots=True)
class Contender:
    """An operation and the processes it burns CPU in. ``operation`` is given a number that never comes twice."""

    operation: Callable[[int], object]
    meter: Meter = field(default=lambda: {"own": own_seconds()})
    count: int = 20

    def warm_up(self, operations: int) -> None:
        for number in range(operations):
            self.operation(number)

    def turn(self, first: int) -> Cost:
        """``count`` operations, one after another."""
        walls = []
        before = self.meter()
        for number in range(first, first + self.count):
            begin = time.perf_counter()
            self.operation(number)
            walls.append(time.perf_counter() - begin)
        after = self.meter()
        spent = {part: (seconds - before.get(part, 0.0)) * 1000 / self.count for part, seconds in after.items()}
        return Cost(spent, median(walls) * 1000)


MOST = 10_000
"""More operations than any turn has."""


def take_turns(contenders: Mapping[str, Turns], rounds: int, warm_up: int = 5) -> dict[str, Cost]:
    """The medians over ``rounds`` of each contender; ``warm_up`` operations of each come first and are not counted."""
    for contender in contenders.values():
        contender.warm_up(warm_up)
    seen: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, contender in contenders.items():
            seen[name].append(contender.turn(number * MOST))
    return {name: _medians(costs) for name, costs in seen.items()}


def _medians(costs: list[Cost]) -> Cost:
    parts = {part: median(cost.cpu.get(part, 0.0) for cost in costs) for part in costs[0].cpu}
    return Cost(parts, median(cost.wall for cost in costs))


def pace() -> float:
    """CPU milliseconds of a fixed piece of work: tells how much neighbours take from the cores we run on."""
    began = own_seconds()
    total = 0
    for number in range(300_000):
        total += number * number % 7
    return (own_seconds() - began) * 1000
