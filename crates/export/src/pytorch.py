"""ABOUT

    model = load("FILE.safetensors")
    probabilities, classes = predict(model, rows)

`rows` are pictures as integers (batch, channels, height, width), or rows of the table with its columns: a list of dicts, for
example from pandas.DataFrame.to_dict("records").
"""

import datetime
import json
import math

import torch
from safetensors.torch import load_file
from torch import nn

SETTINGS = json.loads(r"""{}""")


class Scale(nn.Module):
    """The factor of standard dropout at prediction, when no unit is dropped."""

    def forward(self, x):
        return x * SETTINGS["keep"]


class Waves(nn.Module):
    """Appends an embedding of the numbers, as mixed waves, to the features (Holzmueller et al. 2024)."""

    def __init__(self, columns, waves, size):
        super().__init__()
        self.columns = columns
        self.frequency = nn.Parameter(torch.zeros(len(columns), waves))
        self.phase = nn.Parameter(torch.zeros(len(columns), waves))
        self.weight = nn.Parameter(torch.zeros(len(columns), waves, size))
        self.bias = nn.Parameter(torch.zeros(len(columns), size))

    def forward(self, x):
        turns = x[:, self.columns, None] * self.frequency + self.phase
        waves = torch.cos(2 * math.pi * (turns - torch.floor(turns + 0.5)))
        mixed = torch.einsum("bnw,nws->bns", waves, self.weight) + self.bias
        return torch.cat([x, mixed.flatten(1)], 1)


def sequential():
    sizes, waves = list(SETTINGS["sizes"]), SETTINGS["waves"]
    modules = []
    if waves:
        modules.append(Waves(**waves))
        sizes[0] += len(waves["columns"]) * waves["size"]
    for index in range(len(sizes) - 1):
        if index > 0:
            if SETTINGS["activation"]:
                modules.append(getattr(nn, SETTINGS["activation"])())
            if SETTINGS["keep"] != 1.0:
                modules.append(Scale())
        modules.append(nn.Linear(sizes[index], sizes[index + 1]))
    return nn.Sequential(*modules)


def load(path):
    """The network with its weights: a Sequential, or a ModuleList of several networks, whose probabilities are averaged."""
    count = SETTINGS["members"]
    model = sequential() if count == 1 else nn.ModuleList(sequential() for _ in range(count))
    model.load_state_dict(load_file(path))
    return model.eval()


def predict(model, rows):
    """Probabilities (batch, classes), and the names of the predicted classes."""
    with torch.no_grad():
        x = features(rows)
        if SETTINGS["members"] == 1:
            scores = model(x)
        else:
            scores = torch.stack([member(x).softmax(1) for member in model]).mean(0)
            scores = scores.clamp_min(torch.finfo(torch.float32).tiny).log()
        if SETTINGS["sigmoid"]:
            probabilities = scores.sigmoid()
            probabilities = probabilities / probabilities.sum(1, keepdim=True)
        else:
            probabilities = scores.softmax(1)
        if calibration := SETTINGS["calibration"]:
            logits = probabilities.double().clamp_min(torch.finfo(torch.float32).tiny).log()
            share, count = calibration["share"], len(SETTINGS["classes"])
            softmax = (logits / calibration["temperature"]).softmax(1)
            probabilities = ((1 - share) * softmax + share / count).float()
        if threshold := SETTINGS["threshold"]:
            positive = threshold["positive"]
            is_positive = probabilities[:, positive].double() >= threshold["least"]
            labels = torch.where(is_positive, positive, 1 - positive)
        else:
            labels = scores.argmax(1)
    return probabilities, [SETTINGS["classes"][label] for label in labels.tolist()]


def features(rows):
    """The input features for raw values."""
    given = SETTINGS["input"]
    if "shape" in given:
        x = torch.as_tensor(rows).float().flatten(1) / given["divisor"]
        return (x - given["mean"]) / given["deviation"]
    columns = given["columns"]
    return torch.tensor(
        [[value for column in columns for value in encoded(row[column["name"]], column)] for row in rows],
        dtype=torch.float64,
    ).float()


def encoded(cell, column):
    """The features of one cell; NaN, None and the usual words mean a missing value."""
    treatment = column["treatment"]
    is_missing = cell is None or cell != cell or str(cell) in SETTINGS["input"]["missing"]
    kind, indicator = treatment["as"], [float(is_missing)] if treatment["indicator"] else []
    if kind == "number":
        return [scaled(math.nan if is_missing else float(cell), treatment["scale"])] + indicator
    if kind == "boolean":
        words = {treatment["no"].lower(): 0.0, treatment["yes"].lower(): 1.0}
        return [words.get(word(cell).lower(), treatment["fill"])] + indicator
    if kind == "category":
        return [float(not is_missing and word(cell) == value) for value in treatment["values"]] + indicator
    days = math.nan if is_missing else days_of(cell, treatment["format"])
    return [scaled(part_of(days, part["name"]), part["scale"]) for part in treatment["parts"]] + indicator


def word(cell):
    """A number as a name, without ".0" if it is an integer."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def scaled(value, scale):
    if scale["spread"] == 0:
        return 0.0
    if math.isnan(value):
        value = math.nan if scale["median"] is None else scale["median"]
    knots = scale.get("knots", [])
    if len(knots) > 1:
        parts = [(value / 2 - a / 2) / (b / 2 - a / 2) for a, b in zip(knots, knots[1:])]
        return 2 * sum(min(max(part, 0.0), 1.0) for part in parts) / len(parts) - 1
    most = torch.finfo(torch.float32).max
    ratio = min(max((value - scale["offset"]) / scale["spread"], -most), most)
    return ratio / math.sqrt(1 + (ratio / 3) ** 2) if scale.get("clipped") else ratio


EPOCH = datetime.datetime(1970, 1, 1)


def days_of(cell, format):
    """Days since 1970, with the time as a fraction, of a date, a datetime, or a text in the table's format."""
    if isinstance(cell, str):
        cell = datetime.datetime.strptime(cell.strip(), format)
        if "%Y" not in format and "%y" not in format:
            cell = cell.replace(year=1970)
    elif not isinstance(cell, datetime.datetime):
        cell = datetime.datetime.combine(cell, datetime.time())
    whole = cell.replace(tzinfo=None) - EPOCH
    return whole.days + (whole.seconds + whole.microseconds * 1e-6) / 86400


def part_of(days, name):
    if math.isnan(days) or name == "days":
        return days
    whole = math.floor(days)
    date = EPOCH + datetime.timedelta(days=whole)
    minutes = min(math.floor((days - whole) * 1440 + 1e-6), 1439)
    parts = {"weekday": date.isoweekday(), "hour": minutes // 60, "minute": minutes % 60}
    return float(parts[name] if name in parts else getattr(date, name))
