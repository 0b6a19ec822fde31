// The form for a row of a table, and a plot of the answer against one of its values.

/// The number of points of a curve.
const POINTS = 49;
const OTHER = "(another value)";
const CURVE = { width: 440, height: 240, left: 48, right: 14, top: 14, bottom: 34 };

function startForm() {
  const { columns } = input;
  const fields = columns.map((column, at) => ({
    column, box: $(`c${at}`), slider: $(`s${at}`), unknown: $(`m${at}`), warning: $(`w${at}`),
  }));
  let focused = 0, count = 0;

  /// The format of dates in the browser's input fields.
  const iso = column => {
    const [hasDay, hasTime] = [/%[Yy]/.test(column.format), /%[HI]/.test(column.format)];
    return hasDay && hasTime ? "%Y-%m-%dT%H:%M" : hasDay ? "%Y-%m-%d" : "%H:%M";
  };

  function reset() {
    for (const { column, box, slider, unknown } of fields) {
      if (unknown) unknown.checked = unknown.defaultChecked;
      box.disabled = unknown?.checked ?? false;
      if (column.as === "date") box.value = written(rangeOf(column)?.median ?? 0, iso(column));
      else box.value = box.dataset.start;
      if (slider) { slider.value = box.value; slider.disabled = box.disabled; }
    }
    look();
  }

  /// The value of a field in the format of the table; null if unknown.
  function valueOf({ column, box, unknown }) {
    if (unknown?.checked || box.value === "") return null;
    if (column.as === "number") return +box.value;
    if (column.as === "date") return written(days(box.value, iso(column)), column.format);
    return box.value;
  }

  const row = () => Object.fromEntries(fields.map(field => [field.column.name, valueOf(field)]));

  const answer = oneAtATime(async (given, mine) => {
    const { points, examples } = variants(given, columns[focused]);
    const [now, ...others] = await ask([given, ...examples]);
    if (mine !== count) return;
    show(now);
    draw(columns[focused], given, now, points, others);
  });
  const look = eachFrame(() => {
    count += 1;
    const given = row();
    for (const { column, warning } of fields) {
      const value = given[column.name], problem = warningOf(column, rawValue(column, value), value);
      warning.textContent = problem;
      warning.hidden = !problem;
    }
    answer(given, count);
  });

  /// Rows that differ from `given` only in the value of `column`.
  function variants(given, column) {
    let points;
    const range = rangeOf(column);
    if (range) {
      const at = k => range.least + (range.greatest - range.least) * k / (POINTS - 1);
      points = Array.from({ length: POINTS }, (_, k) => ({ at: at(k), value: at(k) }));
      if (column.as === "date") points.forEach(point => { point.value = written(point.at, column.format); });
    } else {
      points = (column.as === "boolean" ? [column.no, column.yes] : column.values).map(value => ({ value }));
    }
    return { points, examples: points.map(({ value }) => ({ ...given, [column.name]: value })) };
  }

  // The plot.

  function svg(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  }

  function draw(column, given, now, points, answers) {
    const shares = answers.map(({ probabilities }) => probabilities[now.named]), name = classes[now.named];
    $("curve-title").textContent = `Probability of “${name}” by ${column.name}`;
    const range = rangeOf(column);
    const picture = range ? line(column, range, given, now, points, shares) : list(column, given, points, shares);
    const [least, most] = [Math.min(...shares), Math.max(...shares)].map(percent);
    const words = least === most ? `${least} for every value` : `Between ${least} and ${most}`;
    $("curve-words").textContent = `${words}, with all other values unchanged.`;
    $("curve").replaceChildren(picture);
  }

  function line(column, range, given, now, points, shares) {
    const { width, height, left, right, top, bottom } = CURVE, span = range.greatest - range.least || 1;
    const x = at => left + (width - left - right) * (at - range.least) / span;
    const y = p => top + (height - top - bottom) * (1 - p);
    const label = (x, y, anchor, words) => svg("text", { x, y, "text-anchor": anchor }, words);
    const parts = [0, 0.5, 1].flatMap(p => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(p), y2: y(p) }),
      label(left - 8, y(p) + 4, "end", `${100 * p} %`),
    ]);
    parts.push(label(left, height - 10, "start", shown(column, range.least)));
    parts.push(label(width - right, height - 10, "end", shown(column, range.greatest)));
    const path = points.map((point, k) => `${k ? "L" : "M"}${x(point.at).toFixed(1)} ${y(shares[k]).toFixed(1)}`);
    parts.push(svg("path", { class: "curve", d: path.join("") }));
    const value = rawValue(column, given[column.name]);
    if (value >= range.least && value <= range.greatest) {
      const at = { cx: x(value), cy: y(now.probabilities[now.named]), r: 5.5 };
      parts.push(svg("line", { class: "here", x1: at.cx, x2: at.cx, y1: top, y2: height - bottom }));
      parts.push(svg("circle", { class: "here", ...at }));
      const isInside = at.cx > left + 30 && at.cx < width - right - 30;
      const side = at.cx > width / 2 ? ["end", at.cx - 8] : ["start", at.cx + 8];
      if (isInside) parts.push(label(side[1], height - bottom - 8, side[0], shown(column, value)));
    }
    return svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...parts);
  }

  function list(column, given, points, shares) {
    const items = points.map(({ value }, at) => {
      const fill = element("span", { class: "fill" });
      fill.style.transform = `translateX(${100 * shares[at] - 100}%)`;
      const track = element("span", { class: "track", "aria-hidden": "true" }, fill);
      const name = element("span", { class: "name", title: value }, value);
      const isHere = rawValue(column, value) === rawValue(column, given[column.name]);
      const share = element("span", { class: "share" }, percent(shares[at]));
      return element("li", isHere ? { class: "named" } : {}, name, track, share);
    });
    return element("ol", { class: "bars" }, ...items);
  }

  fields.forEach(({ box, slider, unknown }, at) => {
    const change = () => { focused = at; look(); };
    box.addEventListener("input", () => { if (slider) slider.value = box.value; change(); });
    slider?.addEventListener("input", () => { box.value = slider.value; change(); });
    unknown?.addEventListener("change", () => {
      box.disabled = unknown.checked;
      if (slider) slider.disabled = unknown.checked;
      change();
    });
    for (const control of [box, slider, unknown]) {
      control?.addEventListener("focus", () => { if (focused !== at) change(); });
    }
  });
  $("reset").addEventListener("click", reset);
  reset();
  return { row };
}
