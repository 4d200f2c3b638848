"""Times what a trained VAE answers, beside the machine's matrix products.

    python benchmarks/answers.py

Images a second of 10,000: encoded, reconstructed, sampled, and scored by `log_likelihood` with 100
draws each. "of the products" is that rate over the one at which this machine, in the same round,
multiplies matrices of 2,048 columns as often as the answer's networks have operations, counted; the
median of the rounds. A convolution reaches less of it than a dense layer does.

And what a process waits for: `import tfpvae` after TensorFlow, TensorFlow Probability and tf_keras
are there, `load_model` of a SavedModel, and the first answer of it, which is traced.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from throughput import product_rate

import tfpvae
from tfpvae.training import execution

IMAGES, DRAWS, ROUNDS = 10_000, 100, 5
SLICE = 1000  # images that the encoder is given at a time, so that they fit into memory
START = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow, tensorflow_probability, tf_keras
times = [time.perf_counter()]
import tfpvae
times.append(time.perf_counter())
vae = tf_keras.models.load_model(sys.argv[1])
times.append(time.perf_counter())
vae.reconstruct(np.zeros([1, *vae.image_shape], "float32"))
times.append(time.perf_counter())
print(*np.diff(times))
"""


def answers(vae: tfpvae.VAE, images: np.ndarray) -> dict[str, tuple[int, float, Callable]]:
    """Returns, of each answer, how many images it is of, its operations an image, and itself."""
    encoder, decoder = (execution.operations(network) for network in (vae.encoder, vae.decoder))
    few = images[: len(images) // DRAWS]

    def encode():
        return [vae.encoder(images[i : i + SLICE]).mean() for i in range(0, len(images), SLICE)]

    return {
        "encode": (len(images), encoder, encode),
        "reconstruct": (len(images), encoder + decoder, lambda: vae.reconstruct(images)),
        "sample": (len(images), decoder, lambda: vae.sample(len(images), seed=0)),
        f"log_likelihood, {DRAWS} draws": (
            len(few),
            encoder + DRAWS * decoder,
            lambda: vae.log_likelihood(few, DRAWS, seed=0),
        ),
    }


def rates(architecture: str, count: int) -> dict[str, dict]:
    """Returns images a second of each answer, and which part that is of the products' rate."""
    vae = tfpvae.build_vae(architecture)
    vae.compile()
    images = np.random.default_rng(0).random((count, *vae.image_shape), np.float32)
    result: dict = {}
    for name, (number, operations, answer) in answers(vae, images).items():
        answer()  # traces
        measured = []
        for _ in range(ROUNDS):
            limit = product_rate() / operations
            start = time.perf_counter()
            answer()
            rate = number / (time.perf_counter() - start)
            measured.append((rate, rate / limit))
        per_second, share = np.median(measured, axis=0)
        result[name] = {"images_per_second": per_second, "of_the_products": share}
    return result


def start_seconds(architecture: str) -> dict[str, float]:
    """Returns what a new process waits for: medians of some."""
    vae = tfpvae.build_vae(architecture)
    vae.compile()
    with tempfile.TemporaryDirectory() as folder:
        vae.save(f"{folder}/model")
        command = [sys.executable, "-c", START, f"{folder}/model"]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        runs = [
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            for _ in range(ROUNDS)
        ]
    times = np.median([[float(x) for x in run.stdout.split()] for run in runs], axis=0)
    return dict(zip(("import", "load", "first answer"), times.tolist(), strict=True))


def main() -> None:
    """Prints a table a network, and writes all numbers if told where."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--networks", nargs="+", default=["dense", "conv", "flowers"])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    result: dict = {}
    for network in args.networks:
        result[network] = {"answers": rates(network, args.images), "start": start_seconds(network)}
        print(network)
        for name, one in result[network]["answers"].items():
            rate, share = one["images_per_second"], one["of_the_products"]
            print(f"  {name:28}{rate:10.0f} images/s{share:8.0%} of the products")
        for name, seconds in result[network]["start"].items():
            print(f"  {name:28}{seconds:10.2f} s", flush=True)
    if args.output:
        args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
