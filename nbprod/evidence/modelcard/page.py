"""A card as one HTML page that needs nothing else: no network, no script; for a phone, for the dark, for paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from nbprod.evidence.modelcard import layered, plots
from nbprod.evidence.modelcard.blocks import (
    Block,
    Document,
    Graph,
    Link,
    Mono,
    Note,
    Number,
    Pairs,
    Plot,
    Section,
    Source,
    Table,
    Text,
    Verdict,
)
from nbprod.evidence.modelcard.escaping import address, clean, in_html, slug

STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1f2430;--soft:#5b6475;--line:#dde2ea;--panel:#f4f6fa;--accent:#1d4fb8;
--on:#fff;--bar:#a9c0ea;--mark:#b4540a;--good:#1a7f37;--bad:#c2261d;--open:#8a5a00}
@media (prefers-color-scheme:dark){:root{--back:#14171d;--ink:#e4e8ef;--soft:#9ba5b5;--line:#2f3642;--panel:#1d222b;
--accent:#84aefc;--on:#10131a;--bar:#3a548a;--mark:#f0a35e;--good:#56c271;--bad:#ff8078;--open:#e0b252}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;
overflow-wrap:anywhere}
main{max-width:980px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 12px}h2{font-size:1.3rem;margin:44px 0 10px;padding-top:14px;
border-top:1px solid var(--line)}h3{font-size:1.05rem;margin:28px 0 8px}
p{margin:10px 0;max-width:70ch}a{color:var(--accent)}
code,pre{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{background:var(--panel);padding:.1em .3em;border-radius:4px}
pre code{padding:0;background:none;font-size:1em}
pre{background:var(--panel);border-radius:8px;padding:12px 14px;overflow-x:auto;overflow-wrap:normal}
.marks{display:flex;flex-wrap:wrap;gap:8px;margin:0 0 8px;padding:0;list-style:none}
.marks li{background:var(--panel);border-radius:99px;padding:2px 12px;font-size:.9rem}.marks .label{color:var(--soft)}
nav{font-size:.9rem;color:var(--soft)}nav a{margin-right:14px;display:inline-block;padding:3px 0}
.note{border-left:4px solid var(--mark);background:var(--panel);padding:8px 14px;border-radius:0 8px 8px 0}
dl{display:grid;grid-template-columns:minmax(9rem,13rem) 1fr;gap:5px 18px;margin:10px 0}
dt{color:var(--soft)}dd{margin:0}
.wide{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;font-size:.9rem;min-width:100%}
th,td{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);
overflow-wrap:normal}
td.why{min-width:17rem}th{color:var(--soft);font-weight:600}.right{text-align:right}
td code{white-space:nowrap}
figure{margin:16px 0}svg{max-width:100%;height:auto;display:block}.plot{width:520px}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:0 28px}
figcaption{font-size:.9rem;color:var(--soft)}
.graph{margin:0 auto}
.passed,.ok{color:var(--good);font-weight:600}.failed,.bad,.revoked{color:var(--bad);font-weight:600}
.undecided,.unknown,.unpinned,.unsigned{color:var(--open);font-weight:600}
footer{margin-top:48px;color:var(--soft);font-size:.85rem}
@media (max-width:560px){main{padding:18px 16px 48px}dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 9px}}
@media print{nav{display:none}h2,h3{break-after:avoid}figure,tr{break-inside:avoid}}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may do with the page, should ever something slip through: nothing but show it."""

WORDS = frozenset({"bad", "failed", "ok", "passed", "revoked", "undecided", "unknown", "unpinned", "unsigned"})


def html(card: Document) -> str:
    """The page."""
    title = in_html(f"{card.title}: model card")
    marks = "".join(
        f'<li><span class="label">{in_html(label)}</span> {_inline(value)}</li>' for label, value in card.marks
    )
    links = "".join(
        f'<a href="#{_anchor(number, section)}">{in_html(section.title)}</a>'
        for number, section in enumerate(card.sections)
        if section.level == 2
    )
    body = "\n".join(_section(number, section) for number, section in enumerate(card.sections))
    style = f"{STYLE}{plots.STYLE}{layered.STYLE}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{in_html(card.title)}</h1>\n<ul class="marks">{marks}</ul>\n<nav aria-label="Sections">{links}</nav>\n'
        f"{body}\n<footer>Made by nbprod from the registry entry.</footer>\n</main>\n</body>\n</html>\n"
    )


def _anchor(number: int, section: Section) -> str:
    return f"s{number}-{slug(section.title)}"


def _section(number: int, section: Section) -> str:
    name = f"h{section.level}"
    head = f'<{name} id="{_anchor(number, section)}">{in_html(section.title)}</{name}>'
    return "\n".join([head, *_together(section.blocks)])


def _together(blocks: Sequence[Block]) -> Iterator[str]:
    """Blocks, of which plots that follow each other stand side by side where there is room."""
    for plotted, group in groupby(blocks, lambda block: isinstance(block, Plot)):
        written = "\n".join(_block(block) for block in group)
        yield f'<div class="plots">{written}</div>' if plotted else written


def _block(block: Block) -> str:
    match block:
        case Text():
            return "".join(f"<p>{in_html(part)}</p>" for part in re.split(r"\n\s*\n", block.text.strip()))
        case Note():
            return f'<p class="note">{in_html(block.text)}</p>'
        case Pairs():
            rows = "".join(f"<dt>{in_html(label)}</dt><dd>{_inline(value)}</dd>" for label, value in block.rows)
            return f"<dl>{rows}</dl>"
        case Table():
            return _table(block)
        case Source():
            return f'<pre tabindex="0"><code>{in_html(block.text)}</code></pre>'
        case Plot():
            return f"<figure><figcaption>{in_html(block.title)}</figcaption>{block.svg}</figure>"
        case Graph():
            return f'<figure class="wide" tabindex="0">{layered.drawing(block)}</figure>'


def _table(table: Table) -> str:
    right = [any(isinstance(row[i], Number) for row in table.rows) for i in range(len(table.head))]
    long = [
        any(len(row[i]) > 60 and not isinstance(row[i], Mono) for row in table.rows) for i in range(len(table.head))
    ]
    kinds = [' class="right"' if r else ' class="why"' if w else "" for r, w in zip(right, long, strict=True)]
    head = "".join(f'<th scope="col"{kind}>{in_html(cell)}</th>' for kind, cell in zip(kinds, table.head, strict=True))
    rows = "".join(
        f"<tr>{''.join(f'<td{kind}>{_inline(cell)}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>"
        for row in table.rows
    )
    return f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _inline(text: str) -> str:
    if isinstance(text, Mono):
        return f"<code>{in_html(text)}</code>"
    if isinstance(text, Link) and address(text):
        return f'<a href="{in_html(text)}" rel="noopener noreferrer nofollow">{in_html(text)}</a>'
    if isinstance(text, Verdict) and text in WORDS:
        return f'<span class="{clean(text)}">{in_html(text)}</span>'
    return in_html(text)
