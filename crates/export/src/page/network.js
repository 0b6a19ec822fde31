// From features to probabilities. Numbers have single precision where Kiln's have it; sums are computed in double precision and
// then rounded.

const text = id => document.getElementById(id).textContent;
const described = JSON.parse(text("description"));
const { input, classes } = described;
const { fround } = Math;

/// The number with the 16 bits `bits` (IEEE 754 binary16).
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/// All weights, in the order of the page.
function decoded(base64, bits) {
  const binary = atob(base64), view = new DataView(new ArrayBuffer(binary.length));
  for (let at = 0; at < binary.length; at++) view.setUint8(at, binary.charCodeAt(at));
  const value = bits === 16 ? at => half(view.getUint16(2 * at, true)) : at => view.getFloat32(4 * at, true);
  const values = new Float32Array(binary.length * 8 / bits);
  for (let at = 0; at < values.length; at++) values[at] = value(at);
  return values;
}

/// The networks, with views into the list of all weights.
function networks() {
  const all = decoded(text("weights").trim(), described.bits);
  let at = 0;
  const take = count => all.subarray(at, at += count);
  return described.members.map(({ waves, layers }) => ({
    waves: waves && {
      ...waves,
      frequency: Float32Array.from(waves.frequency),
      phase: Float32Array.from(waves.phase),
      weight: take(waves.columns.length * waves.waves * waves.size),
      bias: take(waves.columns.length * waves.size),
    },
    layers: layers.map(([inputs, outputs]) =>
      ({ inputs, outputs, weight: take(inputs * outputs), bias: take(outputs) })),
  }));
}

/// The error function, by a series without cancellation.
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= 2 * x * x / (2 * n + 1);
    sum += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

const sigmoid = x => 1 / (1 + Math.exp(-x));
const softplus = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

const ACTIVATIONS = {
  "identity": x => x,
  "relu": x => x <= 0 ? 0 : x,
  "leaky-relu": x => x <= 0 ? 0.01 * x : x,
  "tanh": Math.tanh,
  "sigmoid": sigmoid,
  "silu": x => x * sigmoid(x),
  "softplus": softplus,
  "gelu": x => x * 0.5 * (1 + erf(x * Math.SQRT1_2)),
  "selu": x => 1.05070098735548 * (x > 0 ? x : 1.67326324235438 * Math.expm1(x)),
  "mish": x => x * Math.tanh(softplus(x)),
};

/// The outputs of a layer. If most values are zero, as in a drawing, it adds only the others.
function linear(layer, values, ending) {
  const { inputs, outputs, weight, bias } = layer;
  const inked = [];
  for (let at = 0; at < inputs; at++) if (values[at] !== 0) inked.push(at);
  const few = inked.length < inputs / 2, count = inked.length;
  const out = new Float32Array(outputs);
  for (let row = 0, start = 0; row < outputs; row++, start += inputs) {
    let sum = bias[row];
    if (few) for (let k = 0; k < count; k++) sum += weight[start + inked[k]] * values[inked[k]];
    else for (let at = 0; at < inputs; at++) sum += weight[start + at] * values[at];
    out[row] = ending(sum);
  }
  return out;
}

/// The features, followed by the embedding of the numbers among them.
function embedded(waves, features) {
  if (!waves) return features;
  const { columns, size, frequency, phase, weight, bias } = waves;
  const out = new Float32Array(features.length + columns.length * size);
  out.set(features);
  columns.forEach((column, number) => {
    const sums = Array.from(bias.subarray(number * size, (number + 1) * size));
    for (let wave = 0; wave < waves.waves; wave++) {
      const place = number * waves.waves + wave;
      const turns = fround(fround(frequency[place] * features[column]) + phase[place]);
      const cosine = Math.cos(2 * Math.PI * (turns - Math.round(turns)));
      for (let k = 0; k < size; k++) sums[k] += weight[place * size + k] * cosine;
    }
    out.set(sums, features.length + number * size);
  });
  return out;
}

/// The outputs of the last layer of one network.
function logits(network, features) {
  const hidden = ACTIVATIONS[described.activation], keep = described.keep, last = network.layers.length - 1;
  const between = x => fround(hidden(fround(x))) * keep;
  return network.layers.reduce(
    (values, layer, at) => linear(layer, values, at === last ? fround : between),
    embedded(network.waves, features));
}

function softmax(values) {
  const greatest = Math.max(...values);
  const powers = Array.from(values, value => Math.exp(value - greatest));
  const sum = powers.reduce((left, right) => left + right);
  return powers.map(power => power / sum);
}

/// The scores of an ensemble: the logarithm of the mean of its networks' probabilities.
function together(all) {
  if (all.length === 1) return all[0];
  const rows = all.map(softmax);
  return rows[0].map((_, k) => fround(Math.log(rows.reduce((sum, row) => sum + row[k], 0) / rows.length)));
}

/// Calibrated probabilities.
function calibrated(probabilities, { temperature, share }) {
  const scaled = probabilities.map(p => Math.log(Math.max(p, 1.1754943508222875e-38)) / temperature);
  return softmax(scaled).map(p => (1 - share) * p + share / scaled.length);
}

function greatest(values) {
  return values.reduce((best, value, at) => value > values[best] ? at : best, 0);
}

const members = described.server ? [] : networks();

/// The number of the predicted class for `features`, and the probability of every class.
function answered(features) {
  const values = together(members.map(network => logits(network, features)));
  let probabilities;
  if (described.sigmoid) {
    const outputs = Array.from(values, sigmoid), sum = outputs.reduce((left, right) => left + right);
    probabilities = outputs.map(output => output / sum);
  } else {
    probabilities = softmax(values);
  }
  probabilities = probabilities.map(fround);
  if (described.calibration) probabilities = calibrated(probabilities, described.calibration).map(fround);
  let named = greatest(Array.from(values));
  if (described.threshold) {
    const { positive, least } = described.threshold;
    named = probabilities[positive] >= least ? positive : 1 - positive;
  }
  return { named, probabilities };
}
