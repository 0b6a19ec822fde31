// From a picture to the levels that the network sees. Every step follows Kiln's own preprocessing, with the same results.

const FAINT = 1 / 8, FIRM = 96, NOISE = 5, LEAST_CONTRAST = 32, LIGHT = 191, GREYISH = 8;

/// A picture of one channel.
const plane = (width, height, levels = new Uint8Array(width * height)) => ({ width, height, levels });

/// A triangle filter that resizes `before` pixels to `after`: the first source pixel and the weights of each result.
function taps(before, after) {
  const ratio = fround(before / after), wide = Math.max(ratio, 1);
  return Array.from({ length: after }, (_, at) => {
    const middle = fround(fround(at + 0.5) * ratio);
    const left = Math.min(Math.max(Math.floor(fround(middle - wide)), 0), before - 1);
    const right = Math.min(Math.max(Math.ceil(fround(middle + wide)), left + 1), before);
    const weights = [];
    let sum = 0;
    for (let i = left; i < right; i++) {
      const weight = Math.max(1 - Math.abs(fround(fround(i - fround(middle - 0.5)) / wide)), 0);
      weights.push(fround(weight));
      sum = fround(sum + fround(weight));
    }
    return { left, weights: weights.map(weight => fround(weight / sum)) };
  });
}

function resized({ width, height, levels }, newWidth, newHeight) {
  if (width === newWidth && height === newHeight) return plane(width, height, levels.slice());
  const tall = new Float32Array(width * newHeight);
  taps(height, newHeight).forEach(({ left, weights }, y) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum = fround(sum + fround(levels[(left + k) * width + x] * weights[k]));
      tall[y * width + x] = sum;
    }
  });
  const out = plane(newWidth, newHeight);
  taps(width, newWidth).forEach(({ left, weights }, x) => {
    for (let y = 0; y < newHeight; y++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum = fround(sum + fround(tall[y * width + left + k] * weights[k]));
      out.levels[y * newWidth + x] = Math.round(Math.min(Math.max(sum, 0), 255));
    }
  });
  return out;
}

