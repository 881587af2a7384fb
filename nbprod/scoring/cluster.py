"""Scoring on the workers of a Dask scheduler: they get the verified model as bytes, and the rows piece by piece.

The input is read, and the output and the log are written, where the run was started: the workers need neither, only
nbprod itself.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from nbprod.errors import DeployError, NbprodError
from nbprod.scoring.answers import form_of
from nbprod.scoring.engines import Engine, ordered
from nbprod.scoring.scorer import Question, Result, Scorer, lock_for
from nbprod.serving.limits import Limits
from nbprod.serving.loading import Source, load

SECONDS = 10
"""Seconds in which the scheduler must have a worker."""

_LOADING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A version as it is sent to workers, and how it is asked.

    Attributes:
        archive: the verified folder, as tar.
        source: JSON of what else a `Source` says.
        proba, stops: see `Scorer` and `form_of`.
    """

    archive: bytes
    source: str
    proba: bool
    stops: bool


def packed(source: Source, *, proba: bool, stops: bool) -> Packed:
    """A version whose folder was verified, as bytes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.add(source.folder, arcname=".")
    about = {
        "name": source.name, "version": source.version, "digest": source.digest, "entry": source.entry,
        "signed": source.signed, "kept": source.kept,
    }  # fmt: skip
    return Packed(archive=target.getvalue(), source=json.dumps(about), proba=proba, stops=stops)


def engine_on(client: Any, model: Packed) -> Engine:
    """Score on the workers of a scheduler, with its client.

    Raises:
        DeployError: the scheduler has no workers, or they have not this nbprod.
    """
    address = str(client.scheduler.address)
    return _engine(client, address, model, _checked(client, address))


def _checked(client: Any, address: str) -> int:
    """How many threads the workers have; all of them must have this nbprod."""
    own = installed_version("nbprod")
    try:
        client.wait_for_workers(1, timeout=SECONDS)
        versions = set(client.run(_version).values())
    except TimeoutError as error:
        raise DeployError(f"the Dask scheduler at {address} has no workers: start some.") from error
    except Exception as error:  # whatever a worker raises
        raise DeployError(
            f"the workers of {address} cannot run nbprod ({type(error).__name__}): install nbprod {own} with "
            "its extras serve and dask there."
        ) from error
    if versions != {own}:
        raise DeployError(f"the workers of {address} have nbprod {', '.join(sorted(versions))}, not {own}.")
    return int(sum(client.nthreads().values()))


def _version() -> str:
    import msgspec  # noqa: F401 - that it is there, too
    import orjson  # noqa: F401

    return installed_version("nbprod")


def _engine(client: Any, address: str, model: Packed, count: int) -> Engine:
    def engine(questions: Iterable[Question]) -> Generator[Result, None, None]:
        shared = client.scatter(model, broadcast=True, hash=False)

        def submit(question: Question) -> Any:
            rows = client.scatter(question, hash=False)  # as data, not as a part of the graph
            return client.submit(score_there, shared, rows, pure=False)

        yield from ordered(questions, submit, 2 * count, lambda future: _result(future, address))

    return engine


def _result(future: Any, address: str) -> Result:
    try:
        found: Result = future.result()
    except NbprodError:
        raise
    except Exception as error:  # a worker that dies again and again, or a scheduler that is gone
        raise DeployError(f"the workers of {address} failed ({type(error).__name__}): see their logs.") from error
    return found


def score_there(model: Packed, question: Question) -> Result:
    """Score a piece on a worker."""
    with _LOADING:
        scorer = _scorer(model)
    return scorer.score(question)


@lru_cache(maxsize=2)
def _scorer(model: Packed) -> Scorer:
    about = json.loads(model.source)
    about["kept"] = tuple(about["kept"])
    with tempfile.TemporaryDirectory(prefix="nbprod-score-") as folder:
        with tarfile.open(fileobj=io.BytesIO(model.archive)) as archive:
            archive.extractall(folder, filter="data")
        served = load(Source(folder=Path(folder), **about), Limits())
    return Scorer(
        served=served, form=form_of(served, proba=model.proba), kept=about["kept"], stops=model.stops,
        one=lock_for(served),
    )  # fmt: skip
