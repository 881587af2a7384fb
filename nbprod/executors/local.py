"""Execute a notebook on this machine with papermill, and notice the failures that papermill does not.

The kernel's folder and environment are given to the kernel; nothing of this process is changed, so that stages can
run side by side in threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.entities import CellError
from nbprod.executors import Control, Execution, Outcome
from nbprod.executors.loading import load_papermill
from nbprod.executors.prompt import prompt_manager
from nbprod.executors.shell import ends_in_shell_escape
from nbprod.store import written_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

TRACEBACK_LINES = 40
"""How much of a traceback is kept with the run; all of it is in the executed notebook."""

ENGINE = "nbprod"

QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
"""For every kernel: its debugger else warns on stderr that Python's own modules are frozen."""


class ShellCommandFailed(Exception):
    """The last command of a cell was a shell command and did not exit with 0."""


def execute(job: Execution, control: Control) -> Outcome:
    """Execute a notebook with papermill; see `nbprod.executors`."""
    load_papermill()
    from papermill.exceptions import PapermillException, PapermillExecutionError
    from papermill.execute import execute_notebook

    notebook = _prepared(job)
    recorder = _Recorder(job, control)
    error: CellError | None = None
    try:
        execute_notebook(
            notebook,
            None,
            dict(job.parameters),
            engine_name=_engine(),
            kernel_name=job.kernel,
            language="python" if not notebook.metadata.get("language_info", {}).get("name") else None,
            progress_bar=False,
            recorder=recorder,
        )
    except PapermillExecutionError:
        pass  # the cell that failed is in the notebook, see below
    except (PapermillException, RuntimeError, TimeoutError, OSError) as problem:
        error = CellError(message=_kernel_problem(problem, recorder), cell=recorder.current)
    finally:
        control.end()
    return recorder.outcome(error)


def _engine() -> str:
    """Register nbprod's engine with papermill, once, and return its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    if ENGINE not in papermill_engines._engines:
        # It warns of parameters whose annotation it cannot read; their names were checked before anything ran.
        logging.getLogger("papermill").setLevel(logging.ERROR)

        class RecordingEngine(NBClientEngine):  # type: ignore[misc]
            """papermill's own engine with a client that records what it does."""

            @classmethod
            def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
                """Execute the notebook; called by papermill."""
                options["recorder"].run(nb_man, kernel_name)

        papermill_engines.register(ENGINE, RecordingEngine)
    return ENGINE


def _prepared(job: Execution) -> NotebookNode:
    """The notebook as papermill takes it: upgraded to the newest minor format, with a kernel."""
    import nbformat

    notebook: NotebookNode = nbformat.from_dict(dict(job.notebook))  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.upgrade(notebook)  # type: ignore[no-untyped-call]
    kernelspec = dict(notebook.metadata.get("kernelspec", {}))
    notebook.metadata["kernelspec"] = {"display_name": job.kernel, **kernelspec, "name": job.kernel}
    notebook.metadata["kernelspec"].setdefault("language", "python")
    notebook.metadata.setdefault("papermill", {})
    notebook.metadata["papermill"].update(parameters=dict(job.parameters), environment_variables={}, version="nbprod")
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata["papermill"] = {}
    return notebook


def _kernel_problem(problem: Exception, recorder: _Recorder) -> str:
    """One sentence for an error that came from the kernel and not from a cell."""
    name = type(problem).__name__
    if name == "DeadKernelError":
        return "the kernel died, often because memory ran out: try less data, or look for a crash in native code."
    if name == "CellTimeoutError":
        return "a cell took longer than allowed."
    place = "" if recorder.current else " while the kernel was starting"
    return f"the kernel failed{place}: {str(problem).strip().splitlines()[0] if str(problem).strip() else name}."


def _group_killer(process_id: int) -> Callable[[], None]:
    """A function that kills a kernel with everything it started."""

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process_id, signal.SIGKILL)

    return kill


