"""The same training in JAX, a whole epoch compiled as one scan: the fastest peer known on a CPU.

    python jax_peer.py DATA_FOLDER OPTIMIZER EPOCHS [ACTIVATION]

The last, short batch of an epoch is left out, because a scan needs equal batches. The first epoch includes the compilation.
Prints one JSON line: seconds of each epoch.
"""

import functools
import gzip
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

SIZES = [784, 512, 128, 10]
RATE = 0.01


def train_split(folder):
    def values(kind, offset):
        path = Path(folder) / f"train-{kind}"
        raw = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
        return np.frombuffer(raw, np.uint8, offset=offset)

    images = values("images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) / 255
    return jnp.asarray(images), jnp.asarray(values("labels-idx1-ubyte", 8).astype(np.int32))


def first_weights(key):
    weights = []
    for inputs, outputs in zip(SIZES, SIZES[1:]):
        key, *keys = jax.random.split(key, 3)
        bound = inputs**-0.5
        shapes = [(inputs, outputs), (outputs,)]
        weights.append([jax.random.uniform(k, s, minval=-bound, maxval=bound) for k, s in zip(keys, shapes)])
    return weights


def forward(weights, activation, key, values):
    for index, (weight, bias) in enumerate(weights):
        values = values @ weight + bias
        if index + 1 < len(weights):
            key, drop = jax.random.split(key)
            kept = jax.random.bernoulli(drop, 0.8, values.shape)
            values = jnp.where(kept, activation(values) / 0.8, 0.0)
    return values


def update(name, weights, moments, gradients, step):
    tree = jax.tree_util.tree_map
    if name == "sgd":
        return tree(lambda w, g: w - RATE * g, weights, gradients), moments
    first, second = moments
    if name == "rmsprop":
        second = tree(lambda s, g: 0.99 * s + 0.01 * g * g, second, gradients)
        return tree(lambda w, g, s: w - RATE * g / (jnp.sqrt(s) + 1e-8), weights, gradients, second), (first, second)
    first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = tree(lambda s, g: 0.999 * s + 0.001 * g * g, second, gradients)
    scale, root = RATE / (1 - 0.9**step), jnp.sqrt(1 - 0.999**step)
    move = lambda w, m, s: w - scale * m / (jnp.sqrt(s) / root + 1e-8)
    return tree(move, weights, first, second), (first, second)


@functools.partial(jax.jit, static_argnames=("name", "activation"))
def epoch(carry, key, images, labels, name, activation):
    order_key, drop_key = jax.random.split(key)
    batches = len(images) // 64
    order = jax.random.permutation(order_key, len(images))[: batches * 64].reshape(batches, 64)

    def step(carry, indices):
        weights, moments, number = carry
        batch, targets = images[indices], labels[indices]

        def objective(weights):
            output = forward(weights, activation, jax.random.fold_in(drop_key, number), batch)
            log_probabilities = jax.nn.log_softmax(output)
            return -jnp.take_along_axis(log_probabilities, targets[:, None], 1).mean(), output

        (loss, output), gradients = jax.value_and_grad(objective, has_aux=True)(weights)
        weights, moments = update(name, weights, moments, gradients, number)
        return (weights, moments, number + 1), (loss, (output.argmax(1) == targets).mean())

    carry, figures = jax.lax.scan(step, carry, order)
    return carry, jax.tree_util.tree_map(jnp.mean, figures)


def main(folder, name, epochs, activation="relu"):
    images, labels = train_split(folder)
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[activation]
    weights = first_weights(jax.random.PRNGKey(0))
    zeros = jax.tree_util.tree_map(jnp.zeros_like, weights)
    carry, seconds, figures = (weights, (zeros, zeros), 1), [], None
    for number in range(int(epochs)):
        start = time.perf_counter()
        carry, figures = epoch(carry, jax.random.PRNGKey(number), images, labels, name, activation)
        loss, accuracy = (float(figure) for figure in figures)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"version": jax.__version__, "epoch_seconds": seconds, "loss": loss, "accuracy": accuracy}))


main(*sys.argv[1:])
