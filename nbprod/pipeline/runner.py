"""Run a pipeline: independent stages side by side, each as soon as what it needs is there.

What a stage left is kept before the next one sees it, so that a run that is killed loses no finished stage. A stage
that fails stops what depends on it and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from nbprod.entities import CellError, Run, StageRun, Status
from nbprod.errors import ArtifactError, NbprodError
from nbprod.executors import Control
from nbprod.index import run_text
from nbprod.pipeline.attempt import Bench, now, place_result, run_stage
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.events import StageEnded
from nbprod.pipeline.folders import link_latest
from nbprod.pipeline.plan import Decision, Planner
from nbprod.pipeline.repeats import MARK
from nbprod.store import write_text


class Runner:
    """One run of one pipeline.

    Args:
        bench: what every stage needs.
        planner: decides whether a stage must run.
        jobs: how many stages run at once.
    """

    def __init__(self, bench: Bench, planner: Planner, *, jobs: int) -> None:
        self.bench = bench
        self.planner = planner
        self.jobs = jobs
        self.bound: tuple[BoundStage, ...] = ()
        self.done: dict[str, StageRun] = {}
        self.controls: dict[str, Control] = {}
        self.started = now()
        self.clock = time.monotonic()

    def run(self, bound: Sequence[BoundStage]) -> Run:
        """Run the stages and return the run as it ended.

        Raises:
            KeyboardInterrupt: after every kernel was stopped and the run was recorded as interrupted.
        """
        self.bound = tuple(bound)
        self.save("running")
        waiting = {item.name: item for item in bound}
        running: dict[Future[StageRun], str] = {}
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="stage") as pool:
            try:
                while waiting or running:
                    self._start_ready(waiting, running, pool)
                    if running:
                        ended, _ = wait(running, return_when=FIRST_COMPLETED)
                        for future in ended:
                            self._finish(running.pop(future), future.result())
            except BaseException:
                self._interrupt(running)
                raise
        return self.save(self.status())

    def _start_ready(
        self, waiting: dict[str, BoundStage], running: dict[Future[StageRun], str], pool: ThreadPoolExecutor
    ) -> None:
        """Start, reuse or skip every stage whose needs are settled, until nothing more can be done at once."""
        progress = True
        while progress:
            progress = False
            for name, item in list(waiting.items()):
                needed = {stage for stage, _ in item.sources.values()}
                if not needed <= self.done.keys():
                    continue
                bad = [stage for stage in needed if self.done[stage].status != "succeeded"]
                if not bad and len(running) >= self.jobs:
                    continue
                del waiting[name]
                progress = True
                if bad:
                    self._finish(name, _skipped(item, bad, self.bench))
                else:
                    self._begin(item, running, pool)

    def _begin(self, item: BoundStage, running: dict[Future[StageRun], str], pool: ThreadPoolExecutor) -> None:
        try:
            decision = self.planner.decide(item, self.done)
        except NbprodError as error:
            self._finish(item.name, _unstarted(item, self.bench, error))
            return
        control = self.controls[item.name] = Control()
        running[pool.submit(self._work, item, decision, control)] = item.name

    def _work(self, item: BoundStage, decision: Decision, control: Control) -> StageRun:
        """One stage, in a thread of its own; what cannot be reused is run after all."""
        if decision.result:
            try:
                return place_result(self.bench, replace(decision.result, reasons=decision.reasons))
            except ArtifactError as error:
                self.bench.index.forget(decision.key)
                decision = replace(decision, action="run", result=None, previous="", reasons=(error.message,))
        try:
            return run_stage(self.bench, item, decision, control)
        except NbprodError as error:
            return _unstarted(item, self.bench, error)

    def _finish(self, name: str, ended: StageRun) -> None:
        self.done[name] = ended
        self.controls.pop(name, None)
        if ended.status == "succeeded" and MARK not in name:
            link_latest(self.bench.project, self.bench.run, name)
        self.save("running")
        self.bench.watch(StageEnded(stage=ended))

    def _interrupt(self, running: dict[Future[StageRun], str]) -> None:
        """Stop every kernel, wait for the stages to notice, and record what became of them."""
        for control in list(self.controls.values()):
            control.stop("interrupted")
        wait(running, timeout=30)
        for future, name in running.items():
            if future.done() and not future.exception():
                self._finish(name, future.result())
        self.save("interrupted")

    def status(self) -> Status:
        """How the run as a whole stands, from its stages."""
        found = {stage.status for stage in self.done.values()}
        if "interrupted" in found:
            return "interrupted"
        return "failed" if found - {"succeeded"} else "succeeded"

    def save(self, status: Status) -> Run:
        """Write the run as it stands to its folder, then to the index."""
        order = [item.name for item in self.bound]
        run = Run(
            id=self.bench.run,
            pipeline=self.bench.pipeline,
            status=status,
            started=self.started,
            ended="" if status == "running" else now(),
            seconds=round(time.monotonic() - self.clock, 3),
            stages=tuple(self.done[name] for name in order if name in self.done),
            params={item.name: dict(item.params) for item in self.bound},
        )
        write_text(self.bench.folder / "run.json", run_text(run))
        self.bench.index.save_run(run)
        return run


def _unstarted(item: BoundStage, bench: Bench, error: NbprodError) -> StageRun:
    """A stage that failed before, or after, its notebook ran."""
    return StageRun(
        stage=item.name,
        pipeline=bench.pipeline,
        run=bench.run,
        notebook=item.stage.notebook,
        status="failed",
        error=CellError(message=str(error)),
    )


def _skipped(item: BoundStage, bad: list[str], bench: Bench) -> StageRun:
    return StageRun(
        stage=item.name,
        pipeline=bench.pipeline,
        run=bench.run,
        notebook=item.stage.notebook,
        status="skipped",
        reasons=tuple(f"stage '{name}' did not succeed" for name in sorted(bad)),
    )
