"""Times the methods of a trained VAE, relative to the machine's matrix products.

    python benchmarks/answers.py

Images per second, of 10,000: encoded, reconstructed, sampled, and scored by `log_likelihood` with
100 draws each. "of the products" compares the rate with the limit that the operations of the
networks and the speed of matrix products of 2,048 columns, measured in the same round, would allow;
it is the median over rounds. Convolutions reach less of it than dense layers.

Also the times that a new process waits: for `import tfpvae` after its three dependencies, for
`load_model` of a SavedModel, and for its first reconstruction, which is traced.
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
from networks import operations
from throughput import product_rate

import tfpvae

IMAGES, DRAWS, ROUNDS = 10_000, 100, 5
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


def calls_of(vae: tfpvae.VAE, images: np.ndarray) -> dict[str, tuple[int, float, Callable]]:
    """Returns the number of images, the operations per image and the call of each method."""
    encoder, decoder = operations(vae.encoder), operations(vae.decoder)
    few = images[: len(images) // DRAWS]

    return {
        "encode": (len(images), encoder, lambda: vae.encode(images)),
        "reconstruct": (len(images), encoder + decoder, lambda: vae.reconstruct(images)),
        "sample": (len(images), decoder, lambda: vae.sample(len(images), seed=0)),
        f"log_likelihood, {DRAWS} draws": (
            len(few),
            encoder + DRAWS * decoder,
            lambda: vae.log_likelihood(few, DRAWS, seed=0),
        ),
    }


def rates(architecture: str, count: int) -> dict[str, dict]:
    """Returns images per second of each method, and their ratio to the limit of the products."""
    vae = tfpvae.build_vae(architecture)
    vae.compile()
    images = np.random.default_rng(0).random((count, *vae.image_shape), np.float32)
    results: dict = {}
    for name, (number, per_image, call) in calls_of(vae, images).items():
        call()  # traces
        measured = []
        for _ in range(ROUNDS):
            limit = product_rate() / per_image
            start = time.perf_counter()
            call()
            rate = number / (time.perf_counter() - start)
            measured.append((rate, rate / limit))
        per_second, share = np.median(measured, axis=0)
        results[name] = {"images_per_second": per_second, "of_the_products": share}
    return results


def start_seconds(architecture: str) -> dict[str, float]:
    """Returns the seconds that a new process waits, medians over processes."""
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
    return dict(zip(("import", "load", "first reconstruction"), times.tolist(), strict=True))


def main() -> None:
    """Prints a table per network, and writes all numbers if --output is set."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--networks", nargs="+", default=["dense", "conv", "flowers"])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    results: dict = {}
    for network in args.networks:
        measured = rates(network, args.images), start_seconds(network)
        results[network] = dict(zip(("answers", "start"), measured, strict=True))
        print(network)
        for name, numbers in results[network]["answers"].items():
            rate, share = numbers["images_per_second"], numbers["of_the_products"]
            print(f"  {name:28}{rate:10.0f} images/s{share:8.0%} of the products")
        for name, seconds in results[network]["start"].items():
            print(f"  {name:28}{seconds:10.2f} s", flush=True)
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
