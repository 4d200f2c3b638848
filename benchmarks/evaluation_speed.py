"""Times the log likelihood of a dense VAE, relative to the matrix products of its decoder.

    python benchmarks/evaluation_speed.py            # 40 images x 5,000 draws, several times
    python benchmarks/evaluation_speed.py --full     # 10,000 images x 5,000 draws, once

784-200-200-50 and back, tanh, Bernoulli (Burda, Grosse and Salakhutdinov 2016, section 5): one draw
of one image takes 2 (50 * 200 + 200 * 200 + 200 * 784) = 413,600 floating-point operations of the
decoder, and 10,000 images x 5,000 draws 2.1e13. Products of the same shapes, and products of square
matrices with as many operations, are timed in turns with the evaluation, so that other load on the
machine affects all of them. With --full they are timed after every hundredth of the images. Peak
memory is what the evaluation adds to that of the process with its model and images.
"""

import argparse
import itertools
import json
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae

SIZES = (50, 200, 200, 784)
DRAW = 2 * sum(a * b for a, b in itertools.pairwise(SIZES))
ROWS, SIDE = 2500, 2048


def build() -> tfpvae.VAE:
    """Returns the untrained VAE."""
    tanh = [tf_keras.layers.Dense(200, "tanh") for _ in range(4)]
    return tfpvae.build_vae(
        "dense",
        latent_dim=SIZES[0],
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *tanh[:2]]),
        decoder_backbone=tf_keras.Sequential([*tanh[2:], tf_keras.layers.Dense(784)]),
    )


def decoder_products() -> Callable[[int], None]:
    """Returns a function that multiplies rows [n, 50] by the three kernels of the decoder."""
    kernels = [tf.random.normal(shape) for shape in itertools.pairwise(SIZES)]
    rows = tf.random.normal([ROWS, SIZES[0]])

    @tf.function
    def once():
        product = rows
        for kernel in kernels:
            product = tf.matmul(product, kernel)
        return product[0, 0]

    def run(draws: int) -> None:
        for _ in range(round(draws / ROWS)):
            once().numpy()

    return run


def square_products() -> Callable[[int], None]:
    """Returns a function that multiplies square matrices, with the operations of so many draws."""
    square = tf.random.normal([SIDE, SIDE])
    once = tf.function(lambda: tf.matmul(square, square)[0, 0])

    def run(draws: int) -> None:
        for _ in range(max(1, round(draws * DRAW / (2 * SIDE**3)))):
            once().numpy()

    return run


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Returns the elapsed time and the processor time of a call."""
    clock, processors = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - processors


def main() -> None:
    """Prints and writes times, their ratio and the memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40, help="at a time")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--full", action="store_true", help="100 images at a time, 100 times")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if args.full:
        args.images, args.repeats = 100, 100
    vae = build()
    images = np.random.default_rng(0).integers(0, 2, (args.images * args.repeats, 28, 28, 1))
    images = images.astype("float32")
    draws = args.images * args.draws
    actions = {"products": decoder_products(), "square": square_products()}
    for action in actions.values():
        action(ROWS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    vae.log_likelihood(images[:1], args.draws, seed=0)  # traces
    times: dict[str, list] = {name: [] for name in ("evaluation", *actions)}
    for i in range(args.repeats):
        batch = images[i * args.images : (i + 1) * args.images]
        score = partial(vae.log_likelihood, batch, args.draws, seed=i)
        times["evaluation"].append(seconds(score))
        for name, action in actions.items():
            times[name].append(seconds(partial(action, draws)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: dict = {
        "images": len(images),
        "draws": args.draws,
        "memory_mib": (after - before) / 1024,
    }
    for name, values in times.items():
        clock, processors = np.transpose(values)
        results[name] = {
            "seconds": clock.sum(),
            "processor_seconds": processors.sum(),
            "fastest": clock.min(),
            "gigaflops": draws * DRAW * args.repeats / clock.sum() / 1e9,
        }
    for name in actions:
        ratios = [e[0] / p[0] for e, p in zip(times["evaluation"], times[name], strict=True)]
        results[f"evaluation_over_{name}"] = {
            "of_sums": results["evaluation"]["seconds"] / results[name]["seconds"],
            "median": float(np.median(ratios)),
            "of_fastest": results["evaluation"]["fastest"] / results[name]["fastest"],
            "of_processors": results["evaluation"]["processor_seconds"]
            / results[name]["processor_seconds"],
        }
    text = json.dumps(results, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
