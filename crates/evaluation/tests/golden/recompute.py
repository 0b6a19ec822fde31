"""Recomputes the evaluation of a run from its predictions.csv with scikit-learn, and compares the results.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1
    venv/bin/python crates/evaluation/tests/golden/recompute.py RUN/evaluation/test

Every figure of metrics.json that scikit-learn also computes, the confusion matrix, both classification
reports and the ROC curves must agree to 1e-9. The exit code is 1 if one does not.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
from scikit_learn import class_figures, curves, report, report_text, scalars, without_nan
from sklearn import metrics as sk

TOLERANCE = 1e-9
# In roc.csv, curves with more points are thinned.
MAX_EXACT_POINTS = 10_000


class Comparison:
    def __init__(self):
        self.compared = 0
        self.largest = 0.0
        self.wrong = []

    def number(self, name, found, expected):
        self.compared += 1
        if found is None or expected is None:
            difference = 0.0 if found is None and expected is None else np.inf
        else:
            difference = abs(found - expected) / max(1.0, abs(expected))
        self.largest = max(self.largest, difference)
        if not difference <= TOLERANCE:
            self.wrong.append(f"{name}: {found} is not scikit-learn's {expected}")

    def same(self, name, found, expected):
        self.compared += 1
        if found != expected:
            self.wrong.append(f"{name}:\n{found}\nis not scikit-learn's\n{expected}")


class Predictions:
    def __init__(self, path):
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows)
            rows = list(rows)
        self.classes = [name.removeprefix("p_") for name in header[3 : header.index("loss", 3 + 1)]]
        count = len(self.classes)
        number = {name: index for index, name in enumerate(self.classes)}
        self.truth = np.array([number[row[1]] for row in rows])
        self.predicted = np.array([number[row[2]] for row in rows])
        # The digits are those of single precision: any other type reads other numbers.
        single = np.array([row[3 : 3 + count] for row in rows], dtype=np.float32)
        self.probabilities = single.astype(np.float64)
        loss = np.array([row[3 + count] for row in rows], dtype=np.float64)
        weight = np.array([row[4 + count] if len(row) > 4 + count else 1.0 for row in rows], dtype=np.float64)
        self.loss = loss.sum() / weight.sum()
        if np.isnan(self.probabilities).any():
            sys.exit(f"{path} has probabilities that are NaN; scikit-learn takes none")


def top_k(predictions, k):
    """With scores that have no ties: the predicted class first, the lower number first where equal."""
    count = len(predictions.classes)
    if count == 2:
        return sk.accuracy_score(predictions.truth, predictions.predicted)
    order = np.argsort(-predictions.probabilities, axis=1, kind="stable")
    scores = np.empty_like(predictions.probabilities)
    np.put_along_axis(scores, order, np.arange(count, 0, -1.0)[None, :], axis=1)
    scores[np.arange(len(scores)), predictions.predicted] = count + 1
    return sk.top_k_accuracy_score(predictions.truth, scores, k=k, labels=range(count))


def compare_metrics(metrics, predictions, compare):
    truth, predicted, probabilities = predictions.truth, predictions.predicted, predictions.probabilities
    classes = class_figures(truth, predicted, probabilities)
    compare.number("loss", metrics["loss"], predictions.loss)
    for key, expected in scalars(truth, predicted, probabilities, classes).items():
        compare.number(key, metrics[key], expected)
    for found, name, expected in zip(metrics["classes"], predictions.classes, classes):
        compare.same("class", found["class"], name)
        for key, value in expected.items():
            compare.number(f"{key} of {name}", found[key], value)
    for k, found in metrics["top_k_accuracy"].items():
        compare.number(f"top {k}", found, top_k(predictions, int(k)))
    macro = curves(truth, probabilities, classes)["macro"]
    compare.number("macro_average_roc_auc", metrics["macro_average_roc_auc"], macro["auc"])


def compare_tables(folder, predictions, compare):
    labels = range(len(predictions.classes))
    matrix = sk.confusion_matrix(predictions.truth, predictions.predicted, labels=labels)
    with open(folder / "confusion_matrix.csv", encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))
    compare.same("confusion axes", found[0], ["true \\ predicted", *predictions.classes])
    compare.same("confusion", [[int(cell) for cell in row[1:]] for row in found[1:]], matrix.tolist())

    arguments = predictions.truth, predictions.predicted, predictions.classes
    text = (folder / "classification_report.txt").read_text(encoding="utf-8")
    compare.same("report", text, report_text(*arguments))
    found = json.loads((folder / "classification_report.json").read_text(encoding="utf-8"))
    for key, expected in without_nan(report(*arguments, output_dict=True)).items():
        pairs = expected.items() if isinstance(expected, dict) else [("", expected)]
        for entry, value in pairs:
            compare.number(f"report {key} {entry}", found[key][entry] if entry else found[key], value)


def compare_curves(folder, predictions, compare):
    found = {}
    with open(folder / "roc.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["class"], []).append((float(row["fpr"]), float(row["tpr"])))
    one_hot = np.eye(len(predictions.classes))[predictions.truth]
    expected = {
        name: sk.roc_curve(one_hot[:, index], predictions.probabilities[:, index])
        for index, name in enumerate(predictions.classes)
        if 0 < one_hot[:, index].sum() < len(one_hot)
    }
    expected["micro avg"] = sk.roc_curve(one_hot.ravel(), predictions.probabilities.ravel())
    for name, (fpr, tpr, _) in expected.items():
        if len(fpr) > MAX_EXACT_POINTS + 1:
            continue
        compare.number(f"points of {name}", len(found[name]), len(fpr))
        for axis, values in enumerate((fpr, tpr)):
            points = np.array(found[name])[:, axis]
            if len(points) == len(values):
                compare.number(f"curve of {name}", float(np.abs(points - values).max()), 0.0)


def main():
    folder = Path(sys.argv[1])
    predictions = Predictions(folder / "predictions.csv")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    compare = Comparison()
    compare_metrics(metrics, predictions, compare)
    compare_tables(folder, predictions, compare)
    compare_curves(folder, predictions, compare)
    for wrong in compare.wrong:
        print(wrong, file=sys.stderr)
    print(f"{compare.compared} compared, {len(compare.wrong)} differ, largest difference {compare.largest:.1e}")
    sys.exit(bool(compare.wrong))


if __name__ == "__main__":
    main()
