"""Whether a model is retrained now: a pure decision over facts that others gathered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nbprod.document import span
from nbprod.entities import Fact
from nbprod.retraining.cron import read_cron
from nbprod.retraining.policy import RetrainPolicy

Known = Literal["yes", "no", "unknown"]
Act = Literal["retrain", "wait", "fresh"]

ERASURE = "erasure"
"""The trigger that no policy names: the model learned from a subject who is erased."""

BY_LABELS = frozenset({"performance", "business"})
BY_DRIFT = frozenset({"drift", "prediction"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Fact):
    """What the last look at a model found to be wrong.

    Attributes:
        area: as `nbprod.monitoring` names it.
        name: a column, a metric, a group.
        status: ``ALARM``, or ``WARN`` of what rests on labels, for which only `performance` fires.
    """

    area: str
    name: str
    why: str
    status: str = "ALARM"

    def sentence(self, trigger: str) -> str:
        """How the reason of a trigger tells it, saying nothing twice."""
        place = self.name if self.area == trigger else f"{self.area} {self.name}"
        told = self.why.startswith((f"{self.name} ", f"'{self.name}' ")) and place == self.name
        return f"{trigger}: {self.why.rstrip('.')}" if told else f"{trigger}: {place}: {self.why.rstrip('.')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Fact):
    """What is known of a model when it is decided about it.

    Attributes:
        now, registered: Unix seconds; of the champion's registration.
        alarms: of the champion, as it was last looked at.
        data: whether there are data that it was not trained on; `data_why` says which.
        code: whether there is code that it was not made by.
        last: when a retraining began last; None if none ever did.
        erased: which version learned from a subject who is erased, in words; empty for none.
        erased_at: when a subject was erased last.
    """

    now: float
    champion: str
    registered: float
    alarms: tuple[Alarm, ...] = ()
    data: Known = "unknown"
    data_why: str = ""
    code: Known = "no"
    code_why: str = ""
    last: float | None = None
    erased: str = ""
    erased_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Fact):
    """What is to be done.

    Attributes:
        act: ``wait`` if it is stale, and retraining must wait or would be in vain.
        trigger: the one that fired; empty if none did.
        reason: a sentence.
    """

    act: Act
    trigger: str = ""
    reason: str = ""


def decide(policy: RetrainPolicy, facts: Facts) -> Decision:
    """Decide by the first trigger that fires, those that rest on labels first.

    A stale model is not retrained in the cool-down, nor where both data and code are those that it was made of: the
    same would come out. Neither holds a model back that learned from a subject who is erased; but where a retraining
    since the erasure did not help, the cool-down does.
    """
    fired = next(triggers(policy, facts), None)
    if fired is None:
        why = f"; {_same(facts)}" if facts.data == "no" and facts.data_why else "."
        return Decision(act="fresh", reason=f"{facts.champion} is not stale: no trigger of its policy fires{why}")
    name, why = fired
    if name == ERASURE and (facts.last is None or facts.last < facts.erased_at):
        return Decision(act="retrain", trigger=name, reason=f"{why}.")
    if facts.last is not None and facts.now - facts.last < policy.cool_down:
        ago, left = span(facts.now - facts.last), span(policy.cool_down - (facts.now - facts.last))
        return Decision(
            act="wait",
            trigger=name,
            reason=f"{why}; it was retrained {ago} ago, and the cool-down lasts {left} more.",
        )
    if name != ERASURE and facts.data == "no" and facts.code == "no":
        return Decision(
            act="wait",
            trigger=name,
            reason=f"{why}; {_same(facts)}",
        )
    return Decision(act="retrain", trigger=name, reason=f"{why}.")


def _same(facts: Facts) -> str:
    if facts.data_why:
        return f"there are no new data, because {facts.data_why.rstrip('.')}."
    return "data and code are those that made it, so the same would come out: bring new data."


def triggers(policy: RetrainPolicy, facts: Facts) -> Iterator[tuple[str, str]]:
    """The triggers that fire, the most certain first, each with its reason; an erasure whatever the policy says."""
    if facts.erased:
        yield ERASURE, f"{ERASURE}: {facts.erased}"
    for name, areas in (("performance", BY_LABELS), ("alarm", None), ("drift", BY_DRIFT)):
        least = ("ALARM", "WARN") if name == "performance" else ("ALARM",)
        found = [item for item in facts.alarms if item.status in least and (areas is None or item.area in areas)]
        if name in policy.when and found:
            found.sort(key=lambda alarm: alarm.area not in BY_LABELS)
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield name, f"{found[0].sentence(name)}{more}"
    age = facts.now - facts.registered
    if policy.age is not None and age >= policy.age:
        yield "age", f"age: {facts.champion} is {span(age)} old, and the policy allows {span(policy.age)}"
    if "new_data" in policy.when and facts.data == "yes":
        yield "new_data", f"new_data: {facts.data_why}"
    if policy.schedule:
        since = max(facts.registered, facts.last or 0.0)
        due = read_cron(policy.schedule).next(since)
        if due is not None and due <= facts.now:
            yield "schedule", f"schedule: '{policy.schedule}' came {span(facts.now - due)} ago"
