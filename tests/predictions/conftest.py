"""Hypothesis: the same examples each time, and no time limit, on a machine that others use too."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nbprod", deadline=None, derandomize=True)
settings.load_profile("nbprod")
