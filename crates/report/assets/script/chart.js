// Memory over time, drawn by uPlot: layers or lines, ticks on top, the range that is chosen. Lines may have a
// logarithmic scale, or start from what was there at A.
// Room above the chart: names of marks, and below them the collections.
const TOP = 36;

function makeChart(host, onRange) {
  const time = data.timeline;
  const offset = LAST >= 0 ? instants[LAST].time - instants[LAST].at : 0;
  const seconds = (at) => (at + offset) / 1000;
  const bands = time.parts.slice().reverse();
  const span = time.at.length ? time.at[time.at.length - 1] - time.at[0] : 0;
  const withSeconds = span < 20 * 60e3, withDay = span > 86400e3;
  let plot = null, range = null;
  let look = { isStacked: true, isLog: false, isDelta: false };

  // Layers add up from the bottom; where memory was not divided there is nothing.
  function columns() {
    const sums = new Map();
    const below = time.at.map(() => 0);
    for (const part of time.parts) {
      sums.set(part.key, part.bytes.map((value, i) => {
        if (value === null) return null;
        below[i] += value;
        return look.isStacked ? below[i] : value;
      }));
    }
    for (const [key, column] of sums) sums.set(key, seen(column));
    const rss = seen(time.rss);
    const ahead = time.forecast.length ? [time.forecast[0][1][0]] : [];
    const pad = (column) => column.concat(ahead.map(() => null));
    const all = [time.at.concat(ahead).map(seconds), pad(rss)];
    for (const part of bands) all.push(pad(sums.get(part.key)));
    all.push(pad(rss));
    return all;
  }

  // A column as it is drawn: what it is, what it is more than at A, or what a logarithm has.
  function seen(column) {
    if (look.isLog) return column.map((value) => value > 0 ? value : null);
    if (!look.isDelta) return column;
    const base = atA(column);
    return column.map((value) => value === null ? null : value - base);
  }

  // What was known of a column at A: the last value until then, else the first one.
  function atA(column) {
    const start = range ? instants[range.a].at : -Infinity;
    let known = null;
    for (let i = 0; i < column.length; i++) {
      if (known !== null && time.at[i] > start) break;
      if (column[i] !== null) known = column[i];
    }
    return known === null ? 0 : known;
  }

  // The ends of the scale of lines that are no layers.
  function ends() {
    let low = Infinity, high = -Infinity;
    // What was there before A would make what came since flat.
    const start = look.isDelta && range ? time.at.findIndex((at) => at >= instants[range.a].at) : 0;
    for (const column of [time.rss, ...time.parts.map((part) => part.bytes)]) {
      for (const value of seen(column).slice(start)) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    }
    if (low > high) return look.isLog ? [1, 2] : [0, 1];
    if (look.isLog) return [Math.max(low * 0.8, high / 2 ** 14), high * 1.3];
    const room = (high - low || 1) * 0.06;
    return [low - room, high + room];
  }

  // From the first to the last of whatever is drawn.
  function reach() {
    const ends = [time.at[0], time.at[time.at.length - 1], instants[0].at, instants[LAST].at];
    if (time.forecast.length) ends.push(time.forecast[0][1][0]);
    const known = ends.filter((at) => at !== undefined), from = Math.min(...known), to = Math.max(...known);
    return [seconds(from), seconds(to > from ? to : from + 1000)];
  }

  function largest() {
    let most = 0;
    const add = (value) => { if (value !== null && value > most) most = value; };
    time.rss.forEach(add);
    const sum = time.at.map((_, i) => time.parts.reduce((all, part) => all + (part.bytes[i] || 0), 0));
    if (look.isStacked) sum.forEach(add); else time.parts.forEach((part) => part.bytes.forEach(add));
    time.forecast.forEach((line) => add(Math.min(line[1][1], time.limit || Infinity)));
    if (time.limit && time.limit < 2.2 * most) most = time.limit;
    return most * 1.06 || 1;
  }

  function options(width) {
    const soft = colourOf("--soft"), line = colourOf("--line"), ink = colourOf("--ink"), card = colourOf("--card");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    return {
      width, height: width < 600 ? 240 : 310, padding: [TOP, 30, 0, 0], legend: { show: false },
      scales: { x: { time: true, range: () => reach() }, y: look.isLog ? { distr: 3, log: 2, range: ends } : { range: () => look.isDelta ? ends() : [0, largest()] } },
      axes: [
        { ...axis, size: 34, space: withDay ? 96 : 72, values: (u, splits) => splits.map((s) => clock(s * 1000, withDay, withSeconds)) },
        { ...axis, size: 76, values: (u, splits) => splits.map((v) => v === null ? null : v === 0 ? "0" : look.isDelta ? signed(v) : bytes(v)), incrs: binarySteps(), ...(look.isLog ? { splits: powers, filter: (u, splits) => splits } : {}) },
      ],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      // What is resident lies behind the layers, which may end before it does.
      series: [{}, { fill: look.isStacked ? colourOf("--shade") : undefined, spanGaps: true, points: { show: false } }].concat(
        bands.map((part) => look.isStacked
          ? { stroke: card, width: 1, fill: colourOf("--k-" + part.key), spanGaps: true, points: { show: false } }
          : { stroke: colourOf("--k-" + part.key), width: 2, spanGaps: true, points: { show: false } }),
        [{ stroke: ink, width: 1.75, spanGaps: true, points: { show: time.at.length < 3 } }],
      ),
      hooks: {
        draw: [drawTicks],
        setSelect: [(u) => {
          const { left, width: dragged } = u.select;
          if (dragged === 0) return;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (dragged < 4) return;
          const a = nearest(u.posToVal(left, "x") * 1000 - offset), b = nearest(u.posToVal(left + dragged, "x") * 1000 - offset);
          if (a !== b) onRange(a, b);
        }],
        setCursor: [(u) => showLegend(u.cursor.idx)],
      },
    };
  }

  function drawTicks(u) {
    const g = u.ctx, ratio = devicePixelRatio || 1, { left, top, width, height } = u.bbox;
    const soft = colourOf("--soft"), bad = colourOf("--bad"), ink = colourOf("--ink"), accent = colourOf("--accent");
    const x = (at) => u.valToPos(seconds(at), "x", true), y = (value) => u.valToPos(value, "y", true);
    g.save();
    g.lineWidth = ratio;
    g.font = 11 * ratio + "px system-ui, sans-serif";
    if (range && LAST > 0) {
      // What is not chosen fades.
      const a = x(instants[range.a].at), b = x(instants[range.b].at);
      g.globalAlpha = 0.6; g.fillStyle = colourOf("--card");
      g.fillRect(left, top, Math.max(a - left, 0), height);
      g.fillRect(b, top, Math.max(left + width - b, 0), height);
      g.globalAlpha = 1; g.strokeStyle = accent; g.lineWidth = 1.5 * ratio;
      stroke(g, a, top, a, top + height);
      stroke(g, b, top, b, top + height);
    }
    if (time.limit && !look.isDelta && y(time.limit) >= top - 1) {
      g.strokeStyle = bad; g.setLineDash([6 * ratio, 4 * ratio]); g.lineWidth = 1.5 * ratio;
      stroke(g, left, y(time.limit), left + width, y(time.limit));
      g.setLineDash([]);
      const text = "limit " + bytes(time.limit);
      g.fillStyle = bad; g.textAlign = "left"; g.textBaseline = "top";
      g.fillText(text, left + 6 * ratio, y(time.limit) + 4 * ratio);
    }
    if (time.forecast.length && !look.isDelta) {
      const [middle, low, high] = time.forecast;
      g.beginPath(); g.rect(left, top, width, height); g.clip();
      g.globalAlpha = 0.13; g.fillStyle = bad;
      g.beginPath(); g.moveTo(x(low[0][0]), y(low[0][1])); g.lineTo(x(low[1][0]), y(low[1][1])); g.lineTo(x(high[1][0]), y(high[1][1])); g.fill();
      g.globalAlpha = 1; g.strokeStyle = bad; g.setLineDash([2 * ratio, 4 * ratio]); g.lineWidth = 2 * ratio;
      stroke(g, x(middle[0][0]), y(middle[0][1]), x(middle[1][0]), y(middle[1][1]));
      g.setLineDash([]);
      g.restore(); g.save();
    }
    const gutter = top - 5 * ratio;
    // Many of them stand for a texture.
    g.globalAlpha = time.young_gcs.length * 5 * ratio > width ? 0.3 : 0.75;
    g.strokeStyle = soft;
    for (const at of time.young_gcs) stroke(g, x(at), gutter - 7 * ratio, x(at), gutter);
    g.globalAlpha = 1;
    for (const at of time.full_gcs) triangle(g, x(at), gutter, 6 * ratio, ink);
    g.textAlign = "center"; g.textBaseline = "bottom"; g.font = 11 * ratio + "px system-ui, sans-serif";
    let free = -Infinity;
    for (const [at, text] of time.marks) {
      g.strokeStyle = accent; g.lineWidth = ratio; g.setLineDash([3 * ratio, 3 * ratio]);
      stroke(g, x(at), top, x(at), top + height); g.setLineDash([]);
      g.fillStyle = accent;
      const shown = text.length > 18 ? text.slice(0, 17) + "…" : text, w = g.measureText(shown).width;
      const middle = Math.min(Math.max(x(at), left + w / 2), left + width - w / 2);
      if (middle - w / 2 > free) { g.fillText(shown, middle, top - 18 * ratio); free = middle + w / 2 + 8 * ratio; }
    }
    if (LAST > 0) {
      for (const instant of instants) diamond(g, x(instant.at), top + height, 3 * ratio, soft);
      if (range) {
        tag(g, "A", x(instants[range.a].at), top + height, ratio, accent);
        tag(g, "B", x(instants[range.b].at), top + height, ratio, accent);
      }
    }
    g.restore();
  }

  function showLegend(index) {
    const last = time.at.length - 1;
    let at = index === null || index === undefined || index > last ? last : index;
    // Where memory was not divided, the measurement before.
    let part = at;
    while (part > 0 && time.parts.length && time.parts[0].bytes[part] === null) part--;
    const entries = time.parts.map((layer) => element("span", {}, swatch("var(--k-" + layer.key + ")"), layer.name, element("b", {}, layer.bytes[part] === null || part < 0 ? "–" : shown(layer.bytes, part))));
    const rss = time.rss[at];
    if (rss !== null && rss !== undefined) entries.unshift(element("span", {}, swatch("var(--ink)", true), "resident", element("b", {}, shown(time.rss, at))));
    if (at >= 0) entries.unshift(element("span", {}, element("b", {}, clock(time.at[at] + offset, withDay, true))));
    replace("legend", entries);
  }

  function shown(column, at) {
    return look.isDelta ? signed(column[at] - atA(column)) : bytes(column[at]);
  }

  function make() {
    if (plot) plot.destroy();
    plot = new uPlot(options(Math.max(host.clientWidth, 200)), columns(), host);
    showLegend(null);
  }

  addEventListener("resize", () => { if (plot && host.clientWidth > 0) make(); });
  return {
    make,
    // Changes how it is drawn; answers how it is now.
    setLook(wanted) { look = { ...look, ...wanted }; make(); return look; },
    setRange(a, b) {
      range = { a, b };
      if (look.isDelta) make(); else plot.redraw(false);
    },
    span: { withDay, withSeconds, offset },
  };
}

