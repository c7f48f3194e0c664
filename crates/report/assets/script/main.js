// The state of the page, and what follows from it.
const state = {
  a: 0, b: LAST, view: LAST > 0 ? "growth" : "live", colour: LAST > 0 ? "growth" : "package",
  invert: false, hide: false, age: 60e3, query: "", site: -1, order: "change", all: false, sums: [],
};
if (data.timeline.window) {
  const [from, to] = data.timeline.window;
  state.a = nearest(from);
  state.b = nearest(to);
}

const chart = makeChart(byId("chart"), setRange);
const flame = makeFlame(byId("flame"), (node) => {
  if (node.site < 0) return;
  choose(node.site, node.frame, passing(node));
});
let tree = null, drawThreads = null;

function passing(node) {
  let count = 0;
  (function visit(one) { if (one.order.length === 0) count++; one.order.forEach(visit); })(node);
  return node.frame < 0 ? 0 : count;
}

function setRange(a, b) {
  const from = a === null ? state.a : a, to = b === null ? state.b : b;
  state.a = Math.min(from, to);
  state.b = Math.max(from, to);
  if (state.a === state.b && LAST > 0) { if (state.b < LAST) state.b++; else state.a--; }
  update();
}

// Everything that depends on the range.
function update() {
  state.sums = sites.map((site) => sumsOf(site, state.a, state.b, state.age));
  chart.setRange(state.a, state.b);
  showRange();
  suspects();
  drawTree();
  showStack(state.site, state, null, 0);
}

function suspects() {
  showSuspects(state, (line) => chooseLine(line), (order) => { state.order = order; suspects(); }, () => { state.all = !state.all; suspects(); });
}

function chooseLine(line) {
  const largest = line.sites.reduce((best, index) => widthOf(state.view, state.sums[index]) > widthOf(state.view, state.sums[best]) ? index : best, line.sites[0]);
  choose(largest, null, 0);
  flame.reveal(largest, state.invert, state.hide);
}

function choose(site, frame, through) {
  state.site = site;
  for (const row of document.querySelectorAll(".suspects tbody tr")) {
    const line = lines.find((one) => one.sites[0] === Number(row.dataset.site));
    row.setAttribute("aria-selected", String(Boolean(line) && line.sites.includes(site)));
  }
  showStack(site, state, frame, through);
}

function drawTree() {
  tree = makeTree(state);
  const emptyText = { growth: "Nothing is live at A or B.", old: "Nothing that is live at B is as old as that.", allocated: "Nothing that was sampled was allocated from A to B." }[state.view] || "Nothing that was sampled is live at B.";
  const found = flame.show(tree, state, emptyText);
  const all = tree.root.width > 0 ? amountOf(state.view, tree.root.sums) : "0 B";
  byId("flame-total").textContent = found ? (found.found.size ? thousands(found.found.size) + " frames match: " + percent(found.part) + " of the width" : "no frame matches") : all + " in all";
  replace("flame-legend", legendOf(state.colour, tree).map(([colour, text]) => element("span", {}, swatch(colour), element("span", { class: "text" }, text))));
  const notes = [VIEWS.find(([key]) => key === state.view)[2]];
  if (state.view === "growth") notes[0] = "Width: bytes at A or at B, whichever is more";
  else notes[0] = "Width: " + notes[0];
  if (state.colour === "freed") notes.push("who frees is counted since the start of the recording");
  byId("flame-note").textContent = notes.join("; ") + ". Click or Enter widens a frame, the top one or Escape shows all again.";
  if (byId("flame-table").open) treeTable();
}

