// The page's style sheet, as text: the page must be one file, and its policy names the sheet by its hash. Colours have one
// meaning throughout: blue reads, orange edits, green is drained, violet is a graph operation, amber is luck or a lock.

const LIGHT = `
  --ground: #f7f7f5; --paper: #ffffff; --ink: #1d2125; --soft: #5b646d; --line: #d9dcdf; --shade: #eef0f1;
  --read: #1d5fd0; --read-soft: #e3ecfb; --edit: #c2410c; --edit-soft: #fdeadd; --drain: #0f6b3d; --drain-soft: #bfe5cf;
  --operation: #6d3fc4; --operation-soft: #e5dbf8; --task: #aab2ba; --task-soft: #e3e6e9; --luck: #8a5206; --luck-soft: #fbeec2;
  --bad: #b91c1c; --bad-soft: #fbe0e0; --focus: #1d5fd0;`;

const DARK = `
  --ground: #14171a; --paper: #1c2024; --ink: #e6e8ea; --soft: #9aa4ad; --line: #343a40; --shade: #23282d;
  --read: #7db0ff; --read-soft: #1c2f52; --edit: #ff9a5c; --edit-soft: #45260f; --drain: #53d38f; --drain-soft: #1b4a32;
  --operation: #b69bf5; --operation-soft: #352660; --task: #6a747d; --task-soft: #30363c; --luck: #f0c04a; --luck-soft: #46370c;
  --bad: #ff8f8f; --bad-soft: #4d1d1d; --focus: #7db0ff;`;

