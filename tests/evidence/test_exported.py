"""The exported folder: whole and exact, and refused with one sentence if anything about it is odd."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.entities import Statement
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.exported import (
    Contents,
    Export,
    copy_model,
    is_export,
    key_file,
    read_audit,
    read_export,
    read_list,
    read_statements,
    write_export,
)
from nbprod.evidence.statements import registration
from nbprod.registry.statements import statement_bytes
from nbprod.trust.keys import Keys
from tests.evidence.registered import registered


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def made(tmp_path: Path, keys: Keys) -> Path:
    """An export with a statement, two lines of history and a key."""
    folder, version = registered(tmp_path, keys)
    (folder / "registered_model_meta").write_text("added by MLflow")
    own = keys.own()
    write_export(
        tmp_path / "out",
        Export(name=version.name, version=version.version, digest=version.digest, registry="sqlite"),
        Contents(
            folder=folder,
            statements=(registration(version, registry="sqlite", key=own.id, user="ana"),),
            lines=("one", "two"),
            keys={own.id: own.public_pem},
        ),
    )
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_registered_folder_is_there_bit_by_bit_without_what_mlflow_added(made: Path, tmp_path: Path) -> None:
    before = contents(tmp_path / "registered")
    assert before.pop("registered_model_meta")
    assert contents(made / "model") == before
    copy_model(made, read_export(made), tmp_path / "copy")
    assert contents(tmp_path / "copy") == before


def test_what_was_said_and_done_comes_along(made: Path, keys: Keys) -> None:
    export = read_export(made)
    (statement,) = read_statements(made, export)
    assert statement.body["by"] == {"key": keys.own().id, "user": "ana"}
    assert (made / export.under("statements")[0]).read_bytes() == statement_bytes(statement)
    assert read_audit(made, export) == ("one", "two")
    assert export.ref == "churn/3"


def test_exporting_twice_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    export = read_export(made)
    statements = tuple(read_statements(made, export))
    pem = (made / export.under("keys")[0]).read_text()
    contents_again = Contents(
        folder=tmp_path / "registered", statements=statements, lines=("one", "two"), keys={Keys().own().id: pem}
    )
    write_export(tmp_path / "again", export, contents_again)
    assert contents(tmp_path / "again") == contents(made)


def test_an_empty_folder_may_be_there_already_but_nothing_else(made: Path, tmp_path: Path) -> None:
    export, what = read_export(made), Contents(folder=tmp_path / "registered")
    (tmp_path / "empty").mkdir()
    write_export(tmp_path / "empty", export, what)
    assert is_export(tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place in (made, made / "export.json", tmp_path / "link"):
        with pytest.raises(UsageError, match="is there already and not empty: name a folder that is not there yet"):
            write_export(place, export, what)


def test_an_export_that_cannot_be_finished_leaves_nothing(made: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(AttributeError):
        write_export(tmp_path / "new", read_export(made), Contents(folder=tmp_path / "registered", lines=(None,)))  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == before


def edit(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the list, as somebody would who wants to deceive."""
    path = folder / "export.json"
    listed = json.loads(path.read_bytes())
    change(listed)
    path.write_text(json.dumps(listed))


def link(folder: Path) -> None:
    (folder / "model/MLmodel").rename(folder.parent / "MLmodel")
    (folder / "model/MLmodel").symlink_to(folder.parent / "MLmodel")


