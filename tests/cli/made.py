"""What the verbs are answered with in the tests of the command line, and how each is called."""

from __future__ import annotations

from typing import Any

from nbprod.entities import Artifact, CellError, GateResult, Metric, ModelVersion, Run, StageRun
from nbprod.evidence.audit import AuditLine
from nbprod.evidence.compare import Compared
from nbprod.evidence.lineage import Graph, Node, Use
from nbprod.evidence.tombstones import Erased
from nbprod.lifecycle.build import Built
from nbprod.lifecycle.card import Carded
from nbprod.lifecycle.checks import Check, Verified
from nbprod.lifecycle.export import Exported
from nbprod.lifecycle.feedback import Told
from nbprod.lifecycle.health import Found, Health
from nbprod.lifecycle.history import History
from nbprod.lifecycle.import_ import Imported
from nbprod.lifecycle.judging import Judgement
from nbprod.lifecycle.lineage import Lineage
from nbprod.lifecycle.promote import Promoted
from nbprod.lifecycle.report import RunReport
from nbprod.lifecycle.reproduce import Reproduction
from nbprod.lifecycle.retrain import Retrained
from nbprod.lifecycle.score import Scored
from nbprod.lifecycle.subject.erasures import Erasures
from nbprod.lifecycle.versions import Shown
from nbprod.lifecycle.watch import Look
from nbprod.monitoring.facts import MonitorReport
from nbprod.packaging.bundle import Manifest
from nbprod.packaging.proof import Proof
from nbprod.targets import Deployment

ENTRY: dict[str, Any] = {"name": "churn", "metrics": [{"name": "auc", "value": 0.5, "dataset": "test"}], "model": {}}
VERSION = ModelVersion(name="churn", version="3", digest="d", created="2026-01-01T10:20:30+00:00", entry=ENTRY)
MONITORED = MonitorReport(
    name="churn", ref="churn/3", digest="d", made="2026-01-01T10:20:30Z", status="INSUFFICIENT", source="log"
)
DONE = StageRun(
    stage="train",
    status="succeeded",
    run="r1",
    reasons=("it never ran",),
    executed=Artifact(name="train.ipynb", uri="runs/r1/train.ipynb", sha256="0", size=1),
    metrics=(Metric(name="loss", value=float("nan")),),
    cells=2,
    seconds=1.5,
)
FAILED = StageRun(
    stage="train",
    status="failed",
    notebook="notebooks/train.ipynb",
    executed=Artifact(name="train.ipynb", uri="runs/r1/train.ipynb", sha256="0", size=1),
    error=CellError(message="ZeroDivisionError: division by zero", cell=3, source="x = 0\n1 / x", traceback="one\ntwo"),
    pending=2,
)

PASSED = GateResult(gate="size", verdict="passed", reason="small.", observed=5, required="at most 10")
LINE = AuditLine(
    seq=1, time="2026-01-01T10:20:30+00:00", key="0123456789abcdef", user="ana", action="promote", model="churn",
    version="3", alias="champion", before="2", reason="better",
)  # fmt: skip

ERASED = Erased(
    token="6b208e92" * 4, subject_key="b7c29a4a" * 2, line=1, time="2026-01-01T10:20:30+00:00", user="ana",
    key="0" * 16, reason="asked",
)  # fmt: skip

SAME = Compared(what="test/auc", agreement="identical", recorded="0.8", found="0.8")
GROUP = Compared(what="test[sex=1]/auc", agreement="identical", recorded="0.8", found="0.8")
BUILT = Built(
    folder="new", digest="d" * 64, proof=Proof(rows=5, compared=True, ready=1.5, seconds=9.0),
    manifest=Manifest(
        name="churn", version="3", entry="d", model={}, python="3.11", nbprod="0", base="b", wheels="own",
    ),
)  # fmt: skip

REPORT = RunReport(run=Run(id="r1", pipeline="p", status="succeeded", stages=(DONE,)), version=VERSION)

RETRAINED = Retrained(name="churn", state="promoted", reason="all gates of churn/2 passed.", version="churn/2")
LOOK = Look(name="churn", at=1795564800.0, status="OK", reason="it is not stale.", guarded="keep: as good.")

