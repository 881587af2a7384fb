"""How the page looks: on paper, on a phone, and in the dark."""

from __future__ import annotations

STYLE = """
:root{--bg:#fbfbf9;--fg:#1b1f24;--dim:#5d6670;--line:#dfe2e6;--card:#fff;--ref:#b9c4d0;--cur:#1f5fbf;--guess:#8a6fbf;
--ok:#1d7a46;--okb:#dff3e6;--warn:#8a5a00;--warnb:#fdeecb;--alarm:#b3261e;--alarmb:#fbe0dd;--none:#5d6670;--noneb:#eceef0}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e8ea;--dim:#9aa3ad;--line:#30363d;--card:#1b1f24;
--ref:#4a5866;--cur:#74a9ff;--guess:#b79cf0;--ok:#6fd39a;--okb:#173524;--warn:#f0c060;--warnb:#3b2e10;--alarm:#ff8f86;
--alarmb:#45201d;--none:#9aa3ad;--noneb:#262b31}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:20px 16px 48px}
h1{font-size:1.5rem;margin:0 0 .3rem;display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
h2{font-size:1.1rem;margin:2rem 0 .5rem}
.lead{margin:.2rem 0 .8rem;max-width:75ch;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:.5rem;margin:0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.4rem .7rem}
dt{color:var(--dim);font-size:.8rem}dd{margin:0;overflow-wrap:anywhere}
.pill{display:inline-block;font-size:.72rem;font-weight:600;border-radius:99px;padding:.1rem .55rem;white-space:nowrap;
background:var(--noneb);color:var(--none)}
.pill.ok{background:var(--okb);color:var(--ok)}.pill.warn{background:var(--warnb);color:var(--warn)}
.pill.alarm{background:var(--alarmb);color:var(--alarm)}
details{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:.4rem 0}
summary{cursor:pointer;padding:.5rem .8rem;font-weight:600}
.count,.note{color:var(--dim);font-weight:400;font-size:.85rem}
details ul{list-style:none;margin:0;padding:0 .8rem .4rem}
details li{display:grid;grid-template-columns:8rem 1fr;gap:.6rem;padding:.4rem 0;border-top:1px solid var(--line)}
details li .pill{justify-self:start;align-self:start}
details li div{overflow-wrap:anywhere}
.plain{margin:0;padding-left:1.2rem}
.scroll{overflow-x:auto;direction:rtl;text-align:left}.timeline{direction:ltr;margin-right:auto}
.timeline{border-collapse:separate;border-spacing:2px;font-size:.8rem}
.timeline th{text-align:left;font-weight:500;padding-right:.6rem;white-space:nowrap;position:sticky;left:0;
background:var(--bg)}
.timeline td{min-width:20px;height:22px;text-align:center;border-radius:4px;background:var(--noneb);color:var(--none);
font-weight:700}
.timeline td.ok{background:var(--okb);color:var(--ok)}.timeline td.warn{background:var(--warnb);color:var(--warn)}
.timeline td.alarm{background:var(--alarmb);color:var(--alarm)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(290px,1fr));gap:.8rem;align-items:start}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .7rem .3rem}
figcaption{overflow-wrap:anywhere;font-size:.9rem}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--fg);font:11px system-ui,sans-serif}svg .tick{fill:var(--dim);font-size:10px}
svg .grid{stroke:var(--line)}
svg .reference{fill:var(--ref)}svg .bar{fill:var(--cur)}
svg .current{fill:none;stroke:var(--cur);stroke-width:1.8;stroke-linejoin:round}
svg .guess{fill:none;stroke:var(--guess);stroke-width:1.5;stroke-dasharray:3 3}
svg .dot{fill:var(--cur)}svg .hollow{fill:var(--card);stroke:var(--guess);stroke-width:1.5}
svg .whisker{stroke:var(--cur);opacity:.55;stroke-width:1.5}
svg .mark{stroke:var(--dim);stroke-dasharray:5 3}svg .floor{stroke:var(--alarm);stroke-dasharray:5 3}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.2rem 0 .6rem;color:var(--dim);font-size:.85rem}
.key{display:inline-block;width:18px;height:10px;margin-right:.4rem;border-radius:2px;vertical-align:baseline}
.key.reference{background:var(--ref)}.key.current{background:var(--cur)}
.key.guess{height:0;border-top:2px dashed var(--guess);vertical-align:middle}
.key.mark{height:0;border-top:2px dashed var(--dim);vertical-align:middle}
.key.dot{width:10px;border-radius:5px;background:var(--cur)}
.key.hollow{width:10px;border-radius:5px;border:2px solid var(--guess)}
@media(max-width:520px){main{padding:14px 10px 32px}details li{grid-template-columns:1fr;gap:.2rem}
h1{font-size:1.25rem}.grid{grid-template-columns:1fr}dl{grid-template-columns:repeat(2,1fr)}}
@media print{details:not([open])>*{display:block}}
"""
"""The style sheet."""
