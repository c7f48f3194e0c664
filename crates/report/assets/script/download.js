// What the page shows, as files for other programs. They are made here: nothing is asked of anybody.
function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60e3);
}

// "leakscope-app-41-3-17": the title and the snapshots from which it was made.
function fileStem(state) {
  const title = data.title.replace(/[^A-Za-z0-9.-]+/g, "-").replace(/^[-.]+|-+$/g, "").slice(0, 60);
  return "leakscope-" + (title || "report") + (LAST > 0 ? "-" + instants[state.a].index + "-" + instants[state.b].index : "");
}

// A field of CSV; what a spreadsheet would take for a formula is text.
function csvField(value) {
  if (typeof value === "number") return String(Math.round(value));
  const text = /^[=+\-@\t\r]/.test(value) ? "'" + value : value;
  return '"' + text.replace(/"/g, '""') + '"';
}

// Each site over the chosen range, most live first; stacks leaf first.
function sitesCsv(state) {
  const heads = ["id", "kind", "own_frame", "live_bytes", "live_low", "live_high", "growth_bytes", "growth_low", "growth_high", "stack"];
  const order = sites.map((_, index) => index).sort((x, y) => state.sums[y].after - state.sums[x].after);
  const rows = order.map((index) => {
    const site = sites[index], sums = state.sums[index];
    const stack = framesOf(site).map((f) => functionOf(f) + (lineOf(f) > 0 ? " (" + fileOf(f) + ":" + lineOf(f) + ")" : "")).join(" < ");
    return [site.id, site.kind, pathOf(site).own, ...liveOf(sums), ...growthOf(sums), stack].map(csvField).join(",");
  });
  return [heads.join(","), ...rows].join("\n") + "\n";
}

// Folded stacks of the chosen view, root first, with the widths of the call tree.
function foldedStacks(state) {
  const name = (f) => functionOf(f).replace(/[;\n\r]/g, ":");
  const rows = sites.map((site, index) => [framesOf(site).reverse().map(name).join(";"), Math.round(widthOf(state.view, state.sums[index]))]);
  return rows.filter(([, width]) => width > 0).map(([stack, width]) => stack + " " + width + "\n").join("");
}
