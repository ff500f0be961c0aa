"""Style sheet of the report."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #626a78; --line: #dfe3ea; --paper: #fff; --tint: #f3f5f9;
  --bar: #4a78c2; --alarm: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e8ee; --soft: #98a1b0; --line: #353b47; --paper: #14171c;
  --tint: #1f242c; --bar: #6f9ae0; --alarm: #fb923c; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 80px; }
h1 { margin: 0 0 8px; font-size: 30px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 44px 0 12px; font-size: 21px; border-bottom: 1px solid var(--line); padding-bottom: 6px; }
h3 { margin: 30px 0 10px; font-size: 16px; }
p { max-width: 78ch; margin: 8px 0; }
.kind { color: var(--soft); margin: 0; }
code { background: var(--tint); padding: 1px 5px; border-radius: 4px; }
a { color: var(--bar); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td.text { text-align: left; }
td.text { color: var(--soft); }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 500; }
td.value, tr.ours td, tr.ours th { font-weight: 650; }
tr.ours { background: var(--tint); }
.caveat { background: var(--tint); border-left: 3px solid var(--alarm); padding: 10px 14px; }
.notes { color: var(--soft); padding-left: 18px; }
.grid { display: grid; gap: 6px; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); }
.grid.reals { grid-template-columns: repeat(auto-fill, minmax(170px, 240px)); }
.grid img, .pairs img { width: 100%; display: block; border-radius: 3px; }
.charts { display: grid; gap: 18px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
svg { width: 100%; height: auto; background: var(--tint); border-radius: 6px; }
svg rect { fill: var(--bar); }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg text.title { font-size: 12.5px; font-weight: 600; fill: var(--ink); }
svg text.tick { text-anchor: middle; }
svg text.note { text-anchor: end; font-size: 10.5px; }
svg text.mark { fill: var(--alarm); }
svg path.axis { stroke: var(--soft); fill: none; }
svg path.mark { stroke: var(--alarm); stroke-dasharray: 4 3; fill: none; }
.maps { display: flex; gap: 24px; flex-wrap: wrap; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 13px; padding-top: 4px; overflow-wrap: anywhere; }
.maps figure { width: 320px; }
.maps img { width: 100%; border-radius: 3px; }
.scale { display: block; height: 10px; margin-top: 5px; border-radius: 2px; }
.ends { display: flex; justify-content: space-between; }
.pairs { display: grid; gap: 20px 16px; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); }
.pairs figure > div { display: grid; grid-template-columns: 1fr 1fr; gap: 3px; }
.pairs figcaption b { color: var(--ink); }
.copy img { outline: 2px solid var(--alarm); outline-offset: -2px; }
.pairs .copy figcaption b:first-child { color: var(--alarm); }
"""
