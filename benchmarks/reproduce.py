"""Reproduces published numbers on MNIST, one row of the literature at a time.

    python benchmarks/reproduce.py --row E --data MNIST_FOLDER --epochs 20

Row E: a continuous Bernoulli beside a VAE trained with the Bernoulli cross-entropy and scored as
a continuous Bernoulli of the same logits (Loaiza-Ganem and Cunningham 2019, section 5: pixels
(x + u) / 256, 784-500-500-20 and back, relu, Adam 1e-3, batches of 50, 100 importance samples;
published: +1,470 nats of ELBO against 1,139). Nats an image of the 10,000 test images.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tfpvae import datasets


def row_e(args: argparse.Namespace) -> dict:
    """Returns ELBO and importance-weighted log likelihood of both trainings."""
    training, test = datasets.load_mnist("mnist", source=args.data)
    rng = np.random.default_rng(args.seed)
    pixels = ((test.images + rng.uniform(size=test.images.shape)) / 256).astype("float32")
    found = {}
    for trained_as in ("continuous_bernoulli", "bernoulli"):
        vae = _dense_500(trained_as, args.seed)
        vae.compile(tf_keras.optimizers.Adam(1e-3), jit_compile=True, steps_per_execution=50)
        start = time.perf_counter()
        vae.fit(_with_noise(training.images[:55_000], args.seed), epochs=args.epochs, verbose=2)
        seconds = time.perf_counter() - start
        scored = _dense_500("continuous_bernoulli", args.seed)
        scored.set_weights(vae.get_weights())
        found[f"trained as {trained_as}"] = {
            "elbo": float(np.mean(scored.elbo(pixels, 10, seed=args.seed))),
            "log_likelihood": float(np.mean(scored.log_likelihood(pixels, 100, seed=args.seed))),
            "seconds": seconds,
        }
    return found


def _dense_500(likelihood: str, seed: int) -> tfpvae.VAE:
    tf_keras.utils.set_random_seed(seed)
    relu = [tf_keras.layers.Dense(500, "relu") for _ in range(4)]
    return tfpvae.build_vae(
        "dense",
        latent_dim=20,
        likelihood=likelihood,
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *relu[:2]]),
        decoder_backbone=tf_keras.Sequential([*relu[2:], tf_keras.layers.Dense(784)]),
    )


def _with_noise(images: np.ndarray, seed: int) -> tf.data.Dataset:
    batches = datasets.batches(images, batch_size=50, shuffle=True, seed=seed)
    noise = tf.random.Generator.from_seed(seed)
    return batches.map(
        lambda x: (tf.cast(x, tf.float32) + noise.uniform(tf.shape(x))) / 256
    ).prefetch(4)


ROWS = {"E": row_e}


def main() -> None:
    """Runs a row and writes what it gave."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", required=True, choices=ROWS)
    parser.add_argument("--data", required=True, type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="default: row_X.json")
    args = parser.parse_args()
    versions = {module.__name__: module.__version__ for module in (tf, tf_keras, tfp, tfpvae)}
    settings = {name: str(value) for name, value in vars(args).items()}
    found = {
        "settings": settings,
        "versions": {"python": platform.python_version(), **versions},
        "scores": ROWS[args.row](args),
    }
    output = args.output or Path(f"row_{args.row}.json")
    output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found["scores"], indent=2))


if __name__ == "__main__":
    main()
