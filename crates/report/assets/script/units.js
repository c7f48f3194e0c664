// Numbers as people read them; the same rules as units.rs.
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function unitOf(value) {
  let magnitude = Math.abs(value), unit = 0;
  while (magnitude >= 999.5 && unit + 1 < UNITS.length) { magnitude /= 1024; unit++; }
  return unit;
}

function decimals(value, unit) {
  const magnitude = Math.abs(value) / 1024 ** unit;
  return unit === 0 ? 0 : magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0;
}

function inUnit(value, unit, digits) {
  const shown = (value / 1024 ** unit).toFixed(digits);
  return /^-[0.]+$/.test(shown) ? shown.slice(1) : shown;
}

// "1.24 GiB"
function bytes(value) {
  const unit = unitOf(value);
  return inUnit(value, unit, decimals(value, unit)) + " " + UNITS[unit];
}

// "+1.24 GiB"
function signed(value) {
  return (Math.round(value) > 0 ? "+" : "") + bytes(value);
}

// The error of [estimate, low, high]: "±0.03", "(1.00 MiB to 5.60 MiB)".
function errorOf(e, show) {
  const below = e[0] - e[1], above = e[2] - e[0];
  if (Math.max(below, above) > 1.25 * Math.min(below, above)) {
    const unit = unitOf(e[0]), isOne = unitOf(e[1]) === unit && unitOf(e[2]) === unit;
    // A unit that is the estimate's is not repeated.
    return "(" + [e[1], e[2]].map((end) => isOne ? show(end).replace(/ \S+$/, "") : show(end)).join(" to ") + ")";
  }
  const error = (e[2] - e[1]) / 2;
  if (error === 0) return "±0";
  const unit = unitOf(e[0]), shown = inUnit(error, unit, decimals(e[0], unit));
  return "±" + (unitOf(error) > unit || /^[0.]+$/.test(shown) ? bytes(error) : shown);
}

function estimate(e) { return bytes(e[0]) + " " + errorOf(e, bytes); }
function change(e) { return signed(e[0]) + " " + errorOf(e, signed); }
function mayBeChance(e) { return e[1] <= 0 && e[2] >= 0; }
function thousands(value) { return Math.round(value).toLocaleString("en-US"); }
function percent(part) { return (part * 100).toFixed(1) + " %"; }

// "41 m 12 s"
function duration(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  if (s === 0) return Math.round(ms) + " ms";
  if (m === 0) return s + " s";
  if (h === 0) return m + " m " + (s % 60) + " s";
  return d === 0 ? h + " h " + (m % 60) + " m" : d + " d " + (h % 24) + " h";
}

// A wall clock in UTC: "10:41:24", with the day where there is more than one.
function clock(unixMs, withDay, withSeconds) {
  const text = new Date(unixMs).toISOString();
  return (withDay ? text.slice(5, 10) + " " : "") + text.slice(11, withSeconds ? 19 : 16);
}
