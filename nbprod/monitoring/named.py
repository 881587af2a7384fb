"""Whether what a policy names is there to be looked at: a slip of the pen must not turn an alarm off in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbprod.errors import nearest
from nbprod.monitoring.facts import Area, Check
from nbprod.monitoring.policy import MonitorPolicy
from nbprod.monitoring.profile import Profile


def check_named(reference: Profile, policy: MonitorPolicy, inputs: Sequence[str]) -> Iterator[Check]:
    """A warning for each key of a policy that names what a version does not have.

    Args:
        inputs: names of the columns that the model takes; of none nothing is said.
    """
    if inputs:
        yield from _lost("drift", "columns", policy.drift.columns, inputs, "is no input of the model")
        yield from _lost("drift", "tests", policy.drift.tests, inputs, "is no input of the model")
    known = reference.performance
    if known is None:
        return
    metrics = [measured.name for measured in known.metrics]
    for key, names in (("metrics", policy.performance.metrics), ("floor", tuple(policy.performance.floor))):
        yield from _lost("performance", key, names, metrics, "cannot be computed for this model")
    if policy.fairness.columns:
        words = "is no group of the test rows"
        yield from _lost("fairness", "columns", policy.fairness.columns, list(known.groups), words)


def _lost(
    area: Area, key: str, names: Sequence[str] | dict[str, str], known: Sequence[str], what: str
) -> Iterator[Check]:
    lost = [name for name in names if name not in known]
    if lost:
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        why = f"monitor.{area}.{key} names '{lost[0]}'{more}, which {what}, so it is not looked at."
        yield Check(area=area, name=f"{key} of the policy", status="WARN", why=why + nearest(lost[0], known))
