// The call tree of the sites over the chosen range, as wide as the chosen view says.
//
//   live       bytes live at B
//   growth     the larger of the bytes at A and at B, so that what is gone can be seen, too; each frame bears its growth
//   old        bytes live at B that are at least so old
//   allocated  bytes allocated from A to B
const VIEWS = [
  ["live", "live", LAST > 0 ? "bytes that are live at B" : "bytes that are live"],
  ["growth", "growth", "change from A to B"],
  ["old", "old", "bytes that are live" + (LAST > 0 ? " at B" : "") + " and so old at least"],
  ["allocated", "allocated", "bytes allocated" + (LAST > 0 ? " from A to B" : " since the start") + ", freed ones included"],
];

function widthOf(view, s) {
  switch (view) {
    case "growth": return Math.max(s.before, s.after);
    case "old": return s.old;
    case "allocated": return s.allocated;
    default: return s.after;
  }
}

function makeTree(state) {
  const root = { frame: -1, parent: null, callees: new Map(), depth: 0, width: 0, sums: emptySums(), kinds: {}, site: -1, most: 0 };
  const tree = { root, nodes: [root], deepest: 0 };
  sites.forEach((site, index) => {
    const sums = state.sums[index], width = widthOf(state.view, sums);
    if (!(width > 0)) return;
    let frames = framesOf(site);
    if (state.hide) {
      const own = frames.filter((f) => !isPlumbing(f));
      // A site of the JDK alone keeps its leaf.
      frames = own.length ? own : frames.slice(0, 1);
    }
    if (!state.invert) frames = frames.slice().reverse();
    let node = root;
    for (let depth = 0; ; depth++) {
      node.width += width;
      addSums(node.sums, sums);
      node.kinds[site.kind] = (node.kinds[site.kind] || 0) + width;
      if (width > node.most) { node.most = width; node.site = index; }
      if (depth === frames.length) break;
      let callee = node.callees.get(frames[depth]);
      if (!callee) {
        callee = { frame: frames[depth], parent: node, callees: new Map(), depth: depth + 1, width: 0, sums: emptySums(), kinds: {}, site: -1, most: 0 };
        node.callees.set(frames[depth], callee);
        tree.nodes.push(callee);
        tree.deepest = Math.max(tree.deepest, depth + 1);
      }
      node = callee;
    }
  });
  for (const node of tree.nodes) node.order = [...node.callees.values()].sort((x, y) => y.width - x.width);
  return tree;
}

// Widest matches of a search, and how much of all they are: a match below another one counts once.
function search(tree, query) {
  const wanted = query.trim().toLowerCase();
  if (!wanted) return null;
  const found = new Set();
  let width = 0;
  (function visit(node, inside) {
    let counted = inside;
    if (node.frame >= 0) {
      const f = node.frame;
      const text = (functionOf(f) + " " + fileOf(f) + " " + libraryOf(f)).toLowerCase();
      if (text.includes(wanted)) {
        found.add(node);
        if (!inside) width += node.width;
        counted = true;
      }
    }
    for (const callee of node.order) visit(callee, counted);
  })(tree.root, false);
  return { found, part: tree.root.width > 0 ? width / tree.root.width : 0 };
}

// What sums amount to in a view, in words.
function amountOf(view, sums) {
  switch (view) {
    case "growth": return change(growthOf(sums));
    case "old": return estimate(interval(sums.old, sums.oldV, sums.w));
    case "allocated": return estimate(allocatedOf(sums));
    default: return estimate(liveOf(sums));
  }
}
