"""What stands in a card, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from nbprod.entities import ModelVersion
from nbprod.evidence.modelcard.about import details, usage, use
from nbprod.evidence.modelcard.blocks import Document, Verdict
from nbprod.evidence.modelcard.datasets import data
from nbprod.evidence.modelcard.front import front
from nbprod.evidence.modelcard.judged import (
    Said,
    fairness,
    gates,
    newest_gates,
    registered_by,
    results_of,
    story,
)
from nbprod.evidence.modelcard.measured import metrics
from nbprod.evidence.modelcard.origin import lineage, provenance
from nbprod.evidence.modelcard.words import figure, interval, when


def document(version: ModelVersion, said: Sequence[Said] = ()) -> Document:
    """The card of a version.

    Args:
        version: with its entry, and its aliases of today.
        said: what was said of it later; what is about another entry is left out.
    """
    entry = version.entry
    own = sorted(
        (item for item in said if item.statement.subject == version.digest), key=lambda item: item.statement.created
    )
    sections = [
        details(version, registered_by(own)),
        *use(entry),
        *usage(version),
        *data(entry),
        *metrics(entry),
        gates(entry, own),
        fairness(own),
        lineage(version),
        *provenance(version),
        *story(own),
    ]
    return Document(title=version.ref, marks=_marks(version, own), front=front(version), sections=sections)


def _marks(version: ModelVersion, said: Sequence[Said]) -> list[tuple[str, str]]:
    """The few facts that are looked for first."""
    entry = version.entry
    found: list[tuple[str, str]] = [("registered", when(version.created))]
    if version.aliases:
        found.append(("alias", ", ".join(version.aliases)))
    main = entry["model"].get("main_metric")
    for metric in entry["metrics"]:
        if metric["name"] == main and metric["dataset"] == "test":
            bounded = f" {interval(metric['interval'])}" if metric["interval"] else ""
            found.append((str(main), f"{figure(metric['value'])}{bounded}"))
            break
    results = results_of(newest_gates(said))
    if results:
        verdicts = {str(result.get("verdict")) for result in results}
        word = next((verdict for verdict in ("failed", "undecided") if verdict in verdicts), "passed")
        found.append(("gates", Verdict(word if verdicts <= {"passed", "failed", "undecided"} else "undecided")))
    else:
        found.append(("gates", "not run" if entry["pipeline"]["sections"].get("gates") else "none"))
    return found
