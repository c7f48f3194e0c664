// The call tree drawn on a canvas, callers on top; by mouse and by keyboard.
const ROW = 21;

function makeFlame(host, onChoose) {
  const canvas = element("canvas", { tabindex: 0, role: "application",
    "aria-label": "Call tree. Arrow keys move, Enter widens a frame, Escape shows all. The same as a table follows." });
  const spoken = element("p", { class: "skip", "aria-live": "polite" });
  const empty = element("p", { class: "empty", hidden: true });
  host.replaceChildren(canvas, spoken, empty);
  const flame = { tree: null, state: null, focus: null, chosen: null, found: null, boxes: [] };

  // Which nodes are on screen, with their place: [node, x, width] by row.
  function layout(width) {
    flame.boxes = [];
    const focus = flame.focus || flame.tree.root;
    const path = [];
    for (let node = focus; node; node = node.parent) path.unshift(node);
    path.forEach((node) => flame.boxes.push([node, 0, width]));
    const scale = focus.width > 0 ? width / focus.width : 0;
    const pending = [[focus, 0]];
    while (pending.length) {
      const [node, left] = pending.pop();
      let x = left;
      for (const callee of node.order) {
        const w = callee.width * scale;
        if (w >= 0.6) { flame.boxes.push([callee, x, w]); pending.push([callee, x]); }
        x += w;
      }
    }
  }

  function draw() {
    if (!flame.tree) return;
    const width = Math.max(host.clientWidth - 2, 120), ratio = devicePixelRatio || 1;
    const isEmpty = flame.tree.root.width <= 0;
    canvas.hidden = isEmpty;
    empty.hidden = !isEmpty;
    if (isEmpty) return;
    layout(width);
    const rows = flame.boxes.reduce((most, box) => Math.max(most, box[0].depth), 0) + 1;
    canvas.width = width * ratio;
    canvas.height = rows * ROW * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = rows * ROW + "px";
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.clearRect(0, 0, width, rows * ROW);
    g.font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
    g.textBaseline = "middle";
    const ink = colourOf("--ink"), card = colourOf("--card"), mark = colourOf("--mark"), focus = colourOf("--accent");
    for (const [node, x, w] of flame.boxes) {
      const y = node.depth * ROW, inner = Math.max(w - 1, 0.5);
      const isAbove = flame.focus && flame.focus !== node && node.depth < flame.focus.depth;
      const isFaded = flame.found && !flame.found.found.has(node);
      g.globalAlpha = isFaded ? 0.3 : isAbove ? 0.6 : 1;
      g.fillStyle = tileColour(node, flame.state.colour);
      g.fillRect(x, y, inner, ROW - 1);
      if (flame.found && !isFaded) {
        g.fillStyle = mark;
        g.fillRect(x, y + ROW - 4, inner, 3);
      }
      if (w > 26) label(g, node, x, y, w, ink);
      g.globalAlpha = 1;
      if (node === flame.chosen) {
        g.strokeStyle = card; g.lineWidth = 4; g.strokeRect(x + 1.5, y + 1.5, Math.max(inner - 3, 1), ROW - 4);
        g.strokeStyle = focus; g.lineWidth = 2; g.strokeRect(x + 1, y + 1, Math.max(inner - 2, 1), ROW - 3);
      }
    }
  }

  function label(g, node, x, y, w, ink) {
    let text = nodeName(node);
    if (flame.state.colour === "growth" && node.frame >= 0) {
      const growth = node.growth || (node.growth = growthOf(node.sums));
      if (!mayBeChance(growth)) text = (growth[0] > 0 ? "+ " : "− ") + text;
    }
    g.save();
    g.beginPath(); g.rect(x, y, w - 2, ROW); g.clip();
    g.fillStyle = ink;
    const room = w - 10;
    if (g.measureText(text).width > room && node.frame >= 0) {
      // The method says more than the package.
      const short = shortName(node.frame, false);
      if (short.length < text.length) text = text.startsWith("+ ") || text.startsWith("− ") ? text.slice(0, 2) + short : short;
      while (text.length > 2 && g.measureText(text + "…").width > room) text = text.slice(0, Math.max(1, Math.floor(text.length * 0.85) - 1));
      if (text !== short && !text.endsWith(short)) text += "…";
    }
    g.fillText(text, x + 5, y + ROW / 2);
    g.restore();
  }

  function nodeName(node) { return node.frame < 0 ? "all" : functionOf(node.frame); }

  function at(event) {
    const place = canvas.getBoundingClientRect();
    const x = event.clientX - place.left, row = Math.floor((event.clientY - place.top) / ROW);
    return (flame.boxes.find(([node, left, w]) => node.depth === row && x >= left && x < left + w) || [null])[0];
  }

  function describe(node) {
    const part = flame.tree.root.width > 0 ? percent(node.width / flame.tree.root.width) + " of the width" : "";
    return [amountOf(flame.state.view, node.sums), part].join(", ");
  }

  function choose(node, isQuiet) {
    flame.chosen = node;
    draw();
    spoken.textContent = nodeName(node) + ": " + describe(node);
    if (!isQuiet) onChoose(node);
  }

  canvas.addEventListener("mousemove", (event) => {
    const node = at(event);
    if (!node) return hideTip();
    const f = node.frame;
    const where = f < 0 ? "" : [fileOf(f) && fileOf(f) + (lineOf(f) ? ":" + lineOf(f) : ""), libraryOf(f)].filter(Boolean).join(" · ");
    showTip(event.clientX, event.clientY, element("b", {}, nodeName(node)), where ? element("div", {}, where) : [], element("div", {}, describe(node)));
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => { const node = at(event); if (node) { zoom(node); choose(node); } });
  canvas.addEventListener("keydown", (event) => {
    const node = flame.chosen || flame.focus || flame.tree.root;
    const beside = node.parent ? node.parent.order : [node];
    const moves = {
      ArrowUp: () => node.parent, ArrowDown: () => node.order[0],
      ArrowLeft: () => beside[beside.indexOf(node) - 1], ArrowRight: () => beside[beside.indexOf(node) + 1],
      Home: () => flame.tree.root,
    };
    if (event.key in moves) { const next = moves[event.key](); if (next) { makeVisible(next); choose(next); } }
    else if (event.key === "Enter") { zoom(node); choose(node); }
    else if (event.key === "Escape") { zoom(null); }
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", () => { if (!flame.chosen && flame.tree) choose(flame.tree.root, true); });

  // Goes up until the node is wide enough to be seen.
  function makeVisible(node) {
    const focus = flame.focus;
    if (!focus || node === focus) return;
    for (let above = node; above; above = above.parent) if (above === focus) return;
    zoom(node.parent);
  }

  function zoom(node) {
    flame.focus = node && node.parent ? node : null;
    draw();
  }

  addEventListener("resize", draw);
  return {
    show(tree, state, emptyText) {
      // The same frames in the new tree.
      const path = pathTo(flame.chosen), focus = pathTo(flame.focus);
      flame.tree = tree; flame.state = state;
      flame.chosen = follow(tree, path); flame.focus = follow(tree, focus);
      flame.found = search(tree, state.query);
      empty.textContent = emptyText;
      draw();
      return flame.found;
    },
    // Chooses the leaf of a site.
    reveal(site, invert, hide) {
      let frames = framesOf(sites[site]);
      if (hide) { const own = frames.filter((f) => !isPlumbing(f)); frames = own.length ? own : frames.slice(0, 1); }
      if (!invert) frames = frames.slice().reverse();
      const node = follow(flame.tree, frames);
      flame.focus = null;
      if (node) choose(node, true); else { flame.chosen = null; draw(); }
    },
    zoom, draw,
  };
}

function pathTo(node) {
  if (!node || !node.parent) return null;
  const path = [];
  for (; node.parent; node = node.parent) path.unshift(node.frame);
  return path;
}

function follow(tree, path) {
  if (!path) return null;
  let node = tree.root;
  for (const frame of path) { node = node.callees.get(frame); if (!node) return null; }
  return node;
}
