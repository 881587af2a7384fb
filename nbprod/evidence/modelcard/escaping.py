"""Texts that others wrote, made harmless: for Markdown, for HTML and SVG, for mermaid, for the name of a file."""

from __future__ import annotations

import html
import re

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What XML does not allow, and marks that turn the direction of writing, with which a text can lie."""

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~:/?#@!$&*+,;=%-]*)?\Z")
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<!\S)#|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BEGINNING = re.compile(r"[+=:-]|\d{1,9}[.)]")
_PLAIN_IN_MERMAID = frozenset(" _-./:,@=()")


def clean(text: str) -> str:
    """A text without characters that no page can hold."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def line(text: str) -> str:
    """A text in one line."""
    return " ".join(clean(text).split())


def clip(text: str, length: int) -> str:
    """A text in one line, its end cut off where it is longer than that."""
    whole = line(text)
    return whole if len(whole) <= length else f"{whole[: length - 1].rstrip()}…"


def address(text: str) -> str:
    """An address on the web, if that is all that the text is and nothing in it needs to be escaped; else empty."""
    return text if _ADDRESS.match(text) else ""


def in_html(text: str) -> str:
    """A text within an element, or within quotes as an attribute, of HTML or SVG."""
    return html.escape(clean(text), quote=True)


def in_markdown(text: str) -> str:
    """A text within a line of Markdown, such as the cell of a table, as one line that says nothing but itself."""
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", line(text))
    return html.escape(escaped, quote=False)


def paragraph_in_markdown(text: str) -> str:
    """A text as a paragraph of Markdown: neither a list nor a heading nor a rule, whatever it begins with."""
    escaped = in_markdown(text)
    begins = _BEGINNING.match(escaped)
    return f"{escaped[: begins.end() - 1]}\\{escaped[begins.end() - 1 :]}" if begins else escaped


def code_in_markdown(text: str) -> str:
    """A text as code within a line of Markdown; as plain text where code could not hold it."""
    whole = line(text)
    return in_markdown(whole) if not whole or set("`|\\") & set(whole) else f"`{whole}`"


def in_mermaid(text: str) -> str:
    """A text within the quotes of a mermaid label: all but letters, digits and a few marks as ``#code;``."""
    return "".join(
        letter if letter.isalnum() or letter in _PLAIN_IN_MERMAID else f"#{ord(letter)};" for letter in line(text)
    )


def slug(text: str) -> str:
    """A text as part of a file's name: small letters, digits, ``-`` and ``_``."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:60] or "x"