// The call tree for those who do not see it: functions by what is below them, each once in a stack.
function treeTable() {
  const totals = new Map();
  (function visit(node, above) {
    let inside = above;
    if (node.frame >= 0) {
      const name = functionOf(node.frame);
      if (!above.has(name)) {
        const known = totals.get(name) || { name, width: 0, self: 0, library: libraryOf(node.frame), sums: emptySums() };
        known.width += node.width;
        addSums(known.sums, node.sums);
        totals.set(name, known);
        inside = new Set(above).add(name);
      }
      totals.get(name).self += node.width - node.order.reduce((sum, callee) => sum + callee.width, 0);
    }
    node.order.forEach((callee) => visit(callee, inside));
  })(tree.root, new Set());
  const rows = [...totals.values()].sort((x, y) => y.width - x.width).slice(0, 100);
  const part = (width) => percent(width / tree.root.width);
  const body = rows.map((row) => element("tr", {}, element("td", { class: "code" }, row.name), element("td", {}, row.library), element("td", { class: "n" }, amountOf(state.view, row.sums)),
    element("td", { class: "n" }, part(row.width)), element("td", { class: "n" }, part(row.self))));
  byId("flame-table").replaceChildren(byId("flame-table").firstElementChild, element("div", { class: "scroll tall" }, element("table", {},
    element("thead", {}, element("tr", {}, ["Function", "Library"].map((name) => element("th", { scope: "col" }, name)), ["With callees", "Width", "Itself"].map((name) => element("th", { scope: "col", class: "n" }, name)))), element("tbody", {}, body))));
}

function showRange() {
  byId("range").hidden = LAST < 1;
  if (LAST < 1) return;
  const pick = (label, key, allowed) => {
    const made = element("select", { id: "range-" + key, on: { change: (event) => setRange(key === "a" ? Number(event.target.value) : null, key === "b" ? Number(event.target.value) : null) } },
      instants.map((instant, at) => allowed(at) ? element("option", { value: at, selected: at === state[key] }, clock(instant.time, chart.span.withDay, true) + ", after " + duration(instant.at)) : null));
    return element("label", {}, label, made);
  };
  const focus = document.activeElement && document.activeElement.id;
  const all = emptySums();
  state.sums.forEach((sums) => addSums(all, sums));
  const growth = growthOf(all), between = instants[state.b].at - instants[state.a].at;
  const perHour = between > 0 ? growth.map((value) => value * 3600e3 / between) : null;
  const isChance = mayBeChance(growth);
  replace("range",
    element("div", { class: "pick" }, pick("A", "a", (at) => at < state.b), pick("B", "b", (at) => at > state.a),
      element("button", { type: "button", class: "quiet", id: "range-all", on: { click: () => setRange(0, LAST) } }, "all of it")),
    element("p", { class: "said" }, "tracked memory in " + duration(between) + ": ", element("b", { id: "range-growth", class: isChance ? "" : growth[0] > 0 ? "up" : "down" }, change(growth)),
      isChance ? ", may be chance" : perHour && between >= 60e3 ? " · " + change(perHour) + "/h" : ""));
  if (focus && focus.startsWith("range-") && byId(focus)) byId(focus).focus();
}

function flameControls() {
  const views = VIEWS.filter(([key]) => key !== "growth" || LAST > 0).map(([key, name, title]) => [key, name, title]);
  const colours = [["growth", "growth"], ["package", "package"], ["code", "Java or native"], ["kind", "kind"], ["freed", "who frees"], ["age", "age"]].filter(([key]) => key !== "growth" || LAST > 0);
  const colour = element("select", { id: "flame-colour", on: { change: (event) => { state.colour = event.target.value; drawTree(); } } }, colours.map(([key, name]) => element("option", { value: key, selected: key === state.colour }, name)));
  const age = element("select", { id: "flame-age", "aria-label": "at least so old", hidden: true, on: { change: (event) => { state.age = Number(event.target.value); update(); } } },
    [[60e3, "1 minute"], [300e3, "5 minutes"], [600e3, "10 minutes"], [3600e3, "1 hour"], [21600e3, "6 hours"], [86400e3, "1 day"]].map(([ms, name]) => element("option", { value: ms, selected: ms === state.age }, "≥ " + name)));
  const box = (id, text, key) => element("label", {}, element("input", { type: "checkbox", id, on: { change: (event) => { state[key] = event.target.checked; flame.zoom(null); drawTree(); } } }), text);
  let waiting = 0;
  const query = element("input", { type: "search", id: "flame-search", placeholder: "search functions, files, libraries", "aria-label": "Search the call tree", on: { input: (event) => {
    state.query = event.target.value;
    clearTimeout(waiting);
    waiting = setTimeout(drawTree, 120);
  } } });
  replace("flame-controls",
    choice("What is shown", views, state.view, (view) => {
      // Growth has colours of its own.
      if (view === "growth") state.colour = "growth"; else if (state.colour === "growth") state.colour = "package";
      colour.value = state.colour;
      state.view = view;
      age.hidden = view !== "old";
      drawTree();
    }),
    age, element("label", {}, "colour", colour), query, box("flame-invert", "invert", "invert"), box("flame-hide", "hide JDK and frameworks", "hide"));
  byId("flame-table").addEventListener("toggle", () => { if (byId("flame-table").open) treeTable(); });
}

