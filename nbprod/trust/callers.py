"""API keys of those who call a service: made here, and kept as hashes in a file.

A key is 32 random bytes, so a single sha256 is enough: nobody can try them all.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

from nbprod.errors import UsageError

SCHEMA = "# nbprod api keys 1"
PREFIX = "nbp_"
_LINE = re.compile(r"([A-Za-z0-9._-]{1,64})\s+sha256:([0-9a-f]{64})\Z")


def add_key(file: Path, name: str) -> str:
    """Make a key, keep its hash under a name, and return it: it is not to be had again.

    A new file is its owner's alone; one that is there keeps its mode.

    Raises:
        UsageError: the name is taken or is none, or the file is no file of keys.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise UsageError(f"'{name}' cannot name a key: use letters, digits, '.', '-' and '_'.")
    known = read_keys(file) if file.exists() else {}
    if name in known.values():
        raise UsageError(
            f"there is a key '{name}' already: name the new one otherwise, or delete the line.", file=str(file)
        )
    key = PREFIX + secrets.token_urlsafe(32)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else [SCHEMA]
    text = "\n".join([*lines, f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()}"]) + "\n"
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(text)
    part.chmod(mode)
    os.replace(part, file)
    return key


def read_keys(file: Path) -> dict[bytes, str]:
    """sha256 of a key -> its name.

    Raises:
        UsageError: the file cannot be read, or a line is no key's hash.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(
            "there is no such file of API keys: make it with --api-key-file FILE --add-key NAME.", file=str(file)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"the file of API keys cannot be read ({why}): name another.", file=str(file)) from error
    found: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.match(text)
        if match is None:
            raise UsageError(
                "is no line of a file of API keys, which holds `NAME sha256:HASH`: make keys with --add-key NAME.",
                file=str(file), line=number,
            )  # fmt: skip
        found[bytes.fromhex(match[2])] = match[1]
    return found
