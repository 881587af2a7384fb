"""The model card: what a version's entry and its statements say, as a page for people.

`document` puts the card together from facts, `markdown` and `html` write it down. Every text in it was written by
somebody else, so each writer escapes all of them; a card never holds rows of data, whether they are personal or not.
"""

from __future__ import annotations

from nbprod.evidence.modelcard.content import document
from nbprod.evidence.modelcard.judged import Said
from nbprod.evidence.modelcard.markdown import markdown
from nbprod.evidence.modelcard.page import html

__all__ = ["Said", "document", "html", "markdown"]
