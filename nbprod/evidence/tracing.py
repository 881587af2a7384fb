"""Make the lineage graph out of what is written down: the entries of versions, and the runs of stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbprod.entities import JSON, ModelVersion, StageRun
from nbprod.evidence.lineage import (
    ALIAS,
    BESIDE,
    MADE,
    MEASURED,
    READ,
    REGISTERED,
    USED,
    Edge,
    Graph,
    Node,
    data_id,
    stage_id,
    version_id,
)


def build(versions: Iterable[ModelVersion], stages: Iterable[StageRun] = ()) -> Graph:
    """The graph of everything that is known.

    Args:
        versions: with aliases and entries; of an entry ``run``, ``inputs``, ``parent`` and ``model`` are read, and of
            its metrics the stages.
        stages: executions that may belong to no version, with the places of what they read and wrote.
    """
    made = _Making()
    known = tuple(versions)
    for stage in stages:
        made.stage_run(stage)
    for version in known:
        made.version(version)
    refs = {version.digest: version_id(version) for version in known}
    for version in known:
        made.parent(version, refs)
    return made.graph()


class _Making:
    """A graph while it is being made: id -> kind, label and facts of a node."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.facts: dict[str, dict[str, JSON]] = {}
        self.edges: dict[Edge, None] = {}

    def graph(self) -> Graph:
        """What was made."""
        nodes = (
            Node(id=id, kind=self.kinds[id], label=self.labels[id], facts=facts) for id, facts in self.facts.items()
        )
        return Graph(nodes=tuple(nodes), edges=tuple(self.edges))

    def node(self, id: str, kind: str, label: str, /, **facts: JSON) -> str:
        """Add a node, or what is newly known of one."""
        self.kinds.setdefault(id, kind)
        self.labels.setdefault(id, label)
        known = self.facts.setdefault(id, {})
        known.update((key, value) for key, value in facts.items() if value not in (None, "", [], {}))
        return id

    def edge(self, source: str, target: str, relation: str, name: str = "") -> None:
        self.edges[Edge(source=source, target=target, relation=relation, name=name)] = None

    def data(self, sha256: str, *, name: str = "", uri: str = "", **facts: JSON) -> str:
        """Add some bytes; every place where they were is kept, and the first name."""
        id = data_id(sha256)
        if (
            self.facts.get(id, {}).get("card") == "yes"
        ):  # newer versions come first, and one without a card takes none away
            facts = {key: value for key, value in facts.items() if key not in ("card", "licence", "personal")}
        known = self.facts[self.node(id, "data", sha256[:12], sha256=sha256, **facts)]
        if name:
            known.setdefault("name", name)
        uris: list[str] = known.setdefault("uris", [])
        if uri and uri not in uris:
            uris.append(uri)
            uris.sort(key=lambda place: place.startswith("runs/"))
        self.labels[id] = uris[0] if uris else known.get("name", sha256[:12])
        return id

    def model(self, id: str) -> None:
        """Say that some bytes are a model."""
        self.kinds[id] = "model"

    def stage_run(self, stage: StageRun) -> None:
        id = self.node(
            stage_id(stage.run, stage.stage), "stage", stage.stage, stage=stage.stage, notebook=stage.notebook,
            run=stage.run, pipeline=stage.pipeline, started=stage.started, status=stage.status,
        )  # fmt: skip
        for name, item in stage.inputs.items():
            place = self.data(item.sha256, name=name, uri=item.uri, kind=item.kind, bytes=item.size)
            self.edge(place, id, READ, name)
        for name, item in stage.outputs.items():
            place = self.data(item.sha256, name=name, uri=item.uri, kind=item.kind, bytes=item.size)
            self.edge(id, place, MADE, name)
            if item.role == "model":
                self.model(place)

    def version(self, version: ModelVersion) -> None:
        entry = version.entry
        id = self.node(
            version_id(version), "version", version.ref, name=version.name, version=version.version,
            digest=version.digest, created=version.created, aliases=list(version.aliases), run=version.run,
        )  # fmt: skip
        for item in entry["inputs"]:
            place = self.data(
                item["sha256"], name=item["name"], uri=item["uri"], kind=item["kind"], bytes=item["bytes"],
                rows=item["rows"], kept=item["kept"], **_card(item["card"]),
            )  # fmt: skip
            if item["role"] != "input":
                self.edge(place, id, USED, item["role"])
        own = {stage["name"]: self._stage(stage, entry) for stage in entry["run"]["stages"]}
        self.node(id, "version", version.ref, stages=list(own.values()))
        self._made_by(entry, own, id)
        for alias in version.aliases:
            place = f"alias:{version.name}@{alias}"
            self.node(place, "alias", alias, name=version.name)
            self.edge(id, place, ALIAS)

    def _stage(self, stage: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
        started = stage["started"] if stage["started"] != "unknown" else ""
        id = self.node(
            stage_id(stage["run"], stage["name"]), "stage", stage["name"], stage=stage["name"], run=stage["run"],
            notebook=stage["notebook"], started=started, parameters=stage["parameters"], status="succeeded",
            pipeline=entry["pipeline"]["name"],
        )  # fmt: skip
        for name, sha256 in stage["inputs"].items():
            self.edge(self.data(sha256, name=name), id, READ, name)
        for name, sha256 in stage["outputs"].items():
            self.edge(id, self.data(sha256, name=name), MADE, name)
        return id

    def _made_by(self, entry: Mapping[str, Any], own: Mapping[str, str], version: str) -> None:
        """Lead from the model's bytes, and from the stages that did not make it, to the version."""
        model = entry["model"]
        place = self.data(model["sha256"], name="model", kind="folder", bytes=model["bytes"])
        self.model(place)
        maker = own[model["stage"]]
        outputs = next(s["outputs"] for s in entry["run"]["stages"] if s["name"] == model["stage"])
        if model["sha256"] not in outputs.values():
            self.edge(maker, place, MADE, "model")  # the registered folder has not all that the stage left
        self.edge(place, version, REGISTERED)
        upstream = _upstream(entry["run"]["stages"], model["stage"])
        measuring = {metric["stage"] for metric in entry["metrics"]}
        for name, stage in own.items():
            if name in measuring and name != model["stage"]:
                self.edge(stage, version, MEASURED)
            elif name not in upstream:
                self.edge(stage, version, BESIDE)

    def parent(self, version: ModelVersion, refs: Mapping[str, str]) -> None:
        parent = version.entry.get("parent")
        if not parent:
            return
        digest = parent["digest"]
        place = refs.get(digest) or self.node(
            f"version:{digest}", "version", f"the entry {digest[:12]}, which is not in this registry", digest=digest
        )
        self.edge(place, version_id(version), parent["relation"])


def _card(card: Any) -> dict[str, JSON]:
    """What is known of the terms of a dataset, in words."""
    if not isinstance(card, Mapping):
        return {"card": "of what it was made from" if card == "derived" else "none"}
    personal = [*card.get("personal", ()), *card.get("sensitive", ())]
    return {"card": "yes", "licence": card.get("license") or "unknown", "personal": list(dict.fromkeys(personal))}


def _upstream(stages: Sequence[Mapping[str, Any]], name: str) -> set[str]:
    """A stage and those whose outputs it read, directly or not."""
    makers = {sha256: stage["name"] for stage in stages for sha256 in stage["outputs"].values()}
    reads = {stage["name"]: stage["inputs"].values() for stage in stages}
    found: set[str] = set()
    open_ = [name]
    while open_:
        here = open_.pop()
        if here not in found:
            found.add(here)
            open_.extend(makers[sha256] for sha256 in reads[here] if sha256 in makers)
    return found
