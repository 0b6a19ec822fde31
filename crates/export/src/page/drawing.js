// The drawing area: a picture that the user draws, pastes, drops or chooses.

const SIDE = 320;
/// Larger pictures are reduced to this number of pixels.
const MOST_PIXELS = 4e6;

function startDrawing() {
  const canvas = $("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
  const [channels, height, width] = input.shape;
  /// The pixels of an opened picture; null for a drawing.
  let picture = null;
  /// Whether the canvas is empty, and the levels that the network sees.
  let isEmpty = true, levels = null;
  /// The number of the current picture: results for earlier pictures are not shown.
  let count = 0;
  /// The position of the pen, and whether the keyboard has lowered it.
  let pen = { x: SIDE / 2, y: SIDE / 2, isDown: false };
  /// Whether a mouse, a finger or a stylus is drawing.
  let isDrawing = false;

  const isDark = () => $("dark-paper")?.checked ?? false;
  const askAndShow = oneAtATime(async mine => {
    const [answer] = levels ? await ask([levels]) : [];
    if (mine !== count) return;
    show(answer, isEmpty ? "nothing drawn yet" : "nothing visible: the picture needs more contrast");
    explainSoon(answer);
  });
  const take = () => {
    levels = isEmpty ? null : seen(picture ?? context.getImageData(0, 0, canvas.width, canvas.height));
    return levels;
  };
  const look = eachFrame(() => {
    count += 1;
    take();
    paintSeen();
    clearHeat();
    askAndShow(count);
  });

  function setSize(width, height) {
    const scale = SIDE / Math.max(width, height);
    [canvas.width, canvas.height] = [width, height].map(side => Math.max(Math.round(side * scale), 1));
  }

  function clear() {
    setSize(width, height);
    context.fillStyle = isDark() ? "#000" : "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    [picture, isEmpty] = [null, true];
    pen = { x: canvas.width / 2, y: canvas.height / 2, isDown: false };
    $("hint").hidden = false;
    look();
  }

  /// Draws a line from the pen to another position and moves the pen.
  function lineTo(x, y) {
    context.strokeStyle = isDark() ? "#fff" : "#000";
    [context.lineCap, context.lineJoin, context.lineWidth] = ["round", "round", +$("pen").value];
    context.beginPath();
    context.moveTo(pen.x, pen.y);
    context.lineTo(x, y);
    context.stroke();
    [pen.x, pen.y, picture, isEmpty] = [x, y, null, false];
    $("hint").hidden = true;
    look();
  }

  const position = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  canvas.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    try { canvas.setPointerCapture(event.pointerId); } catch { /* A synthetic event has no pointer. */ }
    [pen.x, pen.y] = position(event);
    isDrawing = true;
    lineTo(pen.x, pen.y);
  });
  canvas.addEventListener("pointermove", event => {
    if (!isDrawing) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) lineTo(...position(one));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { isDrawing = false; });
  canvas.addEventListener("keydown", event => {
    const [dx, dy] = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[event.key] ?? [0, 0];
    if (event.key === " ") pen.isDown = !pen.isDown;
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else if (dx === 0 && dy === 0) return;
    event.preventDefault();
    const x = Math.min(Math.max(pen.x + dx, 0), canvas.width), y = Math.min(Math.max(pen.y + dy, 0), canvas.height);
    if (pen.isDown) lineTo(x, y);
    else [pen.x, pen.y] = [x, y];
    $("pen-place").textContent =
      `Pen ${pen.isDown ? "down" : "up"}, ${Math.round(100 * x / canvas.width)} % from the left, ` +
      `${Math.round(100 * y / canvas.height)} % from the top`;
  });

  async function open(file) {
    let image;
    try {
      image = await createImageBitmap(file, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
    } catch {
      return fail("This browser cannot read the file as a picture. PNG, JPEG, WebP and GIF work everywhere.");
    }
    const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (image.width * image.height)));
    const [wide, high] = [image.width, image.height].map(side => Math.max(Math.round(side * shrink), 1));
    const whole = element("canvas", { width: wide, height: high }).getContext("2d", { willReadFrequently: true });
    whole.drawImage(image, 0, 0, wide, high);
    setSize(wide, high);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    [picture, isEmpty] = [whole.getImageData(0, 0, wide, high), false];
    $("hint").hidden = true;
    look();
  }

  function paintSeen() {
    const small = $("seen"), pixels = new ImageData(width, height), size = width * height;
    for (let at = 0; at < size; at++) {
      const level = channel => (levels ? levels[channels > 1 ? channel * size + at : at] * 255 / input.greatest : 0);
      pixels.data.set([level(0), level(1), level(2), 255], 4 * at);
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
  }

  // The parts that the answer depends on: predict the picture many times, each time with one patch covered.

  let waiting;
  function clearHeat() {
    $("heat").getContext("2d").clearRect(0, 0, width, height);
    clearTimeout(waiting);
  }
  function explainSoon(answer) {
    clearTimeout(waiting);
    if (!answer || !$("explain").checked) return;
    const mine = count;
    waiting = setTimeout(() => explain(answer, mine).catch(fail), 150);
  }

  const logit = p => Math.log(Math.max(p, 1e-7) / Math.max(1 - p, 1e-7));

  async function explain(answer, mine) {
    const patches = patchesOf(levels), effects = [];
    const before = logit(answer.probabilities[answer.named]);
    const batch = described.server ? 1000 : 24;
    for (let at = 0; at < patches.length; at += batch) {
      const answers = await ask(patches.slice(at, at + batch).map(patch => patch.covered));
      effects.push(...answers.map(({ probabilities }) => before - logit(probabilities[answer.named])));
      // Let the page respond to the user.
      await new Promise(done => setTimeout(done));
      if (mine !== count) return;
    }
    paintHeat(patches, effects);
    $("heat-class").textContent = classes[answer.named];
  }

  /// The picture with each of its patches covered: by zeros for a framed drawing, otherwise by the mean of its channel.
  function patchesOf(levels) {
    const size = width * height, side = Math.max(1, Math.round(Math.min(width, height) / 7)), step = Math.max(1, side >> 1);
    const paper = Array.from({ length: channels }, (_, channel) => {
      const own = levels.subarray(channel * size, (channel + 1) * size);
      return input.frame ? 0 : Math.round(own.reduce((sum, level) => sum + level, 0) / size);
    });
    const patches = [];
    for (let top = 0; top + side <= height; top += step) {
      for (let left = 0; left + side <= width; left += step) {
        const covered = levels.slice();
        let isChanged = false;
        for (let channel = 0; channel < channels; channel++) {
          for (let y = top; y < top + side; y++) {
            const start = channel * size + y * width + left;
            isChanged ||= covered.subarray(start, start + side).some(level => level !== paper[channel]);
            covered.fill(paper[channel], start, start + side);
          }
        }
        if (isChanged) patches.push({ left, top, side, covered });
      }
    }
    return patches;
  }

  function paintHeat(patches, effects) {
    const [sums, counts] = [new Float64Array(width * height), new Float64Array(width * height)];
    patches.forEach(({ left, top, side }, at) => {
      for (let y = top; y < top + side; y++) {
        for (let x = left; x < left + side; x++) {
          sums[y * width + x] += effects[at];
          counts[y * width + x] += 1;
        }
      }
    });
    const means = sums.map((sum, at) => counts[at] ? sum / counts[at] : 0);
    const most = means.reduce((most, mean) => Math.max(most, Math.abs(mean)), 1e-9);
    const pixels = new ImageData(width, height);
    means.forEach((mean, at) => {
      const colour = mean > 0 ? [47, 128, 237] : [255, 140, 26];
      pixels.data.set([...colour, 220 * Math.sqrt(Math.abs(mean) / most)], 4 * at);
    });
    $("heat").getContext("2d").putImageData(pixels, 0, 0);
  }

  $("explain").addEventListener("change", () => {
    $("heat-legend").hidden = !$("explain").checked;
    look();
  });
  $("clear").addEventListener("click", clear);
  $("dark-paper")?.addEventListener("change", clear);
  $("file").addEventListener("change", event => {
    if (event.target.files[0]) open(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("paste", event => {
    const item = [...event.clipboardData.items].find(item => item.type.startsWith("image/"));
    if (item) { event.preventDefault(); open(item.getAsFile()); }
  });
  document.addEventListener("dragover", event => { event.preventDefault(); $("sheet").classList.add("over"); });
  document.addEventListener("dragleave", () => $("sheet").classList.remove("over"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    $("sheet").classList.remove("over");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  clear();
  return { seen: () => take() && Array.from(levels), open };
}
