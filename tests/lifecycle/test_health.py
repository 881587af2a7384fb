"""One model or all of them are looked at, and what is about one is not asked of all."""

from __future__ import annotations

import pytest

from nbprod.errors import UsageError
from nbprod.lifecycle import health as lifecycle


def test_one_or_all_must_be_said() -> None:
    with pytest.raises(UsageError, match="name a model, or say --all"):
        lifecycle.look(None)
    with pytest.raises(UsageError, match="are about one model"):
        lifecycle.look(None, all_=True, html="page.html")
