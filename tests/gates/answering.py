"""Models that answer with what stands in a column of their rows, so that a test says itself what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tests.gates.made import TARGET, MadeContender, contender


class Says:
    """A model whose answers are a column."""

    def __init__(self, column: str = "said") -> None:
        self.column = column

    def predict(self, rows: pd.DataFrame) -> Any:
        """The column."""
        return rows[self.column].to_numpy()


class Classifier(Says):
    """A classifier; its probabilities of class after class are columns, those of two classes what one leaves."""

    def __init__(self, *classes: Any, column: str = "said", scores: Sequence[str] = ("score",)) -> None:
        super().__init__(column)
        self.classes_ = np.array(classes)
        self.scores = list(scores)

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        """The columns."""
        found = rows[self.scores].to_numpy()
        return np.column_stack([1 - found, found]) if len(self.scores) == 1 else found


class Broken(Classifier):
    """A model that raises."""

    def predict(self, rows: pd.DataFrame) -> Any:
        """Raise."""
        raise ValueError("Input X contains NaN.\nMore words.")


def made(model: Any, rows: pd.DataFrame, **known: Any) -> MadeContender:
    """A contender with one dataset, ``test``."""
    return contender(known.pop("entry", None), rows={"test": rows}, model=model, **known)


def judged_rows(truth: Any, said: Any, **columns: Any) -> pd.DataFrame:
    """Rows with the truth, the answer and more."""
    return pd.DataFrame({TARGET: truth, "said": said, **columns})
