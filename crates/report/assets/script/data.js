// The data of the page, and what is summed up of it over a range of snapshots.
const data = JSON.parse(document.getElementById("data").textContent);
const program = data.program;
const sites = program.sites;
const instants = data.instants;
const LAST = instants.length - 1;
const CODE_JAVA = 0, CODE_NOTE = 2;

// Frames: kind, function, file, line, library, package, bits.
function frameKind(f) { return program.frames[f][0]; }
function functionOf(f) { return program.names[program.frames[f][1]]; }
function fileOf(f) { return program.names[program.frames[f][2]]; }
function lineOf(f) { return program.frames[f][3]; }
function libraryOf(f) { return program.names[program.frames[f][4]]; }
function packageOf(f) { return program.names[program.frames[f][5]]; }
function isPlumbing(f) { return (program.frames[f][6] & 1) !== 0; }
function isInlined(f) { return (program.frames[f][6] & 2) !== 0; }

// Frames of a site, leaf first.
function framesOf(site) {
  const frames = [];
  for (let node = site.node; node !== 0; node = program.callers[node]) frames.push(program.frame_of[node]);
  return frames;
}

// "ExceptionLogger.compress:88"
function shortName(f, withLine) {
  let name = functionOf(f);
  if (frameKind(f) === CODE_JAVA) name = name.split(".").slice(-2).join(".");
  else if (name.length > 70) name = name.replace(/\(.*$/, "");
  return withLine && lineOf(f) > 0 ? name + ":" + lineOf(f) : name;
}

// The reader's own frame, and the way from there to the allocation.
function pathOf(site) {
  const frames = framesOf(site), own = Math.min(site.own, frames.length - 1);
  const java = frames.findIndex((f) => frameKind(f) === CODE_JAVA);
  const steps = [];
  if (java >= 0 && java < own) steps.push(shortName(frames[java], false));
  if (own > 0 && java !== 0) steps.push(shortName(frames[0], false));
  return { own: shortName(frames[own], true), way: steps.join(" → ") };
}

// series.rs says how the history is written.
(function unpack() {
  const text = atob(program.series);
  let at = 0;
  function number() {
    let value = 0, factor = 1, byte;
    do { byte = text.charCodeAt(at++); value += (byte & 127) * factor; factor *= 128; } while (byte & 128);
    return value;
  }
  for (const site of sites) {
    const [unit, unitOfAllocated] = site.exponents.map((exponent) => 2 ** exponent);
    const cells = [];
    let born = 0;
    for (let births = number(); births > 0; births--) {
      born += number();
      let when = 0;
      for (let changes = number(); changes > 0; changes--) {
        when += number();
        const t = number() * unit, d = number() * unit;
        cells.push([born, when, t, d * d]);
      }
    }
    site.cells = cells;
    site.allocated = [];
    let when = 0, amount = 0, variance = 0;
    for (let steps = number(); steps > 0; steps--) {
      when += number();
      amount += number() * unitOfAllocated;
      variance += (number() * unitOfAllocated) ** 2;
      site.allocated.push([when, amount, variance]);
    }
  }
  program.series = "";
})();

// Calls `use(born, T, V)` for each birth with what is live of it at a snapshot.
function eachBirth(site, at, use) {
  const cells = site.cells;
  for (let i = 0; i < cells.length;) {
    const born = cells[i][0];
    let found = -1;
    for (; i < cells.length && cells[i][0] === born; i++) if (cells[i][1] <= at) found = i;
    if (found >= 0 && cells[found][2] > 0) use(born, cells[found][2], cells[found][3]);
  }
}

// What was allocated until a snapshot: T, V.
function allocatedAt(site, at) {
  let last = [0, 0, 0];
  for (const step of site.allocated) { if (step[0] > at) break; last = step; }
  return [last[1], last[2]];
}

// What is live at every snapshot: column 2 of its cells is T, 3 is V.
function liveOverTime(site, column) {
  const steps = new Float64Array(instants.length);
  let before = 0, born = -1;
  for (const cell of site.cells) {
    if (cell[0] !== born) { before = 0; born = cell[0]; }
    steps[cell[1]] += cell[column] - before;
    before = cell[column];
  }
  for (let i = 1; i < steps.length; i++) steps[i] += steps[i - 1];
  return steps;
}

// Ages that are told apart: at least so many milliseconds.
const AGES = [[0, "younger than 1 m"], [60e3, "1 m to 10 m"], [600e3, "10 m to 1 h"], [3600e3, "older than 1 h"]];

function emptySums() {
  return { before: 0, beforeV: 0, after: 0, afterV: 0, newT: 0, newV: 0, goneT: 0, goneV: 0, old: 0, oldV: 0,
    allocated: 0, allocatedV: 0, app: 0, gc: 0, w: 0, ages: [0, 0, 0, 0] };
}

function addSums(to, from) {
  for (const key of ["before", "beforeV", "after", "afterV", "newT", "newV", "goneT", "goneV", "old", "oldV", "allocated", "allocatedV", "app", "gc"]) to[key] += from[key];
  if (from.w > to.w) to.w = from.w;
  for (let i = 0; i < 4; i++) to.ages[i] += from.ages[i];
}

// Everything about a site from snapshot a to snapshot b; `age`: what counts as old.
function sumsOf(site, a, b, age) {
  const s = emptySums();
  s.w = site.missable;
  let stayed = 0, stayedV = 0;
  if (a < b) eachBirth(site, a, (born, t, v) => { s.before += t; s.beforeV += v; });
  eachBirth(site, b, (born, t, v) => {
    s.after += t; s.afterV += v;
    if (born <= a) { stayed += t; stayedV += v; }
    // Born at the latest when its snapshot was taken.
    const least = instants[b].at - instants[born].at;
    let bucket = 3;
    while (least < AGES[bucket][0]) bucket--;
    s.ages[bucket] += t;
    if (least >= age) { s.old += t; s.oldV += v; }
  });
  if (a < b) {
    s.newT = s.after - stayed; s.newV = Math.max(s.afterV - stayedV, 0);
    // Amounts are whole numbers of a power of two, so what stayed cancels without a rest.
    s.goneT = Math.max(s.before - stayed, 0); s.goneV = s.goneT > 0 ? Math.max(s.beforeV - stayedV, 0) : 0;
  }
  const [until, untilV] = allocatedAt(site, b), [from, fromV] = a < b ? allocatedAt(site, a) : [0, 0];
  s.allocated = until - from;
  s.allocatedV = untilV - fromV;
  s.app = site.freed[0];
  s.gc = site.freed[1];
  return s;
}

function growthOf(s) { return difference(s.newT, s.newV, s.goneT, s.goneV, s.w); }
function allocatedOf(s) { return interval(s.allocated, s.allocatedV, s.allocatedV > 0 ? s.w : 0); }
function liveOf(s) { return interval(s.after, s.afterV, s.w); }
