"""One worker: it loads the versions, opens the log, answers until SIGTERM, and ends when nothing is left to answer."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.errors import DeployError
from nbprod.serving import events, threads
from nbprod.serving.limits import Limits
from nbprod.serving.loading import Source, load

if TYPE_CHECKING:
    import mmap

    from nbprod.serving.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker is to do.

    Attributes:
        answer, shadow, canary: versions by their roles; see `nbprod.serving.service.Roles`.
        share: of the requests that the canary answers.
        log: the folder of the prediction log.
        rolled: where it is rolled to, a folder or any fsspec URL; None for beside it.
        api_keys: the file of the callers' keys; None for no keys.
        certificate, private_key: files for TLS; None for none.
        fsync: see `nbprod.predictions.segments`.
        retain: seconds after which predictions are deleted; None for never.
    """

    answer: Source
    log: Path
    shadow: Source | None = None
    canary: Source | None = None
    share: float = 0.0
    limits: Limits
    workers: int = 1
    api_keys: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    fsync: Literal["never", "second", "batch"] = "never"
    retain: float | None = None
    rolled: str | None = None


Follow = Callable[["Service", "Plan"], Any]
"""Begins to follow the registry in a worker; returns what is closed at the end."""


def work(
    plan: Plan,
    listener: socket.socket,
    *,
    worker: int = 0,
    slots: mmap.mmap | None = None,
    ready: Callable[[], None],
    follow: Follow | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT.

    Args:
        ready: called when the first request can be answered.

    Raises:
        NbprodError: a version cannot be loaded, or the log cannot be opened.
    """
    cpus = threads.set_variables(plan.workers)
    loaded = {name: load(source, plan.limits) for name in ROLES if (source := getattr(plan, name)) is not None}
    threads.use(1)
    for name, served in loaded.items():
        events.tell("info", "loaded", role=name, version=served.ref, path=served.proof.path, why=served.proof.why,
                    rows_tried=served.proof.rows, worker=worker)  # fmt: skip
    import uvloop

    def begin() -> Any:
        return _serve(plan, listener, loaded, cpus=cpus, worker=worker, slots=slots, ready=ready, follow=follow)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(begin())


ROLES = ("answer", "shadow", "canary")


def warm() -> None:
    """Import what every single worker needs, whatever the model is, while somebody else finds and verifies it."""
    threads.set_variables(1)
    for name in (
        "scipy.sparse",
        "scipy.stats",
        "uvicorn",
        "uvloop",
        "httptools",
        "starlette.applications",
        "msgspec",
        "orjson",
    ):
        importlib.import_module(name)


async def _serve(
    plan: Plan,
    listener: socket.socket,
    loaded: dict[str, Any],
    *,
    cpus: int,
    worker: int,
    slots: mmap.mmap | None,
    ready: Callable[[], None],
    follow: Follow | None,
) -> None:
    from nbprod.serving.app import App
    from nbprod.serving.pages import pages
    from nbprod.serving.rolling import rolled
    from nbprod.serving.tracing import traced

    with _service(plan, loaded, cpus=cpus, worker=worker, slots=slots) as service:
        server = _server(plan, traced(App(service, pages(service))))
        following = follow(service, plan) if follow is not None else None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _end, server, service, number)
        sharing = loop.create_task(_share(service)) if slots is not None else None
        task = loop.create_task(server.serve(sockets=[listener]))
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        if server.started:
            ready()
        with rolled(plan.log, plan.retain, plan.rolled) if worker == 0 else contextlib.nullcontext():
            await task
        if sharing is not None:
            sharing.cancel()
        if following is not None:
            following.close()
        while not service.batcher.empty:  # what a shadow still scores
            await asyncio.sleep(0.01)
    events.tell("info", "ended", worker=worker)


def _end(server: Any, service: Service, number: int) -> None:
    """Drain; a signal that comes a second time ends at once (Ctrl-C brings a worker one, and its parent another)."""
    server.force_exit = number in service.signals
    service.signals.add(number)
    service.ready = False
    server.should_exit = True


async def _share(service: Service) -> None:
    while True:
        service.metrics.share()
        await asyncio.sleep(0.5)


@contextlib.contextmanager
def _service(
    plan: Plan, loaded: dict[str, Any], *, cpus: int, worker: int, slots: mmap.mmap | None
) -> Iterator[Service]:
    from nbprod.predictions.journal import Journal
    from nbprod.predictions.reading import exists
    from nbprod.serving.batching import Batcher
    from nbprod.serving.keys import ApiKeys
    from nbprod.serving.metrics import Metrics
    from nbprod.serving.service import Loaded, Roles, Service

    locked = plan.api_keys is not None
    roles = {name: Loaded.of(served, locked=locked) for name, served in loaded.items()}
    metrics = Metrics(slots=slots, worker=worker, workers=plan.workers)
    journal = Journal(plan.log, model=plan.answer.name, worker=worker, fsync=plan.fsync)
    for repaired in journal.repaired:
        events.tell("warning", "a half-written end of the prediction log was cut off", found=str(repaired))
    batcher = Batcher(journal, metrics, plan.limits, cpus=cpus)
    if plan.fsync == "batch":
        batcher.always_apart()
    feedback = _Feedback(plan, worker)
    try:
        yield Service(
            roles=Roles(share=plan.share, **roles), batcher=batcher, journal=journal, metrics=metrics,
            limits=plan.limits, keys=ApiKeys(plan.api_keys) if plan.api_keys else None, feedback=feedback.write,
            exists=lambda request: exists(plan.log, request), folder=plan.log,
        )  # fmt: skip
    finally:
        batcher.close()
        journal.close()
        feedback.close()
        metrics.share()


class _Feedback:
    """The log of feedback, opened when the first comes."""

    def __init__(self, plan: Plan, worker: int) -> None:
        self._plan, self._worker = plan, worker
        self._log: Any = None

    def write(self, items: list[tuple[str, int | None, str, Any, str]]) -> None:
        """Write feedback down; JournalFull if that cannot be."""
        from nbprod.predictions.feedback import Feedback, FeedbackLog

        if self._log is None:
            plan = self._plan
            self._log = FeedbackLog(plan.log, model=plan.answer.name, worker=self._worker, fsync=plan.fsync)
        self._log.write(
            [Feedback(request=id_, row=row, name=name, value=value, source=key) for id_, row, name, value, key in items]
        )

    def close(self) -> None:
        """End it."""
        if self._log is not None:
            self._log.close()


def _server(plan: Plan, app: Any) -> Any:
    import uvicorn

    from nbprod.serving.wire import protocol

    class Server(uvicorn.Server):
        """Whose signals are handled here, so that SIGTERM ends with exit code 0."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    limits = plan.limits
    config = uvicorn.Config(
        app, http=protocol(limits), ws="none", lifespan="off", log_config=None, access_log=False, loop="none",
        server_header=False, date_header=False, proxy_headers=False, limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.idle), timeout_graceful_shutdown=int(limits.drain), backlog=2048,
        ssl_certfile=str(plan.certificate) if plan.certificate else None,
        ssl_keyfile=str(plan.private_key) if plan.private_key else None,
    )  # fmt: skip
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise DeployError(
            f"the TLS certificate or its key cannot be used ({error}).", file=str(plan.certificate)
        ) from error
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that all workers accept from.

    Raises:
        DeployError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise DeployError(
            f"cannot listen at {host}:{port} ({error.strerror}): choose another --port or --host."
        ) from error
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener
