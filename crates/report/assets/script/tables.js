// Tables and lists beside the pictures.
function showVerdict(onGroup) {
  const [first, ...others] = data.verdicts;
  const section = byId("verdict");
  section.classList.toggle("bad", first.tone === "bad");
  section.classList.toggle("fine", first.tone === "fine");
  const link = (verdict, text) => verdict.group === null ? text
    : element("button", { type: "button", class: "linkish", on: { click: () => onGroup(verdict.group) } }, text);
  section.replaceChildren(
    element("div", { class: "line" }, first.word ? wordElement(first.word, first.tone) : null, first.confidence ? element("span", { class: "note" }, first.confidence) : null),
    element("p", { class: "sentence" }, first.sentence),
    first.fix ? element("p", { class: "fix" }, "→ " + first.fix) : "",
    first.reasons.length ? element("ul", {}, first.reasons.map((reason) => element("li", {}, reason))) : "",
    first.group !== null ? element("p", { class: "more" }, link(first, "Show its stack")) : "",
    others.length ? element("div", { class: "also" }, others.map((verdict) => element("div", {}, verdict.word ? wordElement(verdict.word, verdict.tone) : "", element("span", {}, link(verdict, verdict.sentence))))) : "",
  );
}

function showTiles() {
  replace("tiles", data.tiles.map((tile) => element("dl", { class: "tile" },
    element("dt", {}, tile.name),
    element("dd", { class: tile.bad ? "value bad" : "value" }, tile.value),
    tile.part === null ? null : element("dd", { class: tile.bad ? "meter bad" : "meter", "aria-hidden": "true" }, element("i", { style: { width: tile.part * 100 + "%" } })),
    tile.note ? element("dd", { class: "note" }, tile.note) : null)));
}

// Lines of the table: the groups of the analysis, then every other site by itself.
const lines = (function () {
  const taken = new Set();
  const made = data.groups.map((group) => {
    group.sites.forEach((site) => taken.add(site));
    return { ...group, over: sumOver(group.sites, 2) };
  });
  sites.forEach((site, index) => {
    if (!taken.has(index)) made.push({ words: [], looks: "", sites: [index], rate: null, over: liveOverTime(site, 2) });
  });
  const alike = new Map();
  for (const line of made) {
    const site = sites[line.sites[0]], path = pathOf(site);
    line.own = path.own;
    line.way = path.way;
    const key = site.kind + "\n" + path.own + "\n" + path.way;
    alike.set(key, (alike.get(key) || []).concat(line));
  }
  // Lines that read the same get the caller that tells them apart.
  for (const group of alike.values()) {
    if (group.length < 2) continue;
    const stacks = group.map((line) => { const site = sites[line.sites[0]]; return framesOf(site).slice(site.own + 1); });
    group.forEach((line, at) => {
      const frame = stacks[at].find((f, depth) => stacks.some((other) => other[depth] !== f));
      if (frame !== undefined) line.way += (line.way ? " " : "") + "← " + shortName(frame, true);
    });
  }
  return made;
})();

function sumOver(indexes, column) {
  const sum = new Float64Array(instants.length);
  for (const index of indexes) liveOverTime(sites[index], column).forEach((value, at) => { sum[at] += value; });
  return sum;
}

function sumsOfLine(line, state) {
  const sums = emptySums();
  for (const index of line.sites) addSums(sums, state.sums[index]);
  return sums;
}

// Lines that are shown before others are asked for: those that matter, but neither a wall nor a stump of them.
const FEWEST = 5, MOST = 12;

function matters(row, total) {
  return row.line.words.length > 0 || !mayBeChance(row.growth) || row.sums.after >= 0.02 * total;
}

const ORDERS = { change: (l) => l.growth[0], rate: (l) => l.rate ? l.rate[0] : -Infinity, live: (l) => l.sums.after, oldest: (l) => l.oldest };

// Bad news before others, and both before lines without a verdict.
function rankOf(line) { return line.words.some(([, tone]) => tone === "bad") ? 2 : line.words.length ? 1 : 0; }

// Which columns there is something for.
function columnsOf(state) {
  return [
    ["rank", "#"],
    data.groups.some((group) => group.words.length) ? ["verdict", "Verdict"] : null,
    state.a < state.b ? ["change", "Change A to B", true] : null,
    data.groups.some((group) => group.rate) ? ["rate", "Growth per hour", true] : null,
    ["live", LAST > 0 ? "Live at B" : "Live", true], ["oldest", "Oldest", true], ["freed", "Freed by"],
    LAST > 0 ? ["spark", "Over time"] : null, ["where", "Where"],
  ].filter(Boolean);
}

