"""Property tests look at the same examples every time, and no clock fails them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nbprod", deadline=None, derandomize=True)
settings.load_profile("nbprod")