/// The sorted levels of the border pixels.
function border({ width, height, levels }) {
  const found = [];
  for (let x = 0; x < width; x++) found.push(levels[x], levels[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) found.push(levels[y * width], levels[y * width + width - 1]);
  return found.sort((left, right) => left - right);
}

const median = sorted => sorted[Math.floor(sorted.length / 2)];

/// The difference of each pixel from the paper, scaled so that the greatest is 255; null if nothing is drawn.
function ink(grey) {
  const edge = border(grey), paper = median(edge), isDark = paper > 127;
  const distance = level => Math.max(isDark ? paper - level : level - paper, 0);
  const most = grey.levels.reduce((most, level) => Math.max(most, distance(level)), 0);
  if (most < LEAST_CONTRAST) return null;
  const noise = 1.4826 * median(edge.map(level => Math.abs(level - paper)).sort((left, right) => left - right));
  const faint = Math.max(most * FAINT, NOISE * noise);
  const stretched = level => distance(level) < faint ? 0 : Math.floor(distance(level) * 255 / most);
  return plane(grey.width, grey.height, grey.levels.map(stretched));
}

/// The bounding box of the firm strokes.
function cropped({ width, height, levels }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  levels.forEach((level, at) => {
    if (level < FIRM) return;
    const x = at % width, y = Math.floor(at / width);
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
  });
  const out = plane(right - left + 1, bottom - top + 1);
  for (let y = 0; y < out.height; y++) {
    const start = (top + y) * width + left;
    out.levels.set(levels.subarray(start, start + out.width), y * out.width);
  }
  return out;
}

function centreOfMass({ width, height, levels }) {
  let mass = 0, across = 0, down = 0;
  levels.forEach((level, at) => {
    mass += level;
    across += level * (at % width + 0.5);
    down += level * (Math.floor(at / width) + 0.5);
  });
  return [across / mass, down / mass];
}

/// The drawing on `grey`, light on dark, fitted into the network's frame; null if nothing is drawn.
function framed(grey, { box_width, box_height, by_mass }, width, height) {
  const inked = ink(grey);
  if (!inked) return null;
  const cut = cropped(inked);
  const scale = Math.min(box_width / cut.width, box_height / cut.height);
  const side = (length, most) => Math.min(Math.max(Math.round(length * scale), 1), most);
  const drawing = resized(cut, side(cut.width, box_width), side(cut.height, box_height));
  const [across, down] = by_mass ? centreOfMass(drawing) : [drawing.width / 2, drawing.height / 2];
  const offset = (whole, middle, length) => Math.min(Math.max(away(whole / 2 - middle), 0), whole - length);
  const [left, top] = [offset(width, across, drawing.width), offset(height, down, drawing.height)];
  const out = plane(width, height);
  for (let y = 0; y < drawing.height; y++) {
    const row = drawing.levels.subarray(y * drawing.width, (y + 1) * drawing.width);
    out.levels.set(row, (top + y) * width + left);
  }
  return out;
}

/// Rounds half away from zero.
const away = x => Math.sign(x) * Math.round(Math.abs(x));

/// The pixels of a canvas without transparency: on white, or on black if the picture is too light for a white background.
function onPaper({ data }) {
  let luma = 0, opacity = 0, isOpaque = true;
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3];
    luma += Math.floor(alpha * (2126 * data[at] + 7152 * data[at + 1] + 722 * data[at + 2]) / 10000);
    opacity += alpha;
    isOpaque &&= alpha === 255;
  }
  if (isOpaque) return data;
  const paper = luma > LIGHT * opacity ? 0 : 255;
  return data.map((level, at, all) => {
    const alpha = all[at | 3] / 255;
    return at % 4 === 3 ? 255 : Math.floor(level * alpha + paper * (1 - alpha) + 1e-6);
  });
}

/// The levels that the network sees of the pixels of a canvas, channel by channel; null if nothing is drawn.
function seen(pixels) {
  const [channels, height, width] = input.shape, data = onPaper(pixels), count = pixels.width * pixels.height;
  const channel = of => plane(pixels.width, pixels.height, Uint8Array.from({ length: count }, (_, at) => of(4 * at)));
  const grey = () => channel(at => Math.floor((2126 * data[at] + 7152 * data[at + 1] + 722 * data[at + 2]) / 10000));
  let planes;
  if (input.frame) {
    const all = grey(), hasSize = all.width === width && all.height === height;
    planes = [hasSize && median(border(all)) <= 127 ? all : framed(all, input.frame, width, height)];
  } else {
    const isColoured = channels > 1 && hasColour(data);
    planes = isColoured ? [0, 1, 2].map(shift => channel(at => data[at + shift])) : [grey()];
    planes = planes.map(one => resized(one, width, height));
  }
  if (!planes[0]) return null;
  while (planes.length < channels) planes.push(planes[0]);
  const { greatest } = input, size = width * height;
  const own = level => Math.floor((level * greatest + 127) / 255);
  return Uint8Array.from({ length: channels * size }, (_, at) => own(planes[Math.floor(at / size)].levels[at % size]));
}

function hasColour(data) {
  for (let at = 0; at < data.length; at += 4) {
    const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
    if (Math.max(red, green, blue) - Math.min(red, green, blue) > GREYISH) return true;
  }
  return false;
}

/// The features for the levels of a picture.
function featuresOfLevels(levels) {
  const { divisor, mean, deviation } = input;
  if (levels.length !== input.shape.reduce((left, right) => left * right)) {
    throw new Error(`expected ${input.shape.join(" x ")} levels, found ${levels.length}`);
  }
  const scale = level => fround(fround(fround(level / fround(divisor)) - fround(mean)) / fround(deviation));
  return Float32Array.from(levels, scale);
}