def link_folder(folder: Path) -> None:
    (folder / "model/code").rename(folder.parent / "code")
    (folder / "model/code").symlink_to(folder.parent / "code")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "model/MLmodel").unlink(), "model/MLmodel: is missing: the export was cut"),
        (lambda f: (f / "audit/00000002.json").unlink(), "audit/00000002.json: is missing"),
        (lambda f: (f / "model/evil.py").write_text("x"), "model/evil.py: is not in the export's list"),
        (lambda f: (f / "README").write_text("x"), "README: is not in the export's list"),
        (lambda f: (f / "model/MLmodel").write_text("flavors: []"), "model/MLmodel: was changed"),
        (lambda f: (f / "model/MLmodel").write_text("flavors"), "model/MLmodel: was changed: its sha256 is not"),
        (link, "model/MLmodel: is a link, and an export has none"),
        (link_folder, "model/code: is a link, and an export has none"),
        (lambda f: os.mkfifo(f / "model/pipe"), "model/pipe: is neither a file nor a folder"),
        (lambda f: (f / "export.json").write_text("{"), "export.json: is damaged: it is no list"),
        (lambda f: (f / "export.json").write_text("[" * 100_000), "is damaged: it is no list that nbprod"),
        (lambda f: (f / "export.json").write_text("[]"), "is damaged: it is no list that nbprod wrote"),
        (
            lambda f: edit(f, lambda listed: listed.update(schema="nbprod/export/2")),
            "export.json: has the schema 'nbprod/export/2', and this nbprod reads nbprod/export/1: upgrade nbprod",
        ),
        (lambda f: edit(f, lambda listed: listed.pop("digest")), "a field is missing or of another kind"),
        (lambda f: edit(f, lambda listed: listed.update(name=3)), "a field is missing or of another kind;"),
        (lambda f: edit(f, lambda listed: listed.update(files=[1])), "is damaged: a field is missing"),
        (lambda f: edit(f, lambda listed: listed.update(digest="../x")), "damaged: a field is missing or"),
        (lambda f: edit(f, lambda listed: listed["files"].update({"model/MLmodel": "x"})), "has no sha256"),
    ],
)
def test_whatever_is_not_as_it_was_written_is_refused(made: Path, harm: Callable[[Path], object], said: str) -> None:
    harm(made)
    with pytest.raises(ArtifactError) as caught:
        read_export(made)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "model/../../outside", "/etc/passwd", "model//x", "model/./x", "model", "other/x", "model/..",
        "model\\x", "C:/x", "model/x:y", "model/a\nb", "", "statements/../export.json",
    ],
)  # fmt: skip
def test_a_list_that_leads_out_of_the_folder_is_refused(made: Path, name: str) -> None:
    edit(made, lambda listed: listed["files"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match=r"does not lie in the export: somebody changed the list"):
        read_export(made)


def test_a_folder_that_is_no_export_is_told_from_a_damaged_one(made: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(made)
    (made / "export.json").rename(made / "list.json")
    for folder in (made, tmp_path / "nowhere", tmp_path / "linked"):
        with pytest.raises(UsageError, match=r"is no export.*`nbprod export REF FOLDER` makes one"):
            read_export(folder)


def _statement(made: Path, content: dict[str, Any]) -> None:
    """Put a statement into an export, under its right name and into its list."""
    from nbprod.digest import canonical, sha256_bytes

    data = canonical(content)
    name = f"statements/{sha256_bytes(data)}.json"
    (made / name).write_bytes(data)
    edit(made, lambda listed: listed["files"].update({name: sha256_bytes(data)}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subject": "0" * 64}, "speaks of another entry than this version's"),
        ({"signed": {"sig": "x"}}, "says more than this nbprod understands, and would lose it: upgrade nbprod"),
    ],
)
def test_statements_of_others_or_of_later_versions_are_refused(made: Path, changes: dict[str, Any], said: str) -> None:
    digest = read_list(made).digest
    _statement(made, {**Statement(schema="nbprod/gates/1", subject=digest).to_dict(), **changes})
    with pytest.raises(ArtifactError, match=said):
        tuple(read_statements(made, read_export(made)))


def test_a_statement_under_another_name_is_refused(made: Path) -> None:
    export = read_export(made)
    (name,) = export.under("statements")
    (made / name).rename(made / "statements" / f"{'0' * 64}.json")
    edit(made, lambda listed: listed["files"].update({f"statements/{'0' * 64}.json": listed["files"].pop(name)}))
    with pytest.raises(ArtifactError, match="another sha256 than its file's name says"):
        tuple(read_statements(made, read_export(made)))


def test_a_model_that_changes_while_it_is_read_is_refused(made: Path, tmp_path: Path) -> None:
    export = read_export(made)
    (made / "model/MLmodel").write_text("other")
    with pytest.raises(ArtifactError, match="changed while it was read"):
        copy_model(made, export, tmp_path / "copy")


def test_the_key_is_named_by_itself_and_not_by_its_file(made: Path, keys: Keys) -> None:
    from nbprod.digest import sha256_bytes

    export = read_export(made)
    (name,) = export.under("keys")
    hint = sha256_bytes((made / name).read_bytes())[:16]
    assert key_file(made, export, hint) == (name, keys.own().id)
    assert key_file(made, export, "f" * 16) == ("", "")


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schema", "name", "version", "digest", "files", "tags", "aliases"]), inner, max_size=7
            )
        ),
        max_leaves=8,
    )
)
def test_no_list_makes_reading_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    folder = tmp_path_factory.mktemp("list")
    if isinstance(content, dict) and len(content) % 2:
        content["schema"] = "nbprod/export/1"
    (folder / "export.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError):
        read_export(folder)


def test_an_export_that_was_written_once_can_be_read_for_ever() -> None:
    """The folder in ``examples`` is never changed: a new version of the schema gets a new one."""
    folder = Path(__file__).with_name("examples") / "export-1"
    export = read_export(folder)
    assert (export.ref, export.registry, export.aliases) == ("churn/3", "sqlite", ("champion",))
    assert read_audit(folder, export) == ("one",)
