"""The recipe of the image."""

from __future__ import annotations

import re

import pytest

from nbprod.errors import UsageError
from nbprod.packaging.image import check_base, containerfile, image_tag, is_pinned, label


def recipe(**more: str) -> str:
    return containerfile(**{"ref": "churn/3", "base": "python:3.11-slim", "python": "3.11", "wheels": "own", **more})


def instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


def test_the_image_runs_the_service_as_nobody_with_a_health_check() -> None:
    found = dict(instructions(recipe()))
    assert found["USER"] == "65532:65532"
    assert found["HEALTHCHECK"].endswith('timeout=2)"]')
    assert '"serve", "/bundle", "--host", "0.0.0.0", "--port", "8080"' in found["ENTRYPOINT"]
    assert "NBPROD_KEYS=/bundle/keys" in found["ENV"]
    assert found["CMD"] == '["--api-key-file", "/run/secrets/nbprod/api-keys"]'


def test_only_what_is_locked_is_installed_and_with_the_wheelhouse_nothing_is_downloaded() -> None:
    assert "--no-deps --require-hashes --find-links" in " ".join(recipe().split()).replace("\\ ", "")
    assert "--no-index" not in recipe()
    assert "--no-index" in recipe(wheels="all")


def test_the_last_stage_installs_nothing() -> None:
    last = recipe().rpartition("FROM ")[2]
    assert "RUN" not in last
    assert "COPY wheels" not in last


def test_both_stages_are_of_the_base_that_was_named() -> None:
    base = f"registry.example/python:3.11@sha256:{'a' * 64}"
    assert recipe(base=base).count(f"FROM {base}") == 2
    assert is_pinned(base)
    assert not is_pinned("python:3.11-slim")


@pytest.mark.parametrize("base", ["python", "python:3.11-slim", "localhost:5000/a/b:1", f"a@sha256:{'0' * 64}"])
def test_names_of_images_are_taken(base: str) -> None:
    assert check_base(base) == base


@pytest.mark.parametrize("base", ["", "a b", "a\nRUN rm -rf /", "a@sha256:12", "-a", "a@md5:00"])
def test_what_is_no_name_of_an_image_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="names no image"):
        check_base(base)


def test_names_become_labels() -> None:
    assert image_tag("My model_v2/12") == "nbprod-my-model-v2:12"
    assert label("Ünïcode") == "n-code"
    assert label("日本") == "model"
    assert len(label("x" * 99)) == 40
