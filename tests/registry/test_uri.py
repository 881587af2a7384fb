"""Addresses without secrets."""

from __future__ import annotations

import pytest

from nbprod.registry.uri import shown


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://me:secret@example.org/x?token=1#y", "https://example.org/x"),
        ("https://example.org:8443/x", "https://example.org:8443/x"),
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("postgresql://me:secret@db/x", "postgresql://db/x"),
        ("git@example.org:team/repo.git", "git@example.org:team/repo.git"),
        ("../other", "../other"),
    ],
)
def test_names_passwords_and_tokens_are_taken_out(url: str, safe: str) -> None:
    assert shown(url) == safe
