"""The docs page: one HTML file that reads ``openapi.json`` and sends requests; nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

PAGE = (Path(__file__).with_name("page.html")).read_text(encoding="utf-8")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