// The snapshot that is closest to a time.
function nearest(at) {
  let best = 0;
  instants.forEach((instant, i) => { if (Math.abs(instant.at - at) < Math.abs(instants[best].at - at)) best = i; });
  return best;
}

// The ticks of a logarithmic axis: powers of two, as many as there is room for.
function powers(u, axis, low, high) {
  const from = Math.ceil(Math.log2(low)), to = Math.floor(Math.log2(high));
  const most = Math.max(2, Math.floor(u.bbox.height / (devicePixelRatio || 1) / 34)), step = Math.max(1, Math.ceil((to - from + 1) / most));
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, at) => 2 ** (from + at * step));
}

// Steps of an axis of bytes: powers of two.
function binarySteps() { return Array.from({ length: 52 }, (_, i) => 2 ** i); }

function stroke(g, x0, y0, x1, y1) { g.beginPath(); g.moveTo(x0, y0); g.lineTo(x1, y1); g.stroke(); }

function triangle(g, x, y, r, colour) {
  g.fillStyle = colour;
  g.beginPath(); g.moveTo(x - r, y - r * 1.5); g.lineTo(x + r, y - r * 1.5); g.lineTo(x, y); g.fill();
}

function diamond(g, x, y, r, colour) {
  g.fillStyle = colour;
  g.beginPath(); g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.fill();
}