export const STYLE = `
:root { color-scheme: light; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { color-scheme: dark; ${DARK} } }
:root[data-theme="dark"] { color-scheme: dark; ${DARK} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 14px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
code, .command, kbd { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; }
kbd { border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 4px; padding: 0 5px; background: var(--paper); }
a { color: inherit; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
[hidden] { display: none !important; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 8px; top: 8px; background: var(--paper); padding: 6px; z-index: 3; }
.top { display: flex; align-items: center; justify-content: space-between; padding: 14px 24px 8px; }
h1 { font-size: 19px; margin: 0; letter-spacing: -.01em; } h1 span { color: var(--soft); font-weight: 400; }
h2 { font-size: 16px; margin: 4px 0 6px; }
button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px; cursor: pointer; }
button:hover { border-color: var(--soft); }
.tools { display: flex; gap: 8px; } html:not(.js) .tools, html:not(.js) .filter, html:not(.js) .severities, html:not(.js) .only-new, html:not(.js) .copy { display: none; }
#help { padding: 0 24px; color: var(--soft); }
.runs { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 12px; padding: 6px 24px 14px; }
.run { display: block; text-decoration: none; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.run b { display: block; } .run.current { border-color: var(--focus); box-shadow: inset 0 0 0 1px var(--focus); }
.meta { color: var(--soft); font-size: 13px; margin: 2px 0 8px; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 6px; }
.chip { display: inline-block; border-radius: 10px; padding: 1px 9px; font-size: 12px; font-weight: 600; background: var(--shade); color: var(--soft); white-space: nowrap; }
.chip.error { background: var(--bad-soft); color: var(--bad); } .chip.warning { background: var(--luck-soft); color: var(--luck); } .chip.good { background: var(--drain-soft); color: var(--drain); }
main { padding: 0 24px; }
.js .run-view:not(.current), .js .panel:not(.current), .js .finding:not(.current) { display: none; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0 0 12px; color: var(--soft); font-size: 13px; }
.facts div { display: flex; gap: 6px; } .facts dt::after { content: ":"; } .facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
p.note { background: var(--luck-soft); color: var(--ink); border-radius: 6px; padding: 6px 12px; }
.tabs { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 16px; border-bottom: 1px solid var(--line); margin-bottom: 14px; }
.tab { text-decoration: none; padding: 7px 2px; border-bottom: 2px solid transparent; color: var(--soft); }
.tab.current { color: var(--ink); border-color: var(--focus); font-weight: 600; }
.count { background: var(--shade); border-radius: 9px; padding: 0 7px; font-size: 12px; font-weight: 400; }
.filter { margin-left: auto; color: var(--soft); } .filter input { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; width: 250px; }
.severities { color: var(--soft); display: flex; gap: 12px; }
.panel.findings { display: grid; grid-template-columns: clamp(260px, 24vw, 420px) minmax(0, 1fr); gap: 20px; align-items: start; }
.list { position: sticky; top: 10px; max-height: calc(100vh - 20px); overflow: auto; padding: 2px; }
.list ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 6px; }
.entry { display: grid; grid-template-columns: auto 1fr auto; gap: 0 8px; align-items: baseline; text-decoration: none; background: var(--paper); border: 1px solid var(--line); border-left: 4px solid var(--soft); border-radius: 7px; padding: 6px 10px; }
.entry.error { border-left-color: var(--bad); } .entry.warning { border-left-color: var(--luck); }
.entry:hover { background: var(--shade); } .entry.current { border-color: var(--focus); box-shadow: inset 0 0 0 1px var(--focus); }
.entry .rule { font-weight: 600; } .entry .times { color: var(--soft); font-size: 12px; }
.entry .sides { grid-column: 1 / -1; } .entry .about { font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.side { display: block; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.side::before { content: "●"; margin-right: 6px; } .side.read::before { color: var(--read); } .side.edit::before { color: var(--edit); }
.finding { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; margin-bottom: 16px; outline: none; }
.finding h3 { font-size: 17px; line-height: 1.4; margin: 0 0 2px; overflow-wrap: anywhere; } .finding h3 .chip { vertical-align: 2px; margin-right: 4px; }
.accesses { display: grid; grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); gap: 12px; margin: 10px 0; }
.access-card { border: 1px solid var(--line); border-top: 3px solid var(--read); border-radius: 8px; padding: 8px 12px; } .access-card.edit { border-top-color: var(--edit); }
.access-card h4 { margin: 0; font-size: 14px; font-weight: 600; overflow-wrap: anywhere; } .place { margin: 0 0 4px 24px; color: var(--soft); overflow-wrap: anywhere; }
.badge-number { display: inline-block; width: 18px; height: 18px; line-height: 18px; text-align: center; border-radius: 9px; background: var(--read); color: var(--paper); font-size: 11px; font-weight: 700; }
.access-card.edit .badge-number, .edit .badge-number { background: var(--edit); }
.access-card dl { display: grid; grid-template-columns: 52px 1fr; gap: 1px 8px; margin: 0; font-size: 13px; } .access-card dt { color: var(--soft); } .access-card dd { margin: 0; overflow-wrap: anywhere; }
.line { display: block; } .arrow { color: var(--soft); }
.verdict { margin: 0 0 12px; display: grid; gap: 4px; } .verdict > div { display: grid; grid-template-columns: 160px 1fr; gap: 10px; padding: 5px 12px; border-radius: 7px; background: var(--shade); }
.verdict .fix { background: var(--drain-soft); } .verdict dt { font-weight: 600; } .verdict dd { margin: 0; overflow-wrap: anywhere; } .copy { margin-left: 10px; padding: 0 8px; font-size: 12px; }
figure { margin: 0 0 14px; min-width: 0; } figcaption { color: var(--soft); font-size: 13px; margin-bottom: 5px; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 16px; }
.legend { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 2px 5px; } .key { display: inline-block; width: 14px; height: 10px; border-radius: 3px; margin-left: 8px; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); max-height: 620px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 16px; align-items: start; }
.pair .story-figure:nth-child(3) { grid-column: 1 / -1; }
.graph-figure .scroll { display: grid; justify-content: safe center; }
svg { display: block; } svg text { font: 11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink); }
.lanes text, .lane-names text, .graph text { font-size: 11px; } svg text.small, svg text.tick { fill: var(--soft); font-size: 10px; } .tick:not(.name) { text-anchor: middle; } svg text.tick.first { text-anchor: start; } svg text.tick.last { text-anchor: end; }
.lane-scroll { display: flex; } .lane-scroll svg { flex: none; } .lane-names { position: sticky; left: 0; background: var(--paper); }
.lane { fill: var(--paper); } .lane.odd { fill: var(--shade); } .bar .behind { fill: var(--soft); } svg .lane-name { font-weight: 600; font-size: 12px; }
.gap { fill: var(--ground); stroke: var(--line); stroke-dasharray: 3 3; } .gap-text { text-anchor: middle; }
.bar rect { fill: var(--task-soft); stroke: var(--task); stroke-width: 1; } .key.task { background: var(--task-soft); border: 1px solid var(--task); }
.beyond { fill: none; stroke: var(--soft); stroke-width: 1.3; }
.bar.own rect { fill: var(--read-soft); stroke: var(--read); }
.bar.operation rect { fill: var(--operation-soft); stroke: var(--operation); } .key.operation { background: var(--operation-soft); border: 1px solid var(--operation); }
.bar.section rect { fill: none; stroke: var(--drain); stroke-dasharray: 4 2; } .key.waiting { border: 1px dashed var(--drain); }
.bar.section rect.drained { fill: var(--drain-soft); stroke-dasharray: none; } .key.drained { background: var(--drain-soft); border: 1px solid var(--drain); }
.bar.section:not(.holds) { opacity: .55; }
.bar.lock rect { fill: var(--luck-soft); stroke: var(--luck); } .key.lock { background: var(--luck-soft); border: 1px solid var(--luck); }
.bar.wait rect { fill: none; stroke: var(--soft); stroke-dasharray: 1 3; } .key.wait { border: 1px dotted var(--soft); }
.mark.read, .key.dot.read { fill: var(--read); background: var(--read); opacity: .75; } .mark.edit, .key.dot.edit { fill: var(--edit); background: var(--edit); opacity: .75; } .key.dot { width: 8px; height: 8px; border-radius: 4px; }
.access line { stroke: var(--read); stroke-width: 1.5; stroke-dasharray: 2 2; } .access.edit line { stroke: var(--edit); }
.moment line { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 2; } .moment .flag { fill: var(--soft); } svg .moment text { fill: var(--paper); font-weight: 600; }
.access .flag, .access circle { fill: var(--read); } .access.edit .flag, .access.edit circle { fill: var(--edit); }
svg .access text { fill: var(--paper); font-weight: 600; } svg .number { text-anchor: middle; font-size: 10px; }
.order line { stroke: var(--bad); stroke-width: 1.5; } .order rect { fill: var(--paper); stroke: var(--bad); } svg .order text { fill: var(--bad); text-anchor: middle; font-weight: 600; }
.order.luck line, .order.luck rect { stroke: var(--luck); } svg .order.luck text { fill: var(--luck); }
.vertex rect { fill: var(--paper); stroke: var(--soft); } .vertex.blk rect, .vertex.job rect { fill: var(--shade); } .vertex.focus rect { stroke: var(--edit); stroke-width: 2.5; }
.vertex.quiesced > rect { fill: var(--drain-soft); } svg .vertex text { text-anchor: middle; } svg .vertex-name { font-weight: 600; }
.vertex .badge rect { fill: var(--drain); stroke: none; } svg .vertex .badge text { fill: var(--paper); font-size: 10px; }
.edge path { fill: none; stroke: var(--soft); stroke-width: 1.3; } .edge.in-list path { stroke: var(--read); stroke-width: 2.2; } .edge.half path { stroke-dasharray: 4 3; }
.edge.removed path, .edge.inserted path { stroke: var(--edit); stroke-width: 2.6; stroke-dasharray: 7 4; } .edge .tip { stroke-dasharray: none !important; }
.edge-label rect { fill: var(--paper); } svg .edge-label text { text-anchor: middle; fill: var(--soft); } .edge-label.removed rect, .edge-label.inserted rect { stroke: var(--edit); } svg .edge-label.removed text, svg .edge-label.inserted text { fill: var(--edit); font-weight: 600; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12px; position: sticky; top: 0; background: var(--paper); } th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
.story td { font-size: 13px; overflow-wrap: anywhere; } .story .event { color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; } .story .is-access td { background: var(--shade); font-weight: 600; } .story .section td { color: var(--drain); } .story .operation td, .story .task td, .story .lock td { color: var(--soft); }
.coverage-scroll { max-height: calc(100vh - 40px); } .coverage th { white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; } .small-note { color: var(--soft); font-size: 12px; } td.warn { color: var(--luck); font-weight: 600; } td.bad { color: var(--bad); font-weight: 600; }
.outcome rect.drained, .key.drained { fill: var(--drain); } .outcome rect.ordered { fill: var(--read); } .outcome rect.luck { fill: var(--luck); } .outcome rect.uncovered { fill: var(--bad); } .outcome { border-radius: 3px; margin: 5px 0 2px; background: var(--shade); }
.key.ordered { background: var(--read); } .key.luck { background: var(--luck); } .key.uncovered { background: var(--bad); }
.ledger td { font-size: 13px; } .ledger tr:not(.holds) td { color: var(--soft); } .ledger .state.drained { color: var(--drain); font-weight: 600; } .ledger .state.waiting { color: var(--luck); }
.stack { margin-top: 6px; font-size: 13px; } .stack summary { cursor: pointer; color: var(--soft); } .stack ol { margin: 4px 0 0; padding-left: 24px; } .stack li { overflow-wrap: anywhere; }
.remarks { padding: 0 24px; } .remarks .note { margin: 0 0 6px; } .chip.standing { font-weight: 400; }
.clean { padding: 40px 0; grid-column: 1 / -1; text-align: center; color: var(--soft); } .big { font-size: 24px; color: var(--drain); margin: 0; }
footer { color: var(--soft); font-size: 12px; padding: 18px 24px; }
@media (max-width: 880px) { .panel.findings { grid-template-columns: minmax(0, 1fr); } .list { position: static; max-height: 50vh; } }
@media print { .js .run-view:not(.current), .js .finding:not(.current) { display: block; } .list, .tools, .filter, .severities { display: none; } .scroll { max-height: none; overflow: visible; } }
`;
