// The interval of a sum of samples, by the formula of leakscope-analyze (estimate.rs, change.rs, gamma.rs): with T the
// estimate, V its variance, w what one block just missed would have added,
//   low = q(2.5 %; T²/V, V/T)     high = q(97.5 %; (T+w)²/(V+w²), (V+w²)/(T+w))      q: gamma quantile.
// The certain lower bound, the bytes of the sampled blocks themselves, is not in this page: low may be a little lower.
const TAIL = 0.025;

function normalQuantile(p) {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return q * (((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
      / (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1);
  }
  let r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p)) - 1.6;
  const size = (((0.17023821 * r + 1.3067284) * r + 2.75681539) * r + 1.4234372777)
    / ((0.12021132 * r + 0.73700164) * r + 1);
  return q < 0 ? -size : size;
}

// Lanczos.
function logGamma(x) {
  const c = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  if (x < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - logGamma(1 - x);
  let sum = 0.99999999999980993;
  for (let i = 0; i < 8; i++) sum += c[i] / (x + i);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// The regularized lower incomplete gamma function.
function gammaCumulative(x, shape, lg) {
  const factor = Math.exp(shape * Math.log(x) - x - lg);
  if (x < shape + 1) {
    let term = 1 / shape, sum = term, d = shape;
    for (let i = 0; i < 100000 && term >= sum * 1e-13; i++) { d++; term *= x / d; sum += term; }
    return factor * sum;
  }
  let b = x + 1 - shape, c = 1e300, d = 1 / b, value = d;
  for (let i = 1; i < 100000; i++) {
    const a = -i * (i - shape);
    b += 2;
    d = a * d + b; if (Math.abs(d) < 1e-300) d = 1e-300;
    c = b + a / c; if (Math.abs(c) < 1e-300) c = 1e-300;
    d = 1 / d;
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-13) break;
  }
  return 1 - factor * value;
}

function gammaQuantile(p, shape, scale) {
  if (!(p > 0 && shape > 0 && scale > 0)) return 0;
  if (shape === 1) return -Math.log1p(-p) * scale;
  let x;
  if (shape < 1) {
    const head = 1 - shape * (0.253 + shape * 0.12);
    x = p < head ? (p / head) ** (1 / shape) : 1 - Math.log(1 - (p - head) / (1 - head));
  } else {
    const ninth = 1 / (9 * shape);
    x = Math.max(shape * (1 - ninth + normalQuantile(p) * Math.sqrt(ninth)) ** 3, shape * 1e-3);
  }
  if (shape >= 1e5) return x * scale;
  const lg = logGamma(shape);
  for (let i = 0; i < 12 && x > 0; i++) {
    const density = Math.exp((shape - 1) * Math.log(x) - x - lg);
    if (density <= 0) break;
    const newton = (gammaCumulative(x, shape, lg) - p) / density;
    let next = x - newton / (1 - 0.5 * Math.min(newton * ((shape - 1) / x - 1), 1));
    if (!(next > 0)) next = x / 2;
    const done = Math.abs(next - x) <= 1e-4 * next;
    x = next;
    if (done) break;
  }
  return Math.max(x, 0) * scale;
}

// [estimate, low, high] of a sum.
function interval(t, v, w) {
  const low = v <= 0 ? t : t <= 0 ? 0 : gammaQuantile(TAIL, t * t / v, v / t);
  const tw = t + w, vw = v + w * w;
  const high = vw <= 0 || tw <= 0 ? t : gammaQuantile(1 - TAIL, tw * tw / vw, vw / tw);
  return [t, Math.min(low, t), Math.max(high, t)];
}

// [estimate, low, high] of what came less what went.
function difference(newT, newV, goneT, goneV, w) {
  const a = interval(newT, newV, w), b = interval(goneT, goneV, w), d = newT - goneT;
  return [d, d - Math.hypot(a[0] - a[1], b[2] - b[0]), d + Math.hypot(a[2] - a[0], b[0] - b[1])];
}