// A letter on a line.
function tag(g, letter, x, bottom, ratio, colour) {
  const size = 16 * ratio;
  g.fillStyle = colour;
  g.fillRect(x - size / 2, bottom - size, size, size);
  g.fillStyle = colourOf("--card"); g.font = "700 " + 11 * ratio + "px system-ui, sans-serif";
  g.textAlign = "center"; g.textBaseline = "middle";
  g.fillText(letter, x, bottom - size / 2 + 0.5 * ratio);
}

// What the signs of the chart mean.
function showKeys() {
  const time = data.timeline, keys = [];
  const [full, young] = time.gc_counts;
  if (full) keys.push("▼ " + thousands(full) + (full === 1 ? " full collection" : " full collections"));
  if (young) keys.push("❘ " + thousands(young) + (young === 1 ? " other collection" : " other collections"));
  if (LAST > 0) keys.push("◆ snapshots");
  if (time.limit) keys.push("– – limit " + bytes(time.limit));
  if (time.forecast.length) keys.push("· · · forecast with its 95 % interval");
  if (time.end) keys.push("ended after " + duration(time.end[0]) + ": " + time.end[1]);
  if (time.source) keys.push(time.source);
  const divided = time.parts.length ? time.parts[0].bytes.reduce((last, value, i) => value === null ? last : time.at[i], 0) : 0;
  if (divided > 0 && time.at[time.at.length - 1] - divided > 0.05 * divided) keys.push("Grey: not divided any more after " + duration(divided) + ".");
  if (time.thinned) keys.push(thousands(time.thinned) + " measurements are not drawn (peaks are).");
  replace("chart-keys", keys.map((key) => element("span", {}, key)));
}

