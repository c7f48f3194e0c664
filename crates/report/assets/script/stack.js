// The stack of the chosen site.
function showStack(index, state, chosenFrame, through) {
  if (index < 0) return replace("stack-body", element("p", { class: "note" }, "Choose a line of the table or a frame of the call tree."));
  const site = sites[index], sums = state.sums[index];
  const frames = framesOf(site), own = Math.min(site.own, frames.length - 1);
  const facts = [[LAST > 0 ? "Live at B" : "Live", estimate(liveOf(sums))]];
  if (state.a < state.b) {
    const growth = growthOf(sums);
    facts.push(["A to B", change(growth) + (mayBeChance(growth) ? ", may be chance" : "")]);
  }
  facts.push([state.a < state.b ? "Allocated A to B" : "Allocated", estimate(allocatedOf(sums))]);
  if (site.objects && site.objects[2] <= 10 * site.objects[1]) facts.push([site.kind === "thread" ? "Threads" : LAST > 0 ? "Blocks at the end" : "Blocks", thousands(site.objects[0])]);
  if (site.oldest !== null) facts.push([LAST > 0 ? "Oldest at the end" : "Oldest", duration(site.oldest)]);
  const freed = site.freed[0] + site.freed[1];
  if (site.kind === "thread") facts.push(["Ended", thousands(freed)]);
  else facts.push(["Freed by", freed === 0 ? "nobody: none of its sampled blocks was freed" : freedText(site.freed)]);
  facts.push(["Kind", KINDS[site.kind][0]]);
  if (site.id) facts.push(["Site", site.id]);
  const list = element("ol", { class: "frames code" }, frames.map((f, at) => element("li", {
    class: [at === own ? "own" : isPlumbing(f) ? "plumbing" : "", f === chosenFrame ? "chosen" : ""].join(" ").trim() || undefined,
  }, functionOf(f), at === own && frames.length > 1 ? element("span", { class: "tag" }, "your code") : null, element("small", {}, whereabouts(f)))));
  const note = through > 1 ? element("p", { class: "note" }, thousands(through) + " sites pass through the chosen frame; this is the largest.") : null;
  replace("stack-body", note, element("dl", { class: "pairs" }, facts.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])), list, actions(site, frames, own));
}

function whereabouts(f) {
  const file = fileOf(f) && fileOf(f) + (lineOf(f) > 0 ? ":" + lineOf(f) : "");
  return [file, libraryOf(f), isInlined(f) ? "inlined" : ""].filter(Boolean).join("  ·  ");
}

function freedText([app, gc]) {
  const all = app + gc, seen = thousands(all) + (all === 1 ? " sampled free" : " sampled frees");
  if (gc === 0) return "the application (" + seen + ")";
  return app === 0 ? "the garbage collector (" + seen + ")" : "the garbage collector " + percent(gc / all) + " of " + seen;
}

function actions(site, frames, own) {
  const said = element("code", { class: "command", hidden: true });
  const text = frames.map((f) => functionOf(f) + (whereabouts(f) ? "  (" + whereabouts(f) + ")" : "")).join("\n");
  const copy = (what) => {
    said.textContent = what;
    said.hidden = false;
    if (navigator.clipboard) navigator.clipboard.writeText(what).catch(() => {});
    const range = document.createRange();
    range.selectNodeContents(said);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  const last = instants[LAST].file;
  const buttons = [["copy the stack", text], ["suppression line", "leak:" + functionOf(frames[own])]];
  if (last) buttons.push(["pprof command", "go tool pprof -http=: -focus '" + pattern(functionOf(frames[own])) + "' " + last]);
  return [element("div", { class: "actions" }, buttons.map(([name, what]) => element("button", { type: "button", class: "quiet", on: { click: () => copy(what) } }, name))), said];
}

// A regular expression for a name, safe between single quotes of a shell: what has a meaning there is any character.
function pattern(name) { return name.replace(/[^A-Za-z0-9_:/]/g, "."); }
