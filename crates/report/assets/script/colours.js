// Colours of both themes. Names of layers have theirs in page.css; those of the call tree are made here.
let dark = false;

function colourOf(key) { return getComputedStyle(document.documentElement).getPropertyValue(key).trim(); }

// Hue by name, the same in every report.
function hueOf(name) {
  let hash = 2166136261;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
  return (hash >>> 0) % 360;
}

function pastel(hue, saturation) {
  return dark ? `hsl(${hue} ${saturation * 0.7}% 31%)` : `hsl(${hue} ${saturation}% 80%)`;
}

const KINDS = { "malloc": ["malloc", 24], "mmap-anon": ["anonymous mapping", 168], "mmap-file": ["mapped file", 200], "thread": ["thread stack", 270] };
const FREED = {
  never: ["not freed so far", 12], gc: ["freed by the garbage collector", 282], both: ["freed by both", 48],
  app: ["freed by the application", 205],
};

// Who frees, by sampled frees: [app, gc].
function freedBy(app, gc) {
  if (app + gc === 0) return "never";
  if (gc >= 0.9 * (app + gc)) return "gc";
  return gc <= 0.1 * (app + gc) ? "app" : "both";
}

function greyTile() { return dark ? "#2d343e" : "#e3e7eb"; }

// Colour and legend of a node of the tree.
function tileColour(node, by) {
  if (node.frame < 0) return greyTile();
  const f = node.frame;
  switch (by) {
    case "growth": return growthColour(node);
    case "package": return frameKind(f) === CODE_NOTE ? greyTile() : pastel(hueOf(packageOf(f)), frameKind(f) === CODE_JAVA ? 58 : 34);
    case "code": return frameKind(f) === CODE_NOTE ? greyTile() : pastel(frameKind(f) === CODE_JAVA ? 135 : 40, 50);
    case "kind": {
      const kinds = Object.entries(node.kinds).sort((x, y) => y[1] - x[1]);
      return kinds.length ? pastel(KINDS[kinds[0][0]][1], 62) : greyTile();
    }
    case "freed": return pastel(FREED[freedBy(node.sums.app, node.sums.gc)][1], 58);
    default: return ageColour(node);
  }
}

// Red for growth and blue for shrinking, the fuller the more of the width it is; grey where it may be chance.
function growthColour(node) {
  const growth = node.growth || (node.growth = growthOf(node.sums));
  if (mayBeChance(growth) || node.width <= 0) return greyTile();
  const part = Math.min(1, Math.abs(growth[0]) / node.width);
  const hue = growth[0] > 0 ? 8 : 214;
  return dark ? `hsl(${hue} ${30 + 45 * part}% ${26 + 14 * part}%)` : `hsl(${hue} ${45 + 45 * part}% ${90 - 22 * part}%)`;
}

// The older, the darker.
function ageColour(node) {
  const ages = node.sums.ages, all = ages.reduce((x, y) => x + y, 0);
  if (all <= 0) return greyTile();
  let sum = 0, bucket = 0;
  for (; bucket < 3; bucket++) { sum += ages[bucket]; if (sum >= all / 2) break; }
  return ageTile(bucket);
}

function ageTile(bucket) {
  return dark ? `hsl(${48 - 11 * bucket} ${30 + 8 * bucket}% ${24 + 6 * bucket}%)` : `hsl(${48 - 11 * bucket} ${60 + 8 * bucket}% ${90 - 8 * bucket}%)`;
}

// What the colours mean: [colour, text].
function legendOf(by, tree) {
  switch (by) {
    case "growth": return [
      [dark ? "hsl(8 75% 40%)" : "hsl(8 90% 68%)", "+ grew"], [dark ? "hsl(214 75% 40%)" : "hsl(214 90% 68%)", "− shrank"],
      [greyTile(), "no change beyond chance"]];
    case "code": return [[pastel(135, 50), "Java"], [pastel(40, 50), "native code"], [greyTile(), "notes of leakscope"]];
    case "kind": return Object.values(KINDS).map(([text, hue]) => [pastel(hue, 62), text]);
    case "freed": return Object.values(FREED).map(([text, hue]) => [pastel(hue, 58), text]);
    case "age": return AGES.map(([, text], bucket) => [ageTile(bucket), text]);
    default: return largestPackages(tree).map(([name, isJava]) => [pastel(hueOf(name), isJava ? 58 : 34), name]);
  }
}

// Packages and libraries with the most bytes below frames of theirs.
function largestPackages(tree) {
  const sizes = new Map();
  for (const node of tree.nodes) {
    const f = node.frame;
    if (f < 0 || frameKind(f) === CODE_NOTE) continue;
    const caller = node.parent && node.parent.frame >= 0 ? packageOf(node.parent.frame) : "";
    const name = packageOf(f);
    if (caller === name) continue;
    const known = sizes.get(name) || [name, frameKind(f) === CODE_JAVA, 0];
    known[2] += node.width;
    sizes.set(name, known);
  }
  return [...sizes.values()].sort((x, y) => y[2] - x[2]).slice(0, 8);
}
