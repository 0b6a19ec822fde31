"""Golden numbers from PyTorch for Kiln's training tests: `python pytorch.py > pytorch.json`.

Every case contains the Kiln configuration keys that describe it. Weights are written in Kiln's
layout, [inputs, outputs] (torch has the transpose). Network numbers are float32, learning rates
float64; both are written in full, so that reading them back gives the same values.
"""

import json
import re
import warnings

import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler as schedules

WIDTHS = [5, 7, 4, 3]
TARGETS = torch.tensor([0, 1, 2, 2, 1, 2])
CLASS_WEIGHTS = [0.5, 1.0, 2.0]
ACTIVATIONS = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
    "gelu": F.gelu,
    "silu": F.silu,
    "leaky-relu": F.leaky_relu,
    "softplus": F.softplus,
}
OUTPUTS = {
    "logits": lambda x: x,
    "log-softmax": lambda x: F.log_softmax(x, dim=1),
    "softmax": lambda x: F.softmax(x, dim=1),
    "sigmoid": torch.sigmoid,
}
OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

LR = 0.1  # of the schedules
STEPS = 40
STEPS_PER_EPOCH = 10
WARMUP = 8


def start():
    """The fixed inputs and the fixed parameters: weight, bias, weight, bias, ... in torch's layout.

    All are odd multiples of 1/256: exact in float32, and never zero.
    """
    generator = torch.Generator().manual_seed(2024)

    def draw(shape, bound):
        half = int(bound * 128)
        return (2 * torch.randint(-half, half, shape, generator=generator) + 1) / 256

    inputs = draw((len(TARGETS), WIDTHS[0]), 2.0)
    parameters = []
    for fan_in, fan_out in zip(WIDTHS, WIDTHS[1:]):
        parameters += [draw((fan_out, fan_in), 0.75), draw((fan_out,), 0.5)]
    return inputs, [p.requires_grad_() for p in parameters]


def forward(parameters, inputs, activation):
    """The logits."""
    values = inputs
    for i in range(0, len(parameters), 2):
        values = F.linear(values, parameters[i], parameters[i + 1])
        if i + 2 < len(parameters):
            values = ACTIVATIONS[activation](values)
    return values


def layers(tensors):
    """Tensors in the order of the parameters, as Kiln's `model.weights`."""
    tensors = [t.detach() for t in tensors]
    return [{"weight": w.T.tolist(), "bias": b.tolist()} for w, b in zip(tensors[::2], tensors[1::2])]


def network():
    inputs, parameters = start()
    return {
        "widths": WIDTHS,
        "weights": layers(parameters),
        "inputs": inputs.tolist(),
        "targets": TARGETS.tolist(),
    }


def model(activation, **more):
    return {"hidden": WIDTHS[1:-1], "activation": activation, **more}


def activation_case(activation):
    """Logits, cross-entropy and its gradients."""
    inputs, parameters = start()
    logits = forward(parameters, inputs, activation)
    loss = F.cross_entropy(logits, TARGETS)
    loss.backward()
    return {
        "name": activation,
        "config": {"model": model(activation), "loss": {"name": "cross-entropy"}},
        "logits": logits.tolist(),
        "loss": loss.item(),
        "gradients": layers([p.grad for p in parameters]),
    }


def loss_case(name, output, config):
    """A loss without its penalty, the objective with it, and the objective's gradients; tanh network."""
    inputs, parameters = start()
    values = OUTPUTS[output](forward(parameters, inputs, "tanh"))
    weight = torch.tensor(config["class_weights"]) if "class_weights" in config else None
    if config["name"] == "cross-entropy":
        smoothing = config.get("label_smoothing", 0.0)
        loss = F.cross_entropy(values, TARGETS, weight=weight, label_smoothing=smoothing)
    elif config["name"] == "nll":
        loss = F.nll_loss(values, TARGETS, weight=weight)
    else:
        loss = F.mse_loss(values, F.one_hot(TARGETS, WIDTHS[-1]).to(values.dtype))
    objective = loss
    if "l1" in config:
        objective = objective + config["l1"] * sum(w.abs().sum() for w in parameters[::2])
    if "l2" in config:
        objective = objective + config["l2"] * sum((w * w).sum() for w in parameters[::2])
    objective.backward()
    return {
        "name": name,
        "config": {"model": model("tanh", output=output), "loss": config},
        "output": values.tolist(),
        "loss": loss.item(),
        "objective": objective.item(),
        "gradients": layers([p.grad for p in parameters]),
    }


