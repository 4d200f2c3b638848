"""Trains one network with each prior, posterior and objective, all for the same epochs.

    python benchmarks/choices.py --data MNIST_FOLDER --epochs 20 --output choices.json

Dynamically binarized MNIST, 784-200-200-50 and back, tanh, the decoder's last bias at the logit of
the training mean, Adam 1e-3, batches of 100 (the network of Burda, Grosse and Salakhutdinov 2016,
section 5). The last 5,000 of the 60,000 training images are not used. -ELBO and the
importance-weighted NLL are means over binarized test images, in nats. Choices whose results are in
the output are not run again.
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

LATENT_DIM = 50
CHOICES = {
    "standard normal": {},
    "mixture prior, 50 components": {"prior": ("mixture", {"num_components": 50})},
    "VampPrior, 500 pseudo-inputs": {"prior": ("vampprior", {"num_components": 500})},
    "flow prior (maf)": {"prior": ("flow", {})},
    "full covariance": {"posterior": "multivariate_normal_tril"},
    "diagonal plus low rank": {"posterior": "low_rank"},
    "inverse autoregressive flow": {"posterior": "iaf"},
    "IWAE, k = 5": {"objective": "iwae", "num_samples": 5},
    "IWAE, k = 50": {"objective": "iwae", "num_samples": 50},
    "DReG, k = 5": {"objective": "dreg", "num_samples": 5},
}


def build(options: dict, images: np.ndarray, seed: int) -> tfpvae.VAE:
    """Returns the network with one of the choices."""
    tf_keras.utils.set_random_seed(seed)
    tanh = [tf_keras.layers.Dense(200, "tanh") for _ in range(4)]
    options = dict(options)
    if "prior" in options:
        kind, settings = options.pop("prior")
        if kind == "vampprior":
            settings = settings | {"image_shape": (28, 28, 1), "start_images": images}
        options["prior"] = tfpvae.build_prior(kind, latent_dim=LATENT_DIM, **settings)
    return tfpvae.build_vae(
        "dense",
        latent_dim=LATENT_DIM,
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *tanh[:2]]),
        decoder_backbone=tf_keras.Sequential([*tanh[2:], tf_keras.layers.Dense(784)]),
        pixel_mean=images.mean(axis=0) / 255,
        **options,
    )


def run(options: dict, data: Path, args: argparse.Namespace) -> dict:
    """Returns the scores of one choice on the test images."""
    training, test = datasets.load_mnist("mnist", source=data)
    images = training.images[:55_000]
    binarized = datasets.binarize(test.images, seed=args.seed)[: args.test_images]
    vae = build(options, images, args.seed)
    vae.compile(tf_keras.optimizers.Adam(1e-3))
    batches = datasets.batches(
        images, batch_size=100, binarization="dynamic", shuffle=True, seed=args.seed
    )
    start = time.perf_counter()
    vae.fit(batches, epochs=args.epochs, verbose=2 if args.verbose else 0)
    seconds = time.perf_counter() - start
    elbo = vae.elbo(binarized, 10, seed=args.seed).numpy()
    bound = vae.log_likelihood(binarized, args.test_samples, seed=args.seed).numpy()
    return {
        "negative_elbo": float(-elbo.mean()),
        "nll": float(-bound.mean()),
        "nll_standard_error": float(bound.std() / np.sqrt(len(bound))),
        "seconds": seconds,
        "kl_method": vae.kl_method,
    }


def main() -> None:
    """Runs the choices without results, and writes after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--output", type=Path, default=Path("choices.json"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-images", type=int, default=10_000)
    parser.add_argument("--test-samples", type=int, default=500)
    parser.add_argument("--only", nargs="*", choices=CHOICES, default=[*CHOICES])
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    settings = {k: v for k, v in vars(args).items() if k not in ("only", "verbose", "output")}
    settings = {name: str(value) for name, value in settings.items()}
    results = json.loads(args.output.read_text()) if args.output.exists() else {}
    if results and results["settings"] != settings:
        parser.error(f"--output: wanted a file of the same settings, got {results['settings']}")
    versions = {m.__name__: m.__version__ for m in (tf, tf_keras, tfp, tfpvae)}
    results |= {"settings": settings, "versions": {"python": platform.python_version(), **versions}}
    for name in args.only:
        if name in results.get("choices", {}):
            continue
        results.setdefault("choices", {})[name] = run(CHOICES[name], args.data, args)
        args.output.write_text(json.dumps(results, indent=2) + "\n")
        print(name, results["choices"][name], flush=True)


if __name__ == "__main__":
    main()
