"""The Dask cluster that a project's settings name; scoring and monitoring work on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from nbprod.config import Project
from nbprod.errors import MissingExtra, RunError, UsageError

PATIENCE = 10.0
"""Seconds in which a scheduler must answer."""


def scheduler_of(project: Project) -> str:
    """The address of the scheduler.

    Raises:
        UsageError: none is set.
        MissingExtra: Dask is not installed.
    """
    address = project.settings.dask_scheduler
    if not address:
        raise UsageError(
            "--engine dask needs a scheduler: set `dask_scheduler` in [tool.nbprod], or NBPROD_DASK_SCHEDULER, to an "
            "address such as tcp://host:8786."
        )
    if not find_spec("distributed"):
        raise MissingExtra("--engine dask", extra="dask")
    return address


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    """A client of a scheduler, for as long as the block runs.

    Raises:
        UsageError: it is no address.
        RunError: the scheduler does not answer.
    """
    from distributed import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions and sizes, for people who wrote the graph
        try:
            client: Any = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise UsageError(f"'{address}' is no address of a Dask scheduler, such as tcp://host:8786.") from error
        except OSError as error:
            raise RunError(
                f"the Dask scheduler at {address} does not answer ({type(error).__name__}): start it, or correct the "
                "setting dask_scheduler."
            ) from error
        with client:
            yield client
