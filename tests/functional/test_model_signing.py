"""The official tool of OpenSSF model signing and nbprod accept each other's signatures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbprod.trust.folder import SIGNATURE, check_folder, sign_folder
from nbprod.trust.keys import OWN, Keys

TOOL = [sys.executable, "-W", "ignore", "-m", "model_signing"]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "code").mkdir(parents=True)
    (made / "MLmodel").write_text("flavors: {}")
    (made / "code" / "a b.py").write_text("x = 1")
    (made / "weights.bin").write_bytes(bytes(range(256)) * 5000)
    return made


def tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_the_official_tool_accepts_what_nbprod_signed_and_sees_a_flipped_byte(
    model: Path, keys: Keys, tmp_path: Path
) -> None:
    signature = sign_folder(model, keys.own())
    public = tmp_path / "public.pem"
    public.write_text(keys.own().public_pem)
    command = ("verify", "key", model, "--signature", signature, "--public_key", public)
    done = tool(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    (model / "weights.bin").write_bytes(bytes(range(255, -1, -1)) * 5000)
    assert tool(*command).returncode != 0


def test_nbprod_accepts_what_the_official_tool_signed_and_sees_a_flipped_byte(model: Path, keys: Keys) -> None:
    keys.own()
    signature = model / "model.sig"
    done = tool("sign", "key", model, "--signature", signature, "--private_key", keys.folder / OWN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert check_folder(model, keys, signature="model.sig").state == "ok"
    assert check_folder(model, keys, signature=SIGNATURE).state == "unsigned"
    (model / "MLmodel").write_text("flavors: []")
    found = check_folder(model, keys, signature="model.sig")
    assert (found.state, found.problems) == ("bad", ("MLmodel was changed.",))