// The chart for those who do not see it.
function chartTable() {
  const time = data.timeline, step = Math.max(1, Math.ceil(time.at.length / 60));
  const offset = instants[LAST].time - instants[LAST].at;
  const rows = [];
  for (let i = 0; i < time.at.length; i += step) {
    rows.push(element("tr", {}, element("td", {}, clock(time.at[i] + offset, true, true)), element("td", { class: "n" }, time.rss[i] === null ? "" : bytes(time.rss[i])),
      time.parts.map((part) => element("td", { class: "n" }, part.bytes[i] === null ? "" : bytes(part.bytes[i]))),
      time.threads.length ? element("td", { class: "n" }, time.threads[i] === null ? "" : thousands(time.threads[i])) : null));
  }
  const heads = ["Time (UTC)", "Resident", ...time.parts.map((part) => part.name)];
  if (time.threads.length) heads.push("Threads");
  return element("div", { class: "scroll tall" }, element("table", {}, element("thead", {}, element("tr", {}, heads.map((name, at) => element("th", { scope: "col", class: at ? "n" : undefined }, name)))), element("tbody", {}, rows)));
}

// The number of threads over time.
function threadsChart(host, span) {
  const time = data.timeline;
  const known = time.threads.filter((value) => value !== null);
  if (known.length < 2 || !host) return null;
  const make = () => {
    host.replaceChildren();
    const soft = colourOf("--soft"), line = colourOf("--line"), ink = colourOf("--k-stacks");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    new uPlot({
      width: Math.max(host.clientWidth, 200), height: 150, legend: { show: false }, cursor: { show: false }, padding: [8, 30, 0, 0],
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, Math.max(4, high * 1.15)] } },
      axes: [{ ...axis, size: 34, space: span.withDay ? 96 : 72, values: (u, splits) => splits.map((s) => clock(s * 1000, span.withDay, span.withSeconds)) }, { ...axis, size: 76, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000], values: (u, splits) => splits.map(thousands) }],
      series: [{}, { stroke: ink, width: 2, fill: ink + "22", spanGaps: true, points: { show: false } }],
    }, [time.at.map((at) => (at + span.offset) / 1000), time.threads], host);
  };
  addEventListener("resize", make);
  return make;
}
