// Getting answers, and showing them.

const $ = id => document.getElementById(id);
/// Up to ALL_SHOWN classes are all shown, in their order; of more classes, only the MOST_PROBABLE.
const ALL_SHOWN = 12, MOST_PROBABLE = 10;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

/// A probability as text. It never reads 0 % or 100 %.
function percent(p) {
  if (!Number.isFinite(p)) return "no number";
  return p < 0.0005 ? "<0.1 %" : p > 0.9995 ? ">99.9 %" : `${(100 * p).toFixed(1)} %`;
}

/// The answer for the levels of a picture, channel by channel, or for a row, an object of values by column.
function predict(example) {
  const isRow = input.kind === "columns";
  const { features, warnings } = isRow ? featuresOfRow(example) : { features: featuresOfLevels(example), warnings: [] };
  const { named, probabilities } = answered(features);
  return { named, probabilities, warnings };
}

/// The server's answers for rows or levels, no more than it accepts per request.
async function askOnce(examples) {
  const isRow = input.kind === "columns";
  const body = isRow ? { rows: examples } : {
    inputs: [{
      name: "pixels", datatype: "UINT8", shape: [examples.length, ...input.shape],
      data: examples.flatMap(levels => Array.from(levels)),
    }],
    outputs: [{ name: "probabilities" }, { name: "label" }],
  };
  const headers = { "content-type": "application/json" };
  const response = await fetch(described.server.path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `the server answered ${response.status}`);
  if (isRow) {
    return answer.predictions.map(({ class: name, probabilities, warnings = [], error }) => {
      if (error) throw new Error(error);
      return { named: classes.indexOf(name), probabilities: classes.map(name => probabilities[name]), warnings };
    });
  }
  const [all, named] = answer.outputs.map(output => output.data), count = classes.length;
  return named.map((named, at) => ({ named, probabilities: all.slice(at * count, (at + 1) * count), warnings: [] }));
}

/// The server's answers for any number of examples.
async function askServer(examples) {
  const { rows, bytes } = described.server;
  // A level takes at most four bytes of JSON, and the rest of the body some hundred bytes. Rows are short.
  const fitting = input.kind === "columns" ? rows : Math.floor((bytes - 1000) / (4 * examples[0].length));
  const most = Math.max(1, Math.min(rows, fitting));
  const answers = [];
  for (let at = 0; at < examples.length; at += most) answers.push(...await askOnce(examples.slice(at, at + most)));
  return answers;
}

/// The answers for several examples, rows or levels.
const ask = described.server ? askServer : async examples => examples.map(predict);

/// Runs `work` for one call at a time. Of the calls that arrive meanwhile, only the newest runs.
function oneAtATime(work) {
  let isBusy = false, waiting = null;
  return async function next(...given) {
    if (isBusy) { waiting = given; return; }
    isBusy = true;
    try { await work(...given); } catch (error) { fail(error); }
    isBusy = false;
    if (waiting) { const given = waiting; waiting = null; next(...given); }
  };
}

/// Shows an error.
function fail(error) {
  $("problem").textContent = error instanceof TypeError && described.server
    ? "The server does not answer. Is it still running?" : String(error.message ?? error);
  $("problem").hidden = false;
}

/// Runs `work` at most once per frame of the browser, or a little later if the browser shows no frames.
function eachFrame(work) {
  let isAsked = false;
  const go = () => {
    if (!isAsked) return;
    isAsked = false;
    work();
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(go);
    setTimeout(go, 100);
  };
}

const rows = Array.from({ length: classes.length > ALL_SHOWN ? MOST_PROBABLE : classes.length }, () => {
  const [name, share] = [element("span", { class: "name" }), element("span", { class: "share" })];
  const fill = element("span", { class: "fill" });
  const item = element("li", {}, name, element("span", { class: "track", "aria-hidden": "true" }, fill), share);
  $("bars").append(item);
  return { item, name, share, fill };
});

/// The classes to show: all in their order, or the most probable first.
function order(probabilities) {
  const all = classes.map((_, k) => k);
  if (classes.length <= ALL_SHOWN) return all;
  return all.sort((left, right) => probabilities[right] - probabilities[left]).slice(0, MOST_PROBABLE);
}

let announcement;

/// Shows an answer, or `invitation` if there is none yet.
function show(answer, invitation = "") {
  $("problem").hidden = true;
  const probabilities = answer?.probabilities ?? classes.map(() => 0);
  order(probabilities).forEach((k, at) => {
    const { item, name, share, fill } = rows[at], p = probabilities[k];
    name.textContent = classes[k];
    name.title = classes[k];
    share.textContent = answer ? percent(p) : "";
    fill.style.transform = `translateX(${Number.isFinite(p) ? 100 * p - 100 : -100}%)`;
    item.classList.toggle("named", answer?.named === k);
  });
  $("named").textContent = answer ? classes[answer.named] : "?";
  $("named").classList.toggle("long", $("named").textContent.length > 10);
  $("sure").textContent = answer ? percent(probabilities[answer.named]) : invitation;
  const isBeaten = answer && probabilities.some(p => p > probabilities[answer.named]);
  $("by-threshold").hidden = !isBeaten;
  $("unusual").replaceChildren(...(answer?.warnings ?? []).map(warning => element("li", {}, warning)));
  $("unusual").hidden = !answer?.warnings.length;
  // Screen readers read the answer once it no longer changes.
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    $("live").textContent = answer ? `${classes[answer.named]}, ${percent(probabilities[answer.named])}` : invitation;
  }, 800);
}
