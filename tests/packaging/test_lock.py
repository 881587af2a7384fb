"""What a service needs, at which versions, and how the lock is written and read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import DeployError, MissingExtra
from nbprod.packaging import lock
from nbprod.packaging.lock import Package, find_python, minor_of, needs, pins, read_lock, with_wheel
from tests.packaging.made import LOCK, entry
from tests.test_packaging import CORE


def names(lines: tuple[str, ...]) -> set[str]:
    return {lock._name(line) for line in lines}


def test_a_service_needs_the_model_s_packages_and_its_own_but_nothing_of_notebooks() -> None:
    found = names(needs(entry()))
    assert {"scikit-learn", "numpy", "pandas", "starlette", "uvicorn", "click", "cryptography"} <= found
    assert not found & {"mlflow", "mlflow-skinny", "papermill", "ipykernel", "sqlalchemy", "nbprod"}


def test_a_model_that_skops_did_not_save_is_loaded_with_mlflow() -> None:
    assert "mlflow-skinny" in names(needs(entry(serialization="cloudpickle")))


def test_traces_are_sent_by_what_was_asked_for() -> None:
    more = names(needs(entry(), extras=("serve", "tracing"))) - names(needs(entry()))
    assert more == {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}


def test_a_model_of_arrays_needs_no_pandas() -> None:
    tensor = {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]}
    assert "pandas" not in names(needs(entry(signature=tensor, example=[[1.0, 2.0]])))


def test_what_serving_needs_is_among_the_requirements_of_nbprod() -> None:
    assert set(lock.SERVING) <= {item.name.lower() for item in CORE}


def test_no_extra_of_another_package_is_taken_along() -> None:
    assert not [line for line in needs(entry()) if "[" in line]


def test_versions_are_the_recorded_ones_and_then_those_that_are_installed() -> None:
    found = pins(entry(), {"NumPy": "1.0", "starlette": "1.10.0", "nbprod": "0.1.0"})
    assert found == ("numpy==2.4.6", "starlette==1.10.0", "torch==2.1.0")


def test_a_lock_is_read_with_its_markers_and_hashes() -> None:
    first, second = read_lock(LOCK)
    assert first == Package(name="numpy", version="2.4.6", hashes=("a" * 64, "b" * 64))
    assert second.marker == "python_full_version < '3.15'"


@pytest.mark.parametrize("text", ["numpy\n", "numpy==1.0\n", "-e .\n", "numpy>=1 \\\n    --hash=sha256:" + "a" * 64])
def test_a_line_that_pins_nothing_is_refused(text: str) -> None:
    with pytest.raises(DeployError, match="no pin with a hash"):
        read_lock(text)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
        st.tuples(st.from_regex(r"[0-9]\.[0-9]", fullmatch=True), st.lists(st.sampled_from("abcdef"), min_size=1)),
        max_size=6,
    )
)
def test_what_is_written_as_a_lock_is_read_back(packages: dict[str, tuple[str, list[str]]]) -> None:
    text = "".join(
        f"{name}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{digit * 64}" for digit in digits) + "\n"
        for name, (version, digits) in packages.items()
    )
    found = read_lock(text)
    assert {item.name: item.version for item in found} == {name: version for name, (version, _) in packages.items()}


def test_the_own_wheel_takes_its_place_among_the_names() -> None:
    text = with_wheel(LOCK, Path("nbprod-0.1.0-py3-none-any.whl"), "f" * 64)
    assert [item.name for item in read_lock(text)] == ["nbprod", "numpy", "scikit-learn"]
    assert read_lock(text)[0].hashes == ("f" * 64,)


def test_the_python_is_the_one_that_the_model_was_made_with() -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert find_python(f"{here}.99") == sys.executable
    assert (minor_of("3.12.1"), minor_of("unknown")) == ("3.12", here)
    with pytest.raises(DeployError, match=r"Python 2\.6, which is not on this machine"):
        find_python("2.6.1")


def test_without_uv_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"nbprod\[build\]"):
        lock.find_uv()
