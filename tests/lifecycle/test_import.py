"""Importing a version: only what somebody trusted signed, with all that was said of it, and only once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import sha256_bytes, sha256_file
from nbprod.entities import Run, StageRun
from nbprod.errors import ArtifactError, RegistryError, UsageError
from nbprod.evidence.exported import Contents, Export, write_export
from nbprod.evidence.retelling import run_of
from nbprod.evidence.statements import approval, registration, signed
from nbprod.lifecycle.import_ import Imported, import_version, keys_of
from nbprod.lifecycle.lineage import lineage
from nbprod.lifecycle.verify import verify
from nbprod.registry.memory import MemoryRegistry
from nbprod.trust.keys import Keys
from tests.evidence.registered import registered

PARENT = {"relation": "retrain", "digest": "7" * 64}


class Far:
    """An export that a stranger made, and a project with a registry of its own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.stranger = Keys(base / "stranger")
        self.registry = MemoryRegistry(base / "registry")
        self.project = base / "project"
        (self.project / "pipelines").mkdir(parents=True)

    def export(self, name: str = "out", keys: Keys | None = None, **changes: Any) -> Path:
        """Make one, signed by the stranger."""
        signer = keys or self.stranger
        folder, version = registered(self.base / name, signer, **changes)
        said = (
            signed(registration(version, registry="https://far", key=signer.own().id, user="ana"), signer.own()),
            signed(approval(version.digest, key=signer.own().id, user="bea", reason="read it"), signer.own()),
        )
        listed = Export(
            name=version.name, version=version.version, digest=version.digest, registry="https://far",
            tags=version.tags, aliases=version.aliases,
        )  # fmt: skip
        pems = {signer.own().id: signer.own().public_pem}
        write_export(self.base / name / "export", listed, Contents(folder=folder, statements=said, keys=pems))
        return self.base / name / "export"


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Far:
    made = Far(tmp_path)

    @contextmanager
    def opened(project: object) -> Iterator[MemoryRegistry]:
        yield made.registry

    monkeypatch.setattr("nbprod.lifecycle.import_.open_registry", opened)
    monkeypatch.chdir(made.project)
    return made


def pinned(far: Far, folder: Path) -> Imported:
    Keys().pin(far.stranger.own().public_pem, comment="ana")
    return import_version(folder)


def test_a_stranger_s_key_must_be_pinned_by_hand_first(far: Far) -> None:
    folder = far.export()
    with pytest.raises(ArtifactError) as caught:
        import_version(folder)
    id = far.stranger.own().id
    assert f"signed with the key {id}, which is not pinned here" in caught.value.message
    assert f"nbprod keys --pin {folder}/keys/{id}.pem --comment WHOSE" in caught.value.message
    assert Keys().find(id) is None
    assert far.registry.versions() == ()
    (folder / "keys" / f"{id}.pem").unlink()
    edit(folder, lambda listed: listed["files"].pop(f"keys/{id}.pem"))
    with pytest.raises(ArtifactError, match="the export does not bring it: ask whose it is"):
        import_version(folder)


def test_an_imported_version_is_what_it_was_and_tells_where_it_came_from(far: Far) -> None:
    folder = far.export()
    done = pinned(far, folder)
    (version,) = far.registry.versions()
    assert (version.ref, version.aliases, version.digest) == ("churn/1", (), done.version.digest)
    assert (done.registered, done.origin, done.statements) == (True, "churn/3 in https://far", 2)
    assert version.tags == {"nbprod.commit": "f" * 40, "team": "retention"}
    place = far.registry.folder / "churn" / "1"
    listed = json.loads((folder / "export.json").read_text())["files"]
    found = {f"model/{p.relative_to(place).as_posix()}": sha256_file(p) for p in place.rglob("*") if p.is_file()}
    assert found == {name: sha256 for name, sha256 in listed.items() if name.startswith("model/")}
    kept = set(far.registry.said["churn", "1"])
    assert {name.removeprefix("statements/") for name in listed if name.startswith("statements/")} < kept
    fresh = [s for s in far.registry.statements("churn", "1") if "origin" in s.body]
    assert [s.body["origin"] for s in fresh] == [{"name": "churn", "version": "3", "registry": "https://far"}]
    assert fresh[0].body["by"]["key"] == Keys().own().id
    assert not (far.project / ".nbprod" / "registering" / version.digest).exists()


