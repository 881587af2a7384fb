"""Features that the model computes itself, in a module so that they travel with it."""

from __future__ import annotations

import pandas as pd


def days_since_november(dates: pd.DataFrame) -> pd.DataFrame:
    """Days since the 1st of November before each date; the penguins' season begins then. Missing dates stay missing."""
    start = {name: pd.to_datetime({"year": column.dt.year, "month": 11, "day": 1}) for name, column in dates.items()}
    return pd.DataFrame({name: (dates[name] - start[name]).dt.days.astype("float64") for name in dates})