def loss_cases():
    ce = {"name": "cross-entropy"}
    smoothing = {"label_smoothing": 0.1}
    weights = {"class_weights": CLASS_WEIGHTS}
    return [
        loss_case("cross-entropy", "logits", ce),
        loss_case("cross-entropy-label-smoothing", "logits", ce | smoothing),
        loss_case("cross-entropy-class-weights", "logits", ce | weights),
        loss_case("cross-entropy-label-smoothing-class-weights", "logits", ce | smoothing | weights),
        loss_case("nll", "log-softmax", {"name": "nll"}),
        loss_case("nll-class-weights", "log-softmax", {"name": "nll"} | weights),
        loss_case("mse-logits", "logits", {"name": "mse"}),
        loss_case("mse-softmax", "softmax", {"name": "mse"}),
        loss_case("mse-sigmoid", "sigmoid", {"name": "mse"}),
        loss_case("cross-entropy-l1", "logits", ce | {"l1": 0.01}),
        loss_case("cross-entropy-l2", "logits", ce | {"l2": 0.02}),
        loss_case("cross-entropy-l1-l2", "logits", ce | {"l1": 0.01, "l2": 0.02}),
    ]


def optimizer_case(name, optimizer, **training):
    """Ten steps, all on the same six examples; tanh network, cross-entropy.

    With gradient accumulation, the six are split into equal batches in order. Gradient and loss are the
    means over those batches.
    """
    inputs, parameters = start()
    config = {"lr": 0.05, **optimizer}
    accumulation = training.get("gradient_accumulation", 1)
    batch_size = len(TARGETS) // accumulation
    options = {key: value for key, value in config.items() if key != "name"}
    optim = OPTIMIZERS[config["name"]](parameters, **options)
    losses, after = [], {}
    for step in range(1, 11):
        optim.zero_grad()
        total = 0.0
        for x, y in zip(inputs.split(batch_size), TARGETS.split(batch_size)):
            loss = F.cross_entropy(forward(parameters, x, "tanh"), y) / accumulation
            loss.backward()
            total = total + loss.detach()
        if "max_norm" in training:
            torch.nn.utils.clip_grad_norm_(parameters, training["max_norm"])
        if "max_value" in training:
            torch.nn.utils.clip_grad_value_(parameters, training["max_value"])
        optim.step()
        losses.append(total.item())
        if step in (1, 2, 10):
            after[step] = layers(parameters)
    training = {"epochs": 10, "batch_size": batch_size, "shuffle": False, **training}
    return {
        "name": name,
        "config": {"model": model("tanh"), "optimizer": config, "training": training},
        "losses": losses,
        "after": after,
    }


