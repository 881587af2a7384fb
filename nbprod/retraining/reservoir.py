"""A uniform sample of the rows of several tables, the same for the same tables whatever their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def sample(tables: Mapping[str, pd.DataFrame], *, rows: int, seed: int = 0) -> pd.DataFrame:
    """So many rows of all tables together, each as probable as the other; all of them where there are fewer.

    Every row draws a number from a generator that is seeded by its table's digest, and the rows with the smallest
    numbers are taken (bottom-k sampling; Cohen and Kaplan, PODC 2007). So a table that is added later, or taken away,
    leaves the order among the others as it was.

    Args:
        tables: digest in hexadecimal -> rows; columns that one does not have are missing values there.
    """
    import numpy as np
    import pandas as pd

    drawn = []
    for digest, table in sorted(tables.items()):
        generator = np.random.default_rng([seed, int(digest[:16], 16)])
        drawn.append(pd.DataFrame({"draw": generator.random(len(table)), "table": digest, "row": range(len(table))}))
    if not drawn:
        return pd.DataFrame()
    chosen = pd.concat(drawn).nsmallest(rows, "draw", keep="first")
    parts = [tables[digest].iloc[sorted(chosen["row"][chosen["table"] == digest])] for digest in sorted(tables)]
    return pd.concat(parts, ignore_index=True)
