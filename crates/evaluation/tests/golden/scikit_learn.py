"""Writes scikit_learn.json: the figures of scikit-learn for the sets of predictions that src/tests.rs evaluates.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1
    venv/bin/python crates/evaluation/tests/golden/scikit_learn.py

Probabilities have single precision and are converted to double precision for scikit-learn. Figures use its defaults:
0 / 0 is 0, and classes that are neither true nor predicted are left out. Null are the figures of such a class, and the
AUC and average precision of a class without examples.
"""

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
BINS = 15


def sample(seed, count, classes, sharpness, weights=None):
    """Labels drawn with `weights`, and probabilities that lean to them."""
    random = np.random.default_rng(seed)
    truth = random.choice(classes, size=count, p=weights)
    logits = random.normal(size=(count, classes))
    logits[np.arange(count), truth] += sharpness
    odds = np.exp(logits)
    return truth, odds / odds.sum(axis=1, keepdims=True)


def sets():
    yield "balanced", ["zero", "one", "two", "three"], *sample(1, 200, 4, 1.5)
    skew = [0.7, 0.2, 0.06, 0.03, 0.01]
    yield "skewed", ["0", "1", "2", "3", "4"], *sample(2, 200, 5, 1.2, skew)
    truth, odds = sample(3, 160, 3, 1.0)
    rounded = np.round(odds * 8) / 8
    yield "ties", ["a", "b", "c"], truth, rounded / rounded.sum(axis=1, keepdims=True)
    yield "binary", ["no", "yes"], *sample(4, 150, 2, 1.0)
    truth, odds = sample(5, 150, 7, 1.5, [0.3, 0.3, 0.0, 0.2, 0.0, 0.1, 0.1])
    odds[:, 2] = 0.0  # never true, never predicted
    yield "missing", list("abcdefg"), truth, odds / odds.sum(axis=1, keepdims=True)
    truth, odds = sample(6, 90, 3, 2.0)
    odds[np.arange(90), truth] = 0.0
    yield "wrong", ["x", "y", "z"], truth, odds / odds.sum(axis=1, keepdims=True)
    truth, odds = sample(7, 60, 6, 0.0)
    yield "perfect", list("012345"), truth, np.eye(6)[truth]
    truth, odds = sample(8, 80, 3, 0.5)
    odds[:, 1] += 5.0
    yield "collapsed", ["cat", "dog", "a class with a long name, and an Ö"], truth, odds / odds.sum(axis=1, keepdims=True)
    truth, odds = sample(9, 120, 10, 120.0)
    truth = np.where(np.arange(120) % 9 == 0, (truth + 1) % 10, truth)
    yield "saturated", list("0123456789"), truth, odds / odds.sum(axis=1, keepdims=True)


def number(value):
    value = float(value)
    return value if math.isfinite(value) else None


def numbers(values):
    return [number(value) for value in values]


def mean(values, weights=None):
    """The mean over the defined values."""
    values = np.array([np.nan if value is None else value for value in values])
    defined = ~np.isnan(values)
    if not defined.any():
        return None
    return number(np.average(values[defined], weights=None if weights is None else weights[defined]))


def class_figures(truth, predicted, probabilities):
    classes = probabilities.shape[1]
    labels = range(classes)
    scores = sk.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    result = []
    for c in labels:
        is_class = truth == c
        precision, recall, f1, support = (score[c] for score in scores)
        if c not in truth and c not in predicted:
            precision, recall, f1 = np.nan, np.nan, np.nan
        both = 0 < is_class.sum() < len(truth)
        result.append({
            "precision": number(precision),
            "recall": number(recall),
            "f1": number(f1),
            "support": int(support),
            "auc": number(sk.roc_auc_score(is_class, probabilities[:, c])) if both else None,
            "average_precision": number(sk.average_precision_score(is_class, probabilities[:, c]))
            if is_class.any()
            else None,
        })
    return result


def expected_calibration_error(truth, predicted, probabilities):
    confidence = probabilities[np.arange(len(truth)), predicted]
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    gaps = [
        (bins == b).mean() * abs((predicted == truth)[bins == b].mean() - confidence[bins == b].mean())
        for b in range(BINS)
        if (bins == b).any()
    ]
    return number(np.sum(gaps))


def top_k(truth, probabilities, k):
    """scikit-learn ranks the higher class first on ties; columns are reversed for the lower one."""
    classes = probabilities.shape[1]
    reversed_truth = classes - 1 - truth
    return number(sk.top_k_accuracy_score(reversed_truth, probabilities[:, ::-1], k=k, labels=range(classes)))


def scalars(truth, predicted, probabilities, classes):
    labels = range(probabilities.shape[1])
    one_hot = np.eye(len(labels))[truth]
    average = {
        f"{name}_{figure}": number(value)
        for name in ("macro", "weighted")
        for figure, value in zip(
            ("precision", "recall", "f1"),
            sk.precision_recall_fscore_support(truth, predicted, average=name, zero_division=0),
        )
    }
    support = np.array([c["support"] for c in classes])
    area = {
        f"macro_{figure}": mean([c[figure] for c in classes]) for figure in ("auc", "average_precision")
    } | {
        f"weighted_{figure}": mean([c[figure] for c in classes], support)
        for figure in ("auc", "average_precision")
    }
    if len(labels) > 2 and all(c["support"] for c in classes):
        # The means above are scikit-learn's own where it has one.
        for name in ("macro", "weighted"):
            whole = sk.roc_auc_score(truth, probabilities, multi_class="ovr", average=name, labels=labels)
            assert abs(whole - area[f"{name}_auc"]) < 1e-14
            whole = sk.average_precision_score(truth, probabilities, average=name)
            assert abs(whole - area[f"{name}_average_precision"]) < 1e-14
    return average | area | {
        "accuracy": number(sk.accuracy_score(truth, predicted)),
        "balanced_accuracy": number(sk.balanced_accuracy_score(truth, predicted)),
        "cohen_kappa": number(sk.cohen_kappa_score(truth, predicted)),
        "mcc": number(sk.matthews_corrcoef(truth, predicted)),
        "log_loss": number(sk.log_loss(truth, probabilities, labels=labels)),
        "brier_score": number(sk.brier_score_loss(truth, probabilities, labels=labels)),
        "ece": expected_calibration_error(truth, predicted, probabilities),
        "micro_auc": number(sk.roc_auc_score(one_hot, probabilities, average="micro")),
        "micro_average_precision": number(
            sk.average_precision_score(one_hot, probabilities, average="micro")
        ),
    }


def roc(positive, score, drop_intermediate=True):
    fpr, tpr, threshold = sk.roc_curve(positive, score, drop_intermediate=drop_intermediate)
    return {"fpr": numbers(fpr), "tpr": numbers(tpr), "threshold": numbers(threshold)}


def curves(truth, probabilities, classes):
    """The curves, among them scikit-learn's example of a macro average over all classes that have one."""
    one_hot = np.eye(probabilities.shape[1])[truth]
    defined = [c for c in range(probabilities.shape[1]) if classes[c]["auc"] is not None]
    per_class = {c: sk.roc_curve(one_hot[:, c], probabilities[:, c]) for c in defined}
    grid = np.unique(np.concatenate([fpr for fpr, _, _ in per_class.values()]))
    height = np.mean([np.interp(grid, fpr, tpr) for fpr, tpr, _ in per_class.values()], axis=0)
    first = defined[0]
    precision, recall, threshold = sk.precision_recall_curve(one_hot[:, first], probabilities[:, first])
    return {
        "class": first,
        "roc": roc(one_hot[:, first], probabilities[:, first]),
        "roc_whole": roc(one_hot[:, first], probabilities[:, first], drop_intermediate=False),
        "micro": roc(one_hot.ravel(), probabilities.ravel()),
        "macro": {"fpr": numbers(grid), "tpr": numbers(height), "auc": number(sk.auc(grid, height))},
        "precision_recall": {
            "precision": numbers(precision),
            "recall": numbers(recall),
            "threshold": numbers(threshold),
        },
    }


def report(truth, predicted, names, output_dict):
    present = sorted(set(truth) | set(predicted))
    return sk.classification_report(
        truth,
        predicted,
        labels=present,
        target_names=[names[c] for c in present],
        output_dict=output_dict,
        zero_division=0,
    )


def report_text(truth, predicted, names):
    text = report(truth, predicted, names, output_dict=False)
    # Where nothing at all is right, scikit-learn counts in floating point and prints a support of 24 as 24.0.
    return re.sub(r"(\d+)\.0$", r"  \1", text, flags=re.MULTILINE)


def without_nan(value):
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    return number(value)


def case(name, names, truth, odds):
    single = odds.astype(np.float32)
    probabilities = single.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    loss = np.maximum(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-30)), 0.0)
    classes = class_figures(truth, predicted, probabilities)
    return {
        "name": name,
        "classes": names,
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        # The digits of single precision, which read back to the same bits.
        "probabilities": [float(str(value)) for value in single.ravel()],
        "loss": loss.tolist(),
        "figures": {"loss": number(loss.mean())} | scalars(truth, predicted, probabilities, classes),
        "top_k": {k: top_k(truth, probabilities, k) for k in (1, 3, 5) if k < len(names) and len(names) > 2},
        "confusion": sk.confusion_matrix(truth, predicted, labels=range(len(names))).tolist(),
        "class_figures": classes,
        "curves": curves(truth, probabilities, classes),
        "report_text": report_text(truth, predicted, names),
        "report_dict": without_nan(report(truth, predicted, names, output_dict=True)),
    }


def main():
    cases = [json.dumps(case(*entry), separators=(",", ":"), ensure_ascii=False) for entry in sets()]
    text = "[\n" + ",\n".join(cases) + "\n]\n"
    Path(__file__).with_name("scikit_learn.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
