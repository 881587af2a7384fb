"""A registry's or repository's address as it may be written down: without user names, passwords and tokens."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def shown(url: str) -> str:
    """The address without what stands before ``@`` in its host, and without its query."""
    parts = urlsplit(url)
    if not parts.scheme or "://" not in url:
        return url
    if not parts.netloc:  # sqlite:///relative and sqlite:////absolute: urlunsplit would drop slashes
        return url.partition("?")[0]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
