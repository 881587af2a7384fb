"""What is installed and shipped: dependencies, the lock, the wheel, the project that `nbprod init` writes."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nbprod.config import load_project
from nbprod.evidence.card import card_path, read_card
from nbprod.lifecycle.check import check
from nbprod.lifecycle.init import init

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

NEVER_IMPORTED = {
    "alembic": "MLflow's SQLite store, which mlflow-skinny leaves to its users",
    "sqlalchemy": "the same",
    "ipykernel": "the kernel that notebooks run in",
    "scikit-learn": "what skops and MLflow save; known by the names of its types",
    "scrapbook": "what people read and write notebooks' records with; nbprod knows its format",
}
"""Core dependencies that no line of nbprod imports, and why they are there."""


def none(found: Iterable[str]) -> None:
    """Fail with one line for each thing that was found."""
    lines = sorted(found)
    assert not lines, "\n".join(["", *lines])


def locked() -> dict[str, list[str]]:
    """The versions that the lock pins; several where they depend on Python's version."""
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, flags=re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def imported_packages() -> set[str]:
    """The top-level packages that nbprod imports, wherever in a file, except its own and the standard library's."""
    found = set()
    for path in (ROOT / "nbprod").rglob("*.py"):
        if "templates" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"nbprod"}


def test_every_dependency_has_a_lower_bound() -> None:
    everything = [*CORE, *(item for items in EXTRAS.values() for item in items if item.name != "nbprod")]
    none(str(item) for item in everything if not any(bound.operator == ">=" for bound in item.specifier))


def test_the_extra_all_holds_every_other_one() -> None:
    (everything,) = EXTRAS["all"]
    assert everything.extras == set(EXTRAS) - {"all"}


def test_what_nbprod_imports_it_declares() -> None:
    known = {canonicalize_name(item.name) for item in (*CORE, *(item for items in EXTRAS.values() for item in items))}
    # mlflow-skinny and mlflow bring the same modules; either is the one that is declared
    distributions = packages_distributions()
    missing = {
        package
        for package in imported_packages()
        if not known & {canonicalize_name(name) for name in distributions.get(package, [package])}
    }
    none(missing)


def test_what_nbprod_declares_it_uses() -> None:
    distributions = packages_distributions()
    used = {canonicalize_name(name) for package in imported_packages() for name in distributions.get(package, [])}
    none(item.name for item in CORE if canonicalize_name(item.name) not in used | NEVER_IMPORTED.keys())


def test_the_lock_pins_every_dependency_within_its_bounds() -> None:
    pins = locked()
    everything = [*CORE, *(item for items in EXTRAS.values() for item in items if item.name != "nbprod")]
    none(
        f"{item}: locked at {', '.join(versions) or 'nothing'}; run make lock"
        for item in everything
        if not (versions := pins.get(canonicalize_name(item.name), []))
        or not all(item.specifier.contains(version) for version in versions)
    )


def test_the_lock_has_a_hash_for_everything_and_says_nothing_of_where_it_was_made() -> None:
    lines = [line for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")]
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[^\s]+( ; [^\\]+)? \\")
    none(
        line
        for line in lines
        if not pin.fullmatch(line) and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    )
    pins = [index for index, line in enumerate(lines) if not line.startswith(" ")]
    assert all(lines[index + 1].startswith("    --hash=sha256:") for index in pins)
    none(line for line in LOCK.splitlines() if "://" in line or re.search(r"(^|\s)-[-fi]", line.replace("--hash=", "")))


def test_binder_uses_the_same_lock() -> None:
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.split()[1] for line in lines if line.startswith("-r")]
    assert [(ROOT / "binder" / name).resolve() for name in named] == [ROOT / "requirements.lock"]
    assert all(line.startswith(("-r", "#")) for line in lines if line)
    python = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)


def test_every_entry_point_leads_to_something() -> None:
    groups = {"scripts": PROJECT["scripts"], **PROJECT["entry-points"]}
    for points in groups.values():
        for target in points.values():
            module, _, name = target.partition(":")
            assert callable(getattr(importlib.import_module(module), name)), target


def test_the_wheel_holds_the_package_its_templates_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"nbprod"}
    assert {"nbprod/py.typed", "nbprod/evidence/schema/model-version-1.json"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    templates = ROOT / "nbprod" / "templates"
    there = {
        f"nbprod/templates/{path.relative_to(templates).as_posix()}" for path in templates.rglob("*") if path.is_file()
    }
    assert {name for name in names if name.startswith("nbprod/templates/")} == {
        name for name in there if "__pycache__" not in name
    }


def test_a_new_project_is_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    found = check(None)
    assert (found.errors, found.warnings) == ((), ())


def test_the_data_of_a_new_project_says_where_it_is_from(tmp_path: Path) -> None:
    init(tmp_path)
    data = [path for path in (tmp_path / "data").iterdir() if not path.name.endswith(".card.yaml")]
    cards = [read_card(path, label=path.name) for path in data]
    assert [card.license for card in cards if card] == ["CC-BY-4.0"]
    assert all(card_path(path).exists() for path in data)


def test_a_new_project_is_a_project_of_its_own_and_its_settings_are_legal(tmp_path: Path) -> None:
    """Also those that are written as comments."""
    init(tmp_path)
    settings = tmp_path / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    assert load_project(tmp_path / "notebooks").root == tmp_path
