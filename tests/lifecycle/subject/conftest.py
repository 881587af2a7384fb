"""A project with people in its data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbprod.trust.subject_keys import SubjectKeys
from tests.fakes import Lab
from tests.lifecycle.subject.made import People


@pytest.fixture
def people(lab: Lab) -> Iterator[People]:
    SubjectKeys().own()
    yield People(lab)
