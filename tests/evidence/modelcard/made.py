"""Versions and statements that the tests of model cards share."""

from __future__ import annotations

from typing import Any

from nbprod.entities import GateResult, ModelVersion, Statement
from nbprod.evidence.entry import build, digest
from nbprod.evidence.modelcard import Said
from nbprod.evidence.statements import gates, registration
from tests.evidence.made import afterwards, evidence

HOSTILE = (
    "</script><img src=x onerror=alert(1)> | `a` \"b\" 'c' *d* _e_ [f](javascript:alert(1)) ``` --> %%{init}%%"
    "\n\n# g\n---\n"
)
"""A text that would do harm in Markdown, YAML, HTML, SVG or mermaid if it were not escaped."""


def entry(**changes: Any) -> dict[str, Any]:
    """The entry of the made-up run with other groups of metrics."""
    made = build(evidence())
    for group, value in (("1", 0.91), ("2", 0.85)):
        interval = [value - 0.05, value + 0.05]
        made["metrics"].append(
            {"name": "roc_auc", "value": value, "dataset": f"test[sex={group}]", "interval": interval, "stage": "train"}
        )
    made["metrics"].insert(
        1,
        {
            "name": "accuracy", "value": 0.8, "dataset": "test", "interval": [0.7, 0.9], "stage": "train",
            "repeats": [0.8, 0.78],
        },
    )  # fmt: skip
    return made | changes


def bare() -> dict[str, Any]:
    """The entry of a notebook of which little is known."""
    return build(afterwards())


def version(content: dict[str, Any], *aliases: str, name: str = "churn") -> ModelVersion:
    """The third version of a model."""
    return ModelVersion(
        name=name, version="3", digest=digest(content), created="2026-01-01T12:00:00.000+00:00", aliases=aliases,
        entry=content,
    )  # fmt: skip


def fair(verdict: Any = "passed", reason: str = "they are alike.", *, column: str = "sex") -> GateResult:
    """What the gate for fairness finds."""
    groups = [
        {"group": "1", "rows": 60, "value": 0.9, "interval": [0.8, 0.95], "enough": True, "among": 40},
        {"group": "2", "rows": 3, "value": 1.0, "interval": [0.3, 1.0], "enough": False, "among": 1},
        {"group": "3", "rows": 70, "value": None, "interval": None, "enough": True, "among": 0},
    ]
    return GateResult(
        gate="fair", verdict=verdict, reason=reason, observed=0.02, required="difference at most 0.05",
        interval=(0.0, 0.04), options={"metric": "recall", "by": column}, details={"groups": {column: groups}},
    )  # fmt: skip


def judged(about: ModelVersion, *results: GateResult, state: str = "ok", created: str = "2026-01-02") -> Said:
    """That the gates were run."""
    made = gates(about.digest, results, champion="churn/2").to_dict() | {"created": f"{created}T12:00:00.000+00:00"}
    return Said(statement=Statement.from_dict(made), key="0123456789abcdef", state=state)


def registered(about: ModelVersion) -> Said:
    """That it was registered."""
    made = registration(about, registry="sqlite", key="0123456789abcdef", user="ana")
    return Said(statement=made, key="0123456789abcdef", state="ok")


def poisoned(value: Any, text: str = HOSTILE) -> Any:
    """A value with another text in place of every text, but for words that an entry chooses from."""
    if isinstance(value, dict):
        return {key: poisoned(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, text) for item in value]
    chosen = ("unknown", "derived", "passed", "failed", "undecided", "nan", "inf", "-inf")
    return value if not isinstance(value, str) or value in chosen else text
