"""Whether a name says that its value is a secret."""

from __future__ import annotations

import re
from itertools import pairwise

SECRETS = frozenset(
    {"password", "passwords", "passwd", "passphrase", "passcode", "secret", "secrets", "credential", "credentials",
     "apikey", "accesskey", "privatekey", "senha", "senhas", "segredo", "contrasena"}
)  # fmt: skip
"""Words whose value is a secret; the last ones in the languages of our first users."""

KEYS = frozenset({"api", "access", "private", "secret", "auth", "encryption", "signing", "ssh", "account", "master"})
"""Words that make a following ``key`` a secret; a sort, primary or public key is none."""

ABOUT = frozenset(
    {"name", "names", "column", "columns", "col", "cols", "field", "path", "file", "count", "length", "len", "size",
     "type", "policy", "pattern", "regex", "env", "variable", "index", "strength"}
)  # fmt: skip
"""Last words that make it something about a secret, such as ``password_length`` or ``secret_name``."""

AMOUNTS = frozenset({"n", "num", "number", "count", "max", "min", "has", "is", "use", "with", "require", "requires"})
"""First words that make it an amount or a yes or no, such as ``n_passwords`` or ``use_token``."""

GRANTS = frozenset({"access", "api", "auth", "bearer", "oauth", "refresh", "secret", "session"})
"""Words before ``tokens`` that make them secrets; other tokens in the plural are pieces of text."""

TEXT = frozenset(
    {"pad", "padding", "eos", "bos", "sos", "eot", "unk", "unknown", "mask", "cls", "sep", "separator", "special",
    "stop",
     "start", "end", "begin", "first", "last", "next", "previous", "prev", "current", "per", "oov", "prompt", "image",
     "target", "source", "blank", "word", "sub", "subword"}
)  # fmt: skip
"""Words before ``token`` that make it a piece of text."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> list[str]:
    """The words of a name in snake_case or camelCase, in lower case."""
    return [word.lower() for word in WORD.findall(name)]


def looks_secret(name: str) -> bool:
    """Whether a name says that its value is a secret.

    ``password``, ``apiKey``, ``db_secret`` and ``github_token`` do; ``tokenizer``, ``n_tokens``, ``token_count``,
    ``pad_token``, ``max_tokens``, ``sort_key`` and ``password_length`` do not.
    """
    found = words(name)
    if not found or (len(found) > 1 and (found[-1] in ABOUT or found[0] in AMOUNTS)):
        return False
    if SECRETS & set(found):
        return True
    if any(first in KEYS and second in ("key", "keys") for first, second in pairwise(found)):
        return True
    return _is_token(found)


def _is_token(found: list[str]) -> bool:
    """``token`` is what opens a door when it comes last, or before ``value``; otherwise it is a piece of text."""
    last = found[:-1] if found[-1] in ("value", "string", "text") else found
    before = last[-2] if len(last) > 1 else ""
    if last and last[-1] == "token":
        return before not in TEXT
    return bool(last) and last[-1] == "tokens" and before in GRANTS


def environment_name(name: str) -> str:
    """The environment variable that a secret should come from: ``apiKey`` is ``API_KEY``."""
    return "_".join(words(name)).upper()