def optimizer_cases():
    sgd, rmsprop, adam, adamw = ({"name": name} for name in OPTIMIZERS)
    momentum = sgd | {"momentum": 0.9}
    tuned = adamw | {"betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.1}
    return [
        optimizer_case("sgd", sgd),
        optimizer_case("sgd-momentum", momentum),
        optimizer_case("sgd-dampening", momentum | {"dampening": 0.1}),
        optimizer_case("sgd-nesterov", momentum | {"nesterov": True}),
        optimizer_case("sgd-weight-decay", momentum | {"weight_decay": 0.01}),
        optimizer_case("rmsprop", rmsprop),
        optimizer_case("rmsprop-momentum", rmsprop | {"momentum": 0.9, "weight_decay": 0.01}),
        optimizer_case("adam", adam),
        optimizer_case("adam-weight-decay", adam | {"weight_decay": 0.01}),
        optimizer_case("adamw", adamw),
        optimizer_case("adamw-tuned", tuned),
        optimizer_case("sgd-max-norm", sgd, max_norm=0.1),
        optimizer_case("sgd-max-value", sgd, max_value=0.01),
        optimizer_case("adam-accumulation", adam, gradient_accumulation=2),
        # Adam hardly depends on the gradient's scale; with plain SGD, a sum in place of a mean is visible.
        optimizer_case("sgd-accumulation", sgd, gradient_accumulation=2),
    ]


def schedule_case(name, make, config, every, warmup=0):
    """The rate at each of 40 optimizer steps, with the schedule stepped after every `every` of them.

    A warm-up is PyTorch's own: a SequentialLR of two schedules. LinearLR reaches the full rate in the last step of the
    warm-up, and the schedule begins in the next step. SequentialLR is stepped after each step of the warm-up, and then
    as often as the schedule without a warm-up: a schedule of epochs counts the ends of epochs after the warm-up.
    """
    optim = torch.optim.SGD([torch.zeros(1)], lr=LR)
    schedule = make(optim, STEPS - warmup)
    if warmup > 0:
        schedule = schedules.SequentialLR(optim, [ramp(optim, warmup), schedule], milestones=[warmup])
        config = config | {"warmup_steps": warmup}
    lrs = []
    for step in range(1, STEPS + 1):
        lrs.append(optim.param_groups[0]["lr"])
        optim.step()
        if step <= warmup or step % every == 0:
            schedule.step()
    return {
        "name": name,
        "config": {"optimizer": {"lr": LR}, "lr_scheduler": config},
        "steps": STEPS,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "lrs": lrs,
    }


def ramp(optim, steps):
    return schedules.LinearLR(optim, start_factor=1 / steps, total_iters=steps - 1)


def plateau_case(name, figures, warmup=0):
    """The rate during each epoch, and the rate after its figure; an epoch is one step.

    SequentialLR does not accept ReduceLROnPlateau, so this function does the same by hand: the plateau's first figure
    is that of the first epoch with a step after the warm-up.
    """
    options = {
        "mode": "min",
        "factor": 0.5,
        "patience": 1,
        "threshold": 1e-4,
        "cooldown": 1,
        "min_lr": 0.01,
    }
    optim = torch.optim.SGD([torch.zeros(1)], lr=LR)
    config = {"name": "reduce-on-plateau", "monitor": "validation_loss", **options}
    rise = None
    if warmup > 0:
        rise = ramp(optim, warmup)
        config["warmup_steps"] = warmup
    schedule = schedules.ReduceLROnPlateau(optim, **options)
    lrs, after = [], []
    for step, figure in enumerate(figures, start=1):
        lrs.append(optim.param_groups[0]["lr"])
        optim.step()
        if step < warmup:
            rise.step()
        elif step > warmup:
            schedule.step(figure)
        after.append(optim.param_groups[0]["lr"])
    return {
        "name": name,
        "config": {"optimizer": {"lr": LR}, "lr_scheduler": config},
        "figures": figures,
        "lrs": lrs,
        "lrs_after": after,
    }


def schedule_cases():
    shared = {"min_lr_factor": 0.1}
    halved = {"step_size": 2, "gamma": 0.5}
    by_step = [
        ("constant", lambda o, _: schedules.LambdaLR(o, lambda _: 1.0), {}),
        ("linear", lambda o, steps: schedules.LinearLR(o, 1.0, 0.1, total_iters=steps), shared),
        ("cosine", lambda o, steps: schedules.CosineAnnealingLR(o, T_max=steps, eta_min=0.01), shared),
    ]
    by_epoch = [
        ("step", lambda o, _: schedules.StepLR(o, 2, 0.5), halved),
        ("exponential", lambda o, _: schedules.ExponentialLR(o, 0.9), {"gamma": 0.9}),
    ]
    cases = []
    for name, make, config in by_step:
        for suffix, warmup in [("", 0), ("-warmup", WARMUP)]:
            cases.append(schedule_case(name + suffix, make, {"name": name, **config}, 1, warmup))
    # A warm-up that ends within the first epoch, within the second, and at the end of the second.
    for name, make, config in by_epoch:
        for suffix, warmup in [("", 0), ("-warmup", WARMUP), ("-warmup-15", 15), ("-warmup-20", 20)]:
            case = {"name": name, **config}
            cases.append(schedule_case(name + suffix, make, case, STEPS_PER_EPOCH, warmup))
    # Improvements that reset the count, two within the threshold that do not, and two in a cooldown.
    mixed = [1.0, 0.9, 0.95, 0.8, 0.79995, 0.79993, 0.7, 0.7, 0.75, 0.6999, 0.71, 0.6]
    # Nothing improves: four drops, the last limited by min_lr.
    flat = [1.0, 1.1, 1.0, 1.2, 1.0, 1.0, 1.3, 0.99995, 0.99991, 1.0, 1.0, 1.0]
    return cases + [
        plateau_case("plateau", mixed),
        plateau_case("plateau-min-lr", flat),
        plateau_case("plateau-warmup", flat, warmup=4),
    ]


def main():
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    golden = {
        "torch": torch.__version__,
        "network": network(),
        "activations": [activation_case(name) for name in ACTIVATIONS],
        "losses": loss_cases(),
        "optimizers": optimizer_cases(),
        "schedules": schedule_cases(),
    }
    # Rows of numbers go on one line each.
    text = json.dumps(golden, indent=1, allow_nan=False)
    text = re.sub(r"\[[^][{}]*\]", lambda row: json.dumps(json.loads(row[0])), text)
    print(text)


if __name__ == "__main__":
    main()