class _Recorder:
    """Follows one execution: writes the notebook after each cell and remembers what went wrong where."""

    def __init__(self, job: Execution, control: Control) -> None:
        self.job = job
        self.control = control
        self.notebook: NotebookNode | None = None
        self.total = sum(1 for cell in job.notebook.get("cells", ()) if cell.get("cell_type") == "code")
        self.begun = 0
        self.current = 0
        self.failure: CellError | None = None

    def save(self) -> None:
        """Write the notebook as it stands, whole."""
        import nbformat

        with written_whole(self.job.target) as part:
            part.write_text(nbformat.writes(self.notebook), encoding="utf-8")  # type: ignore[no-untyped-call]

    def run(self, nb_man: Any, kernel_name: str) -> None:
        """Start a kernel, execute the cells, stop the kernel."""
        self.notebook = nb_man.nb
        self.save()
        if self.control.reason:
            return
        with tempfile.TemporaryDirectory(prefix="nbprod-") as sockets:
            client = _client(nb_man, kernel_name, self.job.folder, sockets)
            with client.setup_kernel(env={**QUIET, **os.environ, **self.job.environment}):
                process = getattr(client.km.provisioner, "process", None)
                if process is not None:
                    self.control.begin(_group_killer(process.pid))
                reply = client.wait_for_reply(client.kc.kernel_info())
                if reply:
                    self.notebook.metadata["language_info"] = reply["content"]["language_info"]
                self._cells(client, nb_man)
                client.set_widgets_metadata()

    def _cells(self, client: Any, nb_man: Any) -> None:
        assert self.notebook is not None
        runnable = [index for index, cell in enumerate(self.notebook.cells) if _runs(cell)]
        self.total = len(runnable)
        for index in runnable:
            if self.control.reason:
                return
            self.begun += 1
            self.current = _number(self.notebook, index)
            self.job.on_cell(self.begun, self.total)
            nb_man.cell_start(self.notebook.cells[index], index)
            try:
                self._cell(client, nb_man, index)
            except Exception as problem:
                # Without this mark papermill would call this cell and all later ones completed.
                nb_man.cell_exception(self.notebook.cells[index], cell_index=index, exception=problem)
                raise
            finally:
                nb_man.cell_complete(self.notebook.cells[index], cell_index=index)
                self.save()
            if self.failure:
                return

    def _cell(self, client: Any, nb_man: Any, index: int) -> None:
        from nbclient.exceptions import CellExecutionError

        assert self.notebook is not None
        cell = self.notebook.cells[index]
        try:
            client.execute_cell(cell, index)
            self._check_shell(client, cell)
        except (CellExecutionError, ShellCommandFailed) as problem:
            if self.begun == self.total and _is_plain_exit(problem):
                return
            nb_man.cell_exception(cell, cell_index=index, exception=problem)
            self.failure = _failure(cell, self.current, problem)

    def _check_shell(self, client: Any, cell: NotebookNode) -> None:
        """Raise when the cell ends in a shell command that failed: IPython only leaves its exit code behind."""
        if "raises-exception" in cell.metadata.get("tags", []) or not ends_in_shell_escape(cell.source):
            return
        reply = client.wait_for_reply(
            client.kc.execute("", silent=True, store_history=False, user_expressions={"code": "_exit_code"})
        )
        answer = (reply or {}).get("content", {}).get("user_expressions", {}).get("code", {})
        code = answer.get("data", {}).get("text/plain", "0")
        if answer.get("status") == "ok" and code != "0":
            raise ShellCommandFailed(f"the shell command that ends the cell exited with {code}")

    def outcome(self, error: CellError | None) -> Outcome:
        """What became of the execution, papermill's blind spots included."""
        failure = self.failure or error
        if self.control.reason:
            failure = CellError(message="was stopped.", cell=self.current)
        elif failure is None and self.begun < self.total:
            failure = CellError(message="the notebook ended early.", cell=self.current)
        if self.notebook is not None:
            if failure and self.notebook.metadata.get("language_info", {}).get("name") == "python":
                self.notebook.cells.insert(0, _way_back(self.job.folder))
            self.save()
        return Outcome(cells=self.total, pending=self.total - self.begun, error=failure, stopped=self.control.reason)


def _client(nb_man: Any, kernel_name: str, folder: Path, sockets: str) -> Any:
    """papermill's client, whose kernel talks over sockets in a private folder rather than TCP ports."""
    from papermill.clientwrap import PapermillNotebookClient
    from traitlets.config import Config

    config = Config()
    if os.name == "posix":
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = f"{sockets}/kernel"
    client = PapermillNotebookClient(
        nb_man,
        kernel_name=kernel_name,
        kernel_manager_class=prompt_manager(),
        startup_timeout=60,
        resources={"metadata": {"path": str(folder)}},
        config=config,
    )
    client.reset_execution_trackers()
    return client


def _way_back(folder: Path) -> NotebookNode:
    """A first cell for the copy of a notebook that failed: it lies elsewhere, and imports and paths need its folder."""
    import nbformat

    source = (
        f"# The notebook ran in this folder. Run this cell first to go on here.\nimport os\n\nos.chdir({str(folder)!r})"
    )
    cell: NotebookNode = nbformat.v4.new_code_cell(source, metadata={"tags": ["nbprod-folder"]})  # type: ignore[no-untyped-call]
    return cell


def _number(notebook: NotebookNode, index: int) -> int:
    """A cell's number in the author's notebook, which has no injected parameters cell."""
    injected = sum("injected-parameters" in cell.metadata.get("tags", []) for cell in notebook.cells[: index + 1])
    return index + 1 - injected


def _is_plain_exit(problem: Exception) -> bool:
    """Whether a cell ended with ``sys.exit(0)``: no failure when there is nothing left to run."""
    return getattr(problem, "ename", "") == "SystemExit" and getattr(problem, "evalue", "") in ("", "0", "None")


def _runs(cell: NotebookNode) -> bool:
    """Whether a cell is run: it is code, holds some, and is not tagged to be skipped."""
    return bool(
        cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", [])
    )


def _failure(cell: NotebookNode, number: int, problem: Exception) -> CellError:
    """Why a cell failed: what it printed as an error, or else what the kernel replied."""
    if isinstance(problem, ShellCommandFailed):
        lines: list[str] = []
        message = f"{problem}; tag the cell `raises-exception` if that is meant."
    else:
        name, value = getattr(problem, "ename", ""), getattr(problem, "evalue", "")
        message = f"{name}: {value}".strip().rstrip(":") or "the cell failed"
        outputs = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        lines = outputs[-1].traceback if outputs else str(getattr(problem, "traceback", "")).splitlines()
    if message.partition(":")[0] == "SystemExit":
        code = message.partition(":")[2].strip() or "0"
        message = f"the notebook ended itself here (SystemExit {code})."
    whole = "\n".join(lines)
    text = "\n".join(whole.splitlines()[-TRACEBACK_LINES:])
    line = _line(whole, cell.get("execution_count"))
    return CellError(message=message, cell=number, line=line, source=cell.source, traceback=text)


def _line(traceback: str, count: int | None) -> int:
    """The line of the cell at which a traceback left it for good; 0 if it does not say."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", traceback)
    found = re.findall(rf"Cell In\[{count}\], line (\d+)", plain)
    return int(found[-1]) if found else 0
