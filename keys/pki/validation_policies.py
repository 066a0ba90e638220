"""Certificate policies along a path: the graph of RFC 9618, of which only the last level is kept.

Each node remembers from which policies of the anchor's domain it descends (``origins``), so neither pruning nor the tree that
grows exponentially is needed: a level is never larger than what the certificate names and its issuer expects.
"""

from dataclasses import dataclass

from keys.pki.validation_certificate import Party
from keys.pki.validation_extensions import ANY_POLICY
from keys.pki.validation_rules import Budget, Rules


@dataclass(frozen=True, slots=True)
class _Node:
    expected: frozenset[str]
    origins: frozenset[str]


_ANY_NODE = _Node(frozenset({ANY_POLICY}), frozenset({ANY_POLICY}))


class Policies:
    """The state variables of RFC 5280 §6.1.2 (a) and (d)–(f). ``count``: certificates of the path without the anchor."""

    def __init__(self, rules: Rules, count: int, budget: Budget) -> None:
        self._budget = budget
        self._level: dict[str, _Node] = {ANY_POLICY: _ANY_NODE}
        self._explicit = 0 if rules.explicit_policy else count + 1
        self._mapping = 0 if rules.mapping_inhibited else count + 1
        self._any = 0 if rules.any_policy_inhibited else count + 1
        self._wanted = rules.policies

    def enter(self, party: Party, *, last: bool) -> bool:
        """§6.1.3 (d)–(f): the certificate's own policies. False: none is left where one is needed."""
        if party.policies is None or not self._level:
            self._level = {}
        else:
            self._level = self._next_level(party.policies, self._any > 0 or (party.self_issued and not last))
        return bool(self._level) or self._explicit > 0

    def _next_level(self, policies: tuple[str, ...], any_counts: bool) -> dict[str, _Node]:
        expecting: dict[str, list[tuple[str, _Node]]] = {}
        for name, node in self._level.items():
            self._budget.step(len(node.expected))
            for policy in node.expected:
                expecting.setdefault(policy, []).append((name, node))
        named = [policy for policy in policies if policy != ANY_POLICY]
        level = {}
        for policy in named:
            parents = expecting.get(policy) or expecting.get(ANY_POLICY)
            if parents:
                level[policy] = self._node(policy, parents)
        if ANY_POLICY in policies and any_counts:
            level.update({policy: self._node(policy, parents) for policy, parents in expecting.items() if policy not in level})
        return level

    def _node(self, policy: str, parents: list[tuple[str, _Node]]) -> _Node:
        origins: set[str] = set()
        for name, parent in parents:
            self._budget.step(len(parent.origins))
            origins |= {policy} if name == ANY_POLICY else parent.origins
        return _Node(frozenset({policy}), frozenset(origins))

    def leave(self, party: Party) -> bool:
        """§6.1.4 (a), (b), (h)–(j): on to the next certificate. False: a mapping that is forbidden."""
        mapped: dict[str, set[str]] = {}
        for issuers, subjects in party.mappings:
            self._budget.step()
            mapped.setdefault(issuers, set()).add(subjects)
        if ANY_POLICY in mapped or any(ANY_POLICY in targets for targets in mapped.values()):
            return False
        for policy, targets in mapped.items():
            self._map(policy, frozenset(targets))
        if not party.self_issued:
            self._explicit, self._mapping, self._any = (max(0, value - 1) for value in (self._explicit, self._mapping, self._any))
        self._explicit = _least(self._explicit, party.explicit_policy)
        self._mapping = _least(self._mapping, party.mapping_inhibited)
        self._any = _least(self._any, party.any_policy_inhibited)
        return True

    def _map(self, policy: str, subjects: frozenset[str]) -> None:
        node = self._level.get(policy)
        if self._mapping == 0:
            self._level.pop(policy, None)
        elif node is not None:
            self._level[policy] = _Node(subjects, node.origins)
        elif ANY_POLICY in self._level:
            self._level[policy] = _Node(subjects, frozenset({policy}))

    def finish(self, party: Party) -> bool:
        """§6.1.5 (a), (b), (g): whether a policy that is wanted is left, or none is needed."""
        self._explicit = 0 if party.explicit_policy == 0 else max(0, self._explicit - 1)
        return self._explicit > 0 or bool(self.accepted())

    def accepted(self) -> frozenset[str]:
        """The user-constrained policy set."""
        offered: frozenset[str] = frozenset().union(*(node.origins for node in self._level.values()))
        if ANY_POLICY in self._wanted:
            return offered
        return self._wanted if ANY_POLICY in offered else offered & self._wanted


def _least(value: int, stated: int | None) -> int:
    return value if stated is None else min(value, stated)