ANSWERS: dict[str, Any] = {
    "retrain.retrain": RETRAINED,
    "watch.once": (LOOK,),
    "serve.new_key": "nbp_key",
    "run.run": REPORT,
    "register.register": (VERSION, True),
    "versions.models": (VERSION,),
    "versions.show": Shown(version=VERSION, tracking_uri="", example=""),
    "card.card": Carded(ref="churn/3", markdown="# churn/3\n"),
    "versions.fetch": (VERSION, ()),
    "versions.runs": (REPORT.run,),
    "subject.listing.erasures": Erasures(erased=(ERASED,), count=1),
    "history.history": History(name="churn", lines=(LINE,)),
    "lineage.lineage": Lineage(
        subject="data.csv",
        kind="data",
        roots=("data:0",),
        graph=Graph(nodes=(Node(id="data:0", kind="data", label="data.csv", facts={"sha256": "0" * 64}),)),
        uses=(Use(version="churn/3", uses=("train",)),),
        notes=("data.csv was changed.",),
    ),
    "export.export": Exported(ref="churn/3", target="out", format="folder", files=3, bytes=100, key="0123456789abcdef"),
    "import_.import_version": Imported(
        version=VERSION, origin="churn/1 in sqlite", registered=True, statements=2, notes=("its parent is not here.",)
    ),
    "verify.verify": Verified(ref="churn/3", checks=(Check(name="entry", state="ok"),)),
    "reproduce.reproduce": Reproduction(
        version=VERSION, verdict="identical", reason="All is the same.", compared=(SAME, *[GROUP] * 3)
    ),
    "gate.gate": Judgement(version=VERSION, results=(PASSED,)),
    "approve.approve": VERSION,
    "score.score": Scored(
        ref="churn/3",
        input="a.csv",
        output="out.csv",
        files=2,
        rows=3000,
        ignored=("id",),
        seconds=1.5,
        log="log",
        requests=("6b06882c679c1287-0-0-1",),
        notes=("a note.",),
    ),
    "feedback.feedback": Told(model="churn", file="late.csv", rows=2, recorded=2, names={"truth": 2}),
    "health.look": Found(rows=(Health(name="churn", version="3"),), document={"name": "churn"}, report=MONITORED),
    "promote.promote": Promoted(version=VERSION, alias="champion", before="2", results=(PASSED,)),
    "build.build": BUILT,
    "deploy.deploy": Deployment(name="churn", version="3", target="local", status="ready", url="http://127.0.0.1:1"),
    "rollback.rollback": Promoted(version=VERSION, alias="champion", before="4"),
}
"""Function below `nbprod.lifecycle` -> what it returns."""

CALLS = {
    "init": ("init", "new"),
    "check": ("check",),
    "plan": ("plan",),
    "run": ("run",),
    "register": ("register", "a.ipynb", "--name", "churn"),
    "runs": ("runs",),
    "models": ("models",),
    "show": ("show", "churn/3"),
    "fetch": ("fetch", "churn/3"),
    "lineage": ("lineage", "data.csv"),
    "history": ("history", "churn"),
    "subject": ("subject", "list"),
    "verify": ("verify", "churn/3"),
    "reproduce": ("reproduce", "churn/3"),
    "gate": ("gate", "churn/3"),
    "approve": ("approve", "churn/3", "--reason", "read it"),
    "promote": ("promote", "churn/3"),
    "serve": ("serve", "churn/1", "--api-key-file", "keys.txt", "--add-key", "ana"),
    "score": ("score", "churn/3", "a.csv", "out.csv"),
    "feedback": ("feedback", "churn", "data.csv"),
    "monitor": ("monitor", "churn"),
    "retrain": ("retrain", "churn", "--if-stale"),
    "watch": ("watch", "--once"),
    "rollback": ("rollback", "churn"),
    "export": ("export", "churn/3", "out"),
    "import": ("import", "out"),
    "build": ("build", "churn/3", "new"),
    "deploy": ("deploy", "churn/3"),
    "keys": ("keys",),
}
"""How each verb is called."""
