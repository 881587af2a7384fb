"""The image test makes projects as the functional tests do."""

from tests.functional.conftest import make_project

__all__ = ["make_project"]