def test_its_run_is_recorded_with_its_metrics_and_executed_notebooks(far: Far) -> None:
    pinned(far, far.export())
    assert set(far.registry.entries) == {"record-r1", "record-r1-train"}
    entry = far.registry.entries["record-r1-train"]
    assert entry.artifacts == {"nbprod/notebooks/train.ipynb": ""}
    assert {point.name for point in entry.points} >= {"roc_auc", "roc_auc.lower", "train/lift"}
    assert entry.params["rate"] == "inf"


def test_a_second_import_returns_the_version_as_it_is(far: Far) -> None:
    folder = far.export()
    first = pinned(far, folder)
    said = dict(far.registry.said["churn", "1"])
    second = import_version(folder)
    assert (second.registered, second.version.ref) == (False, first.version.ref)
    assert far.registry.said["churn", "1"] == said
    assert len(far.registry.versions()) == 1


def test_an_import_that_was_cut_is_completed_by_the_next(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = far.export()

    def fail(*_: object) -> None:
        raise RegistryError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(far.registry, "attach", fail)
        with pytest.raises(RegistryError):
            pinned(far, folder)
    assert far.registry.said == {}
    done = import_version(folder)
    assert done.registered is False
    assert len(far.registry.said["churn", "1"]) == 3
    (left := far.project / ".nbprod" / "registering" / done.version.digest).mkdir(parents=True)
    (left / "junk").write_text("left by a kill")
    assert import_version(folder).version.ref == "churn/1"


def test_a_child_without_its_parent_is_imported_and_says_so(far: Far) -> None:
    done = pinned(far, far.export(parent=PARENT))
    assert done.version.entry["parent"] == PARENT
    assert done.notes == (
        "it is the retrain of the entry 777777777777, which is not in this registry: import that version, too, if its "
        "lineage is to be whole.",
    )


def test_a_child_after_its_parent_has_nothing_to_say(far: Far) -> None:
    parent = pinned(far, far.export("parent"))
    relation = {"relation": "incremental", "digest": parent.version.digest}
    assert import_version(far.export("child", parent=relation)).notes == ()
    assert [version.ref for version in far.registry.versions()] == ["churn/2", "churn/1"]


def edit(folder: Path, change: Callable[[Any], object]) -> None:
    path = folder / "export.json"
    listed = json.loads(path.read_bytes())
    change(listed)
    path.write_text(json.dumps(listed))


def forge(folder: Path, name: str, content: str) -> None:
    """Change a file and the list with it, as somebody would who wants to deceive."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    edit(folder, lambda listed: listed["files"].update({name: sha256_file(folder / name)}))


def drop(folder: Path, name: str) -> None:
    (folder / name).unlink()
    edit(folder, lambda listed: listed["files"].pop(name))


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file in the list": (lambda f: forge(f, "model/MLmodel", "x"), "MLmodel was changed."),
    "a file added": (lambda f: forge(f, "model/code/evil.py", "x"), "code/evil.py was added."),
    "a file taken away": (lambda f: drop(f, "model/code/a b ü.py"), "code/a b ü.py is missing."),
    "a notebook": (lambda f: forge(f, "model/nbprod/notebooks/train.ipynb", "x"), "train.ipynb was changed."),
    "a signature that is none": (lambda f: forge(f, "model/nbprod/model.sig", "{}"), "no signature that nbprod can"),
    "no signature": (lambda f: drop(f, "model/nbprod/model.sig"), "churn/3 is not signed, so nobody can tell whose it"),
    "an entry that is none": (lambda f: forge(f, "model/nbprod/nbprod.json", "{}"), "nbprod.json"),
    "another digest": (lambda f: edit(f, lambda e: e.update(digest="0" * 64)), "names another entry than the model"),
    "another name": (lambda f: edit(f, lambda e: e.update(name="fraud")), "names another entry than the model has"),
    "a link": (lambda f: (f / "model/l").symlink_to(f / "export.json"), "is a link"),
    "a cut export": (lambda f: (f / "model/MLmodel").unlink(), "is missing: the export was cut"),
}


@pytest.mark.parametrize("what", HARM)
def test_whatever_is_not_what_was_signed_is_refused_and_nothing_is_registered(far: Far, what: str) -> None:
    folder = far.export()
    harm, said = HARM[what]
    harm(folder)
    with pytest.raises(ArtifactError) as caught:
        pinned(far, folder)
    assert said in str(caught.value)
    assert far.registry.versions() == ()
    assert far.registry.entries == {}
    assert list((far.project / ".nbprod").glob("registering/*")) == []


def test_a_name_that_would_lead_elsewhere_is_refused(far: Far) -> None:
    folder = far.export()
    edit(folder, lambda listed: listed.update(name="../../x"))
    with pytest.raises(UsageError, match="a model's name holds no spaces"):
        pinned(far, folder)


def test_a_key_that_was_revoked_is_refused(far: Far) -> None:
    folder = far.export()
    Keys().pin(far.stranger.own().public_pem)
    Keys().revoke(far.stranger.own().id)
    with pytest.raises(ArtifactError, match="which was revoked: it is not imported"):
        import_version(folder)


def test_outside_a_project_nothing_is_imported(far: Far, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UsageError, match="there is no project here"):
        import_version(far.export())


def test_a_statement_that_was_changed_after_it_was_signed_is_refused(far: Far) -> None:
    folder = far.export(keys=Keys())
    said = next(path for path in (folder / "statements").iterdir() if "read it" in path.read_text())
    changed = said.read_text().replace("read it", "read all of it")
    drop(folder, f"statements/{said.name}")
    forge(folder, f"statements/{sha256_bytes(changed.encode())}.json", changed)
    with pytest.raises(ArtifactError, match=r"its statement nbprod/approval/1 was changed after it was signed"):
        import_version(folder)
    assert {check.name: check.state for check in verify(str(folder)).checks}["statements"] == "FAIL"


def test_an_export_can_be_verified_where_it_lies(far: Far) -> None:
    folder = far.export(keys=Keys())
    states = {check.name: check.state for check in verify(str(folder)).checks}
    good = ["export", "entry", "signature", "model", "notebooks", "environment", "diff", "registration", "statements"]
    assert states == {
        **dict.fromkeys(good, "ok"),
        "audit log": "unknown",
    }  # fmt: skip
    assert not verify(str(folder / "model")).failed
    forge(folder, "audit/00000001.json", "no line")
    checks = {check.name: check for check in verify(str(folder)).checks}
    assert checks["audit log"].state == "FAIL"
    (folder / "model/MLmodel").write_text("x")
    (check,) = verify(str(folder)).checks
    assert (check.name, check.state) == ("export", "FAIL")


def test_the_lineage_of_what_was_imported_is_known(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    done = pinned(far, far.export(parent=PARENT))
    monkeypatch.setattr("nbprod.lifecycle.versions.local_aliases", lambda path: {})
    found = lineage(done.version.ref)
    assert {node.kind for node in found.graph.nodes} == {"version", "stage", "data", "model"}
    assert "retrain" in {edge.relation for edge in found.graph.edges}
    assert [use.version for use in lineage("1" * 64).uses] == ["churn/1"]


def test_an_entry_told_back_is_the_run_that_it_was(far: Far) -> None:
    entry = pinned(far, far.export()).version.entry
    run = run_of(entry)
    (stage,) = run.stages
    assert (run.id, run.status, stage.action, stage.key) == ("r1", "succeeded", "run", "c" * 64)
    assert stage.inputs["raw"].uri == "notebooks/data/raw.csv"
    assert (stage.started, stage.ended) == ("2026-01-01T12:00:00.000+00:00", "2026-01-01T12:00:30.000+00:00")
    assert isinstance(Run.from_dict(run.to_dict()).stages[0], StageRun)
    assert len(keys_of(entry)) == 64