function showSuspects(state, onLine, onOrder, onAll) {
  const columns = columnsOf(state);
  const order = columns.some(([key]) => key === state.order) ? state.order : state.a < state.b ? "change" : "live";
  const rows = lines.map((line) => {
    const sums = sumsOfLine(line, state);
    const oldest = Math.max(-1, ...line.sites.map((index) => sites[index].oldest === null ? -1 : sites[index].oldest));
    return { line, sums, oldest, rate: line.rate, growth: growthOf(sums) };
  }).filter((row) => row.sums.after > 0 || row.sums.before > 0 || row.line.words.length);
  // Lines with a verdict lead where they grow.
  rows.sort((x, y) => order === "change" || order === "rate"
    ? rankOf(y.line) - rankOf(x.line) || ORDERS[order](y) - ORDERS[order](x) : ORDERS[order](y) - ORDERS[order](x));
  const total = rows.reduce((sum, row) => sum + row.sums.after, 0);
  const worth = rows.filter((row, at) => matters(row, total) || at < FEWEST).slice(0, MOST);
  const shown = state.all ? rows.slice(0, 500) : worth;
  const head = element("tr", {}, columns.map(([key, name, isNumber]) => element("th", {
    scope: "col", class: isNumber ? "n" : undefined, "aria-sort": key === order ? "descending" : undefined,
  }, key in ORDERS ? element("button", { type: "button", class: "sort", on: { click: () => onOrder(key) } }, name) : name)));
  const body = shown.map((row, at) => {
    const cells = columns.map(([key, name]) => cellOf(key, name, row, at));
    const isChosen = row.line.sites.includes(state.site);
    return element("tr", { "aria-selected": String(isChosen), "data-site": row.line.sites[0], on: { click: () => onLine(row.line) } }, cells);
  });
  replace("suspects-table", rows.length === 0 ? element("p", { class: "note" }, "Nothing that was sampled is live here.")
    : element("div", { class: "scroll" }, element("table", { class: "suspects" }, element("thead", {}, head), element("tbody", {}, body))),
  rows.length > worth.length
    ? element("p", { class: "more" }, element("button", { type: "button", class: "quiet", on: { click: onAll } },
      state.all ? "show fewer" : rows.length <= 500 ? "show all " + thousands(rows.length) + " places" : "show 500 of " + thousands(rows.length) + " places")) : null);
  byId("suspects-note").textContent = state.a < state.b ? "Changes with their 95 % intervals; grey: may be chance. Choose a line to see its stack." : "Estimates with their 95 % intervals. Choose a line to see its stack.";
}

function cellOf(key, name, row, at) {
  const { line, sums } = row;
  switch (key) {
    case "rank": return element("td", { class: "rank dim" }, String(at + 1));
    case "verdict": return element("td", { class: "word-cell", "data-name": name }, line.words.length ? line.words.map(([word, tone]) => wordElement(word, tone)) : element("span", { class: "dim" }, line.looks));
    case "change": {
      const chance = mayBeChance(row.growth);
      return element("td", { class: "n", "data-name": name }, element("span", { class: chance ? "dim" : row.growth[0] > 0 ? "up" : "down" }, signed(row.growth[0])),
        element("span", { class: "error" }, errorOf(row.growth, signed)));
    }
    case "rate": return element("td", { class: "n", "data-name": name }, line.rate ? [element("span", { class: mayBeChance(line.rate) ? "dim" : line.rate[0] > 0 ? "up" : "down" }, signed(line.rate[0]) + "/h"), element("span", { class: "error" }, errorOf(line.rate, signed))] : element("span", { class: "dim" }, "–"));
    case "live": {
      const live = liveOf(sums);
      return element("td", { class: "n", "data-name": name }, bytes(live[0]), element("span", { class: "error" }, errorOf(live, bytes)));
    }
    case "oldest": return element("td", { class: "n oldest", "data-name": name }, row.oldest < 0 ? element("span", { class: "dim" }, "–") : duration(row.oldest));
    case "freed": return element("td", { class: "who", "data-name": name }, freedCell(line, sums));
    case "spark": return element("td", { class: "spark-cell", "data-name": name }, sparkline(line.over));
    default: return element("td", { class: "where" }, element("button", { type: "button", class: "linkish" }, line.own), line.way ? element("small", {}, line.way) : null);
  }
}

