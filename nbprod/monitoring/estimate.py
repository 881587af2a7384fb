"""An estimate of metrics without labels, from how well scores were calibrated; it cannot see that the world changed.

If people with a given score are no longer right as often as they were, no arithmetic on scores can tell. So an estimate
is always called one, never alarms, and is held against the truth as soon as that comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbprod.monitoring.performance import Answers, sides
from nbprod.monitoring.profile import Calibration, Performance
from nbprod.stats.measures import MEASURES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def calibrated(score: Array, known: Sequence[Calibration]) -> Array:
    """Scores as probabilities: the calibration's shares, made monotone by pooling adjacent violators, linear between.

    Args:
        known: by growing score.
    """
    import numpy as np

    blocks: list[list[float]] = []  # share, rows, and how many bins it is made of
    for item in known:
        blocks.append([item.share, item.rows, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            share, rows, bins = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + share * rows) / (before[1] + rows)
            before[1] += rows
            before[2] += bins
    shares = [share for share, _, bins in blocks for _ in range(int(bins))]
    found: Array = np.interp(score, [item.score for item in known], shares)
    return found


def estimated(names: Sequence[str], answers: Answers, known: Performance) -> dict[str, float]:
    """Metric -> what it would be if scores were right as often as they were on the test rows.

    Each row counts as a positive with its probability, and as a negative with the rest (confidence-based performance
    estimation). Nothing where the model gives no scores.
    """
    import numpy as np

    if answers.score is None or not known.calibration or not answers.rows or not np.isfinite(answers.score).all():
        return {}
    chance = calibrated(answers.score, known.calibration)
    if answers.task == "classes":
        return {"accuracy": float(chance.mean())} if "accuracy" in names else {}
    if answers.task != "binary":
        return {}
    twice = Answers(
        task="binary",
        positive="1",
        prediction=np.tile((answers.prediction == answers.positive).astype(int).astype(str).astype(object), 2),
        truth=np.repeat(np.array(["1", "0"], dtype=object), answers.rows),
        score=np.tile(answers.score, 2),
    )
    weight = np.concatenate([chance, 1 - chance])
    found = {}
    for name in names:
        both = sides(MEASURES[name], twice)
        if both is not None and (MEASURES[name].needs != "scores" or _probabilities(answers.score)):
            value = MEASURES[name](*both, weight)
            if not math.isnan(value):
                found[name] = value
    return found


def _probabilities(score: Array) -> bool:
    return bool(((score >= 0) & (score <= 1)).all())
