// Starts the page, and defines the object `kiln` for the console and other scripts.

const started = input.kind === "columns" ? startForm() : startDrawing();

/// An answer in the format of Kiln's server.
function named({ named, probabilities, warnings }) {
  const byName = Object.fromEntries(classes.map((name, k) => [name, probabilities[k]]));
  return { class: classes[named], probabilities: byName, warnings };
}

window.kiln = Object.freeze({
  classes: Object.freeze([...classes]),
  /// The answer for the levels of a picture, channel by channel, or for a row, an object of values by column; with a server, a
  /// promise of the answer.
  predict: example => (described.server ? ask([example]).then(([answer]) => named(answer)) : named(predict(example))),
  /// The levels that the network sees of the current picture, or the current row.
  seen: () => (started.seen ?? started.row)(),
  /// Opens a picture from a Blob.
  open: started.open,
});