function freedCell(line, sums) {
  const all = sums.app + sums.gc;
  if (sites[line.sites[0]].kind === "thread") return all === 0 ? "none ended" : thousands(all) + " ended";
  if (all === 0) return element("span", { class: "dim" }, "never");
  const part = sums.gc / all;
  const text = part === 0 ? "application" : part >= 0.9995 ? "GC" : "GC " + (part * 100).toFixed(part < 0.1 ? 1 : 0) + " %";
  return [element("span", { class: "freed", "aria-hidden": "true" }, element("i", { style: { width: part * 100 + "%", background: pastelStrong(282) } }), element("i", { style: { width: (1 - part) * 100 + "%", background: pastelStrong(205) } })), text];
}

function pastelStrong(hue) { return `hsl(${hue} 42% ${dark ? 58 : 55}%)`; }

function sparkline(values) {
  const most = Math.max(...values);
  if (!(most > 0)) return "";
  const width = 104, height = 26, first = instants[0].at, span = Math.max(instants[LAST].at - first, 1);
  const points = [...values].map((value, at) => ((instants[at].at - first) / span * width).toFixed(1) + " " + (height - 1 - value / most * (height - 3)).toFixed(1));
  const svg = drawn("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "live: " + bytes(values[0]) + " at the first snapshot, " + bytes(values[LAST]) + " at the last, at most " + bytes(most) });
  svg.append(drawn("path", { class: "area", d: "M0 " + height + " L" + points.join(" L") + ` L${width} ${height} Z` }), drawn("path", { d: "M" + points.join(" L") }));
  return svg;
}

function showRows() {
  const parts = data.rows.filter((row) => row.key !== "total");
  const most = Math.max(1, ...parts.map((row) => row.now));
  const hasRates = data.rows.some((row) => row.rate_text);
  const heads = [["What"], ["Now", "n"], hasRates ? ["Per hour", "n"] : null, ["Share", "n share"], ["", "barcell"]].filter(Boolean);
  replace("rss-table", parts.length === 0 ? null : element("div", { class: "scroll" }, element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, heads.map(([name, cls]) => element("th", { scope: "col", class: cls }, name)))),
    element("tbody", {}, data.rows.map((row) => element("tr", { class: row.key === "total" ? "total" : undefined },
      element("td", {}, row.key === "total" ? null : swatch("var(--k-" + row.key + ")"), " ", row.name),
      element("td", { class: "n" }, row.now_text),
      hasRates ? element("td", { class: row.grows ? "n up" : "n dim" }, row.rate_text) : null,
      element("td", { class: "n dim share" }, row.share),
      element("td", { class: "barcell" }, row.key === "total" ? null : element("i", { class: "bar", style: { width: Math.max(row.now / most * 100, 0.3) + "%", background: "var(--k-" + row.key + ")" } }))))))),
  data.rows_notes.map((note) => element("p", { class: "note" }, note)));
}

function showLists(onRange) {
  const missing = data.missing.length ? data.missing : ["Nothing was lost."];
  replace("missing-list", missing.map((sentence) => element("li", {}, sentence)));
  replace("about-body", element("dl", { class: "pairs" }, data.about.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
  replace("facts", data.facts.map((fact) => element("span", {}, fact)));
  byId("threads").hidden = data.threads === null;
  if (data.threads) replace("threads-body", data.threads.sentences.map((sentence) => element("p", {}, sentence)), element("div", { id: "threads-chart", class: "chart" }));
  byId("snapshots").hidden = LAST < 1;
  const all = sites.map((_, index) => index), total = sumOver(all, 2), variance = sumOver(all, 3);
  const missable = Math.max(0, ...sites.map((site) => site.missable));
  const rows = instants.map((instant, at) => element("tr", {},
    element("td", { class: "n" }, String(instant.index)), element("td", {}, clock(instant.time, true, true)), element("td", { class: "n" }, duration(instant.at)),
    element("td", { class: "n" }, estimate(interval(total[at], variance[at], missable))), element("td", {}, instant.reason), element("td", { class: "code" }, instant.file),
    element("td", {}, element("button", { type: "button", class: "linkish", "aria-label": "begin the range at snapshot " + instant.index, on: { click: () => onRange(at, null) } }, "A"), " ", element("button", { type: "button", class: "linkish", "aria-label": "end the range at snapshot " + instant.index, on: { click: () => onRange(null, at) } }, "B"))));
  const heads = [["#", "n"], ["Time (UTC)"], ["After", "n"], ["Live, tracked", "n"], ["Why"], ["File"], ["Range"]];
  replace("snapshots-body", element("div", { class: "scroll tall" }, element("table", {}, element("thead", {}, element("tr", {}, heads.map(([name, cls]) => element("th", { scope: "col", class: cls }, name)))), element("tbody", {}, rows))));
}