function setTheme(isDark) {
  dark = isDark;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  byId("theme").textContent = isDark ? "☀ light" : "☾ dark";
  byId("theme").setAttribute("aria-label", isDark ? "use light colours" : "use dark colours");
}

const wish = matchMedia("(prefers-color-scheme: dark)");
setTheme(wish.matches);
function recolour(isDark) {
  setTheme(isDark);
  chart.make();
  if (drawThreads) drawThreads();
  suspects();
  drawTree();
}
wish.addEventListener("change", (event) => recolour(event.matches));
byId("theme").addEventListener("click", () => recolour(!dark));
// Layers add up, which neither a logarithm nor a difference does: those are lines.
const CHART_CHOICES = {
  "chart-stacked": { isStacked: true, isLog: false, isDelta: false }, "chart-lines": { isStacked: false },
  "chart-linear": { isLog: false }, "chart-log": { isStacked: false, isLog: true, isDelta: false },
  "chart-absolute": { isDelta: false }, "chart-delta": { isStacked: false, isLog: false, isDelta: true },
};
function showChartChoices(look) {
  const pressed = { stacked: look.isStacked, lines: !look.isStacked, linear: !look.isLog, log: look.isLog, absolute: !look.isDelta, delta: look.isDelta };
  for (const [name, isPressed] of Object.entries(pressed)) byId("chart-" + name).setAttribute("aria-pressed", String(isPressed));
}
for (const [id, wanted] of Object.entries(CHART_CHOICES)) byId(id).addEventListener("click", () => showChartChoices(chart.setLook(wanted)));
byId("download-csv").addEventListener("click", () => download(fileStem(state) + ".csv", "text/csv", sitesCsv(state)));
byId("download-folded").addEventListener("click", () => download(fileStem(state) + "-" + state.view + ".folded", "text/plain", foldedStacks(state)));
// Of one snapshot there is no A.
byId("chart-delta").parentElement.hidden = LAST < 1;

showVerdict((group) => { chooseLine(lines[group]); byId("stack").scrollIntoView({ block: "nearest" }); });
showTiles();
showRows();
showLists(setRange);
showKeys();
// One measurement is no course of things.
byId("timeline").hidden = data.timeline.at.length < 2;
chart.make();
drawThreads = threadsChart(byId("threads-chart"), chart.span);
if (drawThreads) drawThreads(); else if (byId("threads-chart")) byId("threads-chart").remove();
byId("chart-table").append(chartTable());
flameControls();
update();
if (lines.length) {
  const first = data.verdicts[0].group;
  const start = first !== null ? lines[first] : lines.find((line) => line.sites.includes(largestSite()));
  if (start) chooseLine(start);
}
document.documentElement.dataset.ready = "true";

// The site that the page begins with: the one that grew most, or holds most.
function largestSite() {
  let best = 0;
  state.sums.forEach((sums, index) => {
    const amount = (s) => state.a < state.b ? s.newT - s.goneT : s.after;
    if (amount(sums) > amount(state.sums[best])) best = index;
  });
  return best;
}
