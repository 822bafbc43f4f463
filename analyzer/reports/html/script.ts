// The page's script, as text: the page must be one file, and its policy names the script by its hash. It only shows, hides
// and moves the focus; everything that it shows is in the markup already. Checked in a real browser by report.test.ts.

export const SCRIPT = `"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
const root = document.documentElement;
root.classList.add("js");
let run = 0;
let tab = "findings";
let current = null;
const runView = () => one('.run-view[data-run="' + run + '"]');
const entries = () => all(".entry", runView()).filter((entry) => !entry.parentElement.hidden);

function mark(elements, isCurrent) {
  for (const element of elements) {
    const yes = isCurrent(element);
    element.classList.toggle("current", yes);
    if (element.matches("a")) {
      if (yes) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    }
  }
}

function show() {
  mark(all(".run"), (card) => Number(card.dataset.run) === run);
  mark(all(".run-view"), (view) => Number(view.dataset.run) === run);
  if (one('.panel[data-panel="' + tab + '"]', runView()) === null) tab = "findings";
  mark(all(".tab"), (link) => link.dataset.tab === tab);
  mark(all(".panel"), (panel) => panel.dataset.panel === tab);
  const known = entries();
  const chosen = known.find((entry) => entry.dataset.finding === current) ?? known[0];
  mark(all(".entry"), (entry) => entry === chosen);
  mark(all(".finding"), (finding) => chosen !== undefined && finding.id === chosen.dataset.finding);
  current = chosen === undefined ? null : chosen.dataset.finding;
  for (const box of all(".severities, .only-new")) box.hidden = tab !== "findings";
  for (const box of all(".only-bad")) box.hidden = tab !== "coverage";
  for (const lanes of all(".finding.current .lanes")) centre(lanes);
  fitLists();
}

const isBeside = () => matchMedia("(min-width: 881px)").matches;

// The list ends where the window does, wherever it stands: its last entries are never below the edge.
function fitLists() {
  const beside = isBeside();
  for (const list of all(".run-view.current .list")) {
    const top = Math.max(10, list.getBoundingClientRect().top);
    list.style.maxHeight = beside ? Math.max(300, innerHeight - top - 10) + "px" : "";
  }
}

function centre(lanes) {
  const scroll = lanes.parentElement;
  const marks = all(".access > circle", lanes).map((circle) => Number(circle.getAttribute("cx")));
  if (marks.length === 0 || scroll.scrollWidth <= scroll.clientWidth) return;
  scroll.scrollLeft = (Math.min(...marks) + Math.max(...marks)) / 2 - scroll.clientWidth / 2;
}

function open(id) {
  const match = /^r(\\d+)-f\\d+$/.exec(id) ?? /^run-(\\d+)(?:-(findings|coverage|drains|policies))?$/.exec(id);
  if (match === null) return;
  run = Number(match[1]);
  if (id.startsWith("r" + run + "-f")) {
    tab = "findings";
    current = id;
  } else if (match[2] !== undefined) tab = match[2];
  show();
}

function remember(id) {
  history.replaceState(null, "", "#" + id);
  open(id);
}

function move(by) {
  const known = entries();
  const at = known.findIndex((entry) => entry.dataset.finding === current);
  const next = known[Math.min(known.length - 1, Math.max(0, at + by))];
  if (next === undefined) return;
  tab = "findings";
  remember(next.dataset.finding);
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function filter(view) {
  const words = one(".filter-text", view).value.toLowerCase().split(/\\s+/).filter((word) => word !== "");
  const severities = new Set(all(".filter-severity", view).filter((box) => box.checked).map((box) => box.value));
  const has = (element) => words.every((word) => element.dataset.search.includes(word));
  const onlyNew = one(".filter-new", view)?.checked === true;
  for (const entry of all(".entry", view)) {
    const fits = severities.has(entry.dataset.severity) && (!onlyNew || entry.dataset.new === "1");
    entry.parentElement.hidden = !(fits && has(entry));
  }
  const onlyBad = one(".filter-bad", view).checked;
  for (const row of all("tr[data-search]", view)) row.hidden = !has(row) || (onlyBad && row.dataset.bad === "0");
  const none = one(".no-match", view);
  if (none !== null) none.hidden = entries().length > 0;
  show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.run, a.tab, a.entry");
  if (link !== null) {
    event.preventDefault();
    remember(link.getAttribute("href").slice(1));
    // Where the list stands above what it opens, what was opened may be below the edge.
    if (link.matches(".entry") && !isBeside()) one(".finding.current").scrollIntoView({ block: "start" });
  }
  const copy = event.target.closest(".copy");
  if (copy !== null && navigator.clipboard !== undefined) {
    navigator.clipboard.writeText(copy.dataset.copy).then(
      () => (copy.textContent = "Copied"),
      () => getSelection().selectAllChildren(copy.previousElementSibling),
    );
  }
});
for (const view of all(".run-view")) view.addEventListener("input", () => filter(view));
function toggleHelp() {
  const help = one("#help");
  help.hidden = !help.hidden;
  one("#keys").setAttribute("aria-expanded", String(!help.hidden));
}
one("#keys").addEventListener("click", toggleHelp);
one("#theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
const tabs = { f: "findings", c: "coverage", d: "drains", p: "policies" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const list = event.target.closest(".list") !== null;
  if (event.key === "j" || (list && event.key === "ArrowDown")) move(1);
  else if (event.key === "k" || (list && event.key === "ArrowUp")) move(-1);
  else if (event.key === "/") one(".filter-text", runView()).focus();
  else if (tabs[event.key] !== undefined && one("#run-" + run + "-" + tabs[event.key]) !== null) remember("run-" + run + "-" + tabs[event.key]);
  else if (event.key === "?") toggleHelp();
  else if (/^[1-9]$/.test(event.key) && one("#run-" + (Number(event.key) - 1)) !== null) remember("run-" + (Number(event.key) - 1));
  else return;
  event.preventDefault();
});
addEventListener("scroll", fitLists, { passive: true });
addEventListener("resize", fitLists);
addEventListener("hashchange", () => open(location.hash.slice(1)));
open(location.hash.slice(1));
show();
`;
