// What the page begins with, and what it offers to other scripts.

const started = input.kind === "columns" ? startForm() : startDrawing();

/// An answer as Kiln's server gives it.
function named({ named, probabilities, warnings }) {
  const byName = Object.fromEntries(classes.map((name, k) => [name, probabilities[k]]));
  return { class: classes[named], probabilities: byName, warnings };
}

window.kiln = Object.freeze({
  classes: Object.freeze([...classes]),
  /// The answer for the levels of a picture, plane by plane, or for a row, an object of values by column; of a server, a
  /// promise of it.
  predict: example => (described.server ? ask([example]).then(([answer]) => named(answer)) : named(predict(example))),
  /// What the network sees of the picture that is drawn, or the row that is filled in.
  seen: () => (started.seen ?? started.row)(),
  /// Opens a picture, a Blob.
  open: started.open,
});
