"""Trains the flower VAE on photographs with each of several likelihoods, side by side.

    python benchmarks/likelihoods.py --data PHOTOGRAPHS --output likelihoods

The settings are those of examples/flowers.py with latent_dim 32 in batches of 4: Adam 5e-4 falling
as a cosine, the encoder frozen for three of five epochs. Densities are trained on dequantized
pixels. Scores are means over the test pictures. likelihoods.json has them, and reconstructions.png
and samples.png show the same pictures and latents for all. Likelihoods whose results are in the
output are not run again.
"""

import argparse
import json
import math
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
from tfpvae import datasets, figures, layers

SHAPE = (80, 80, 3)
LIKELIHOODS = {
    "Bernoulli": {"likelihood": "bernoulli"},
    "continuous Bernoulli": {"likelihood": "continuous_bernoulli", "dequantize": True},
    "normal, learned scale": {"likelihood": "normal", "dequantize": True},
    "mixture of logistics": {"likelihood": layers.LogisticMixtureLikelihood(SHAPE)},
    "coupled mixture of logistics": {"likelihood": layers.CoupledLogisticMixtureLikelihood(SHAPE)},
}


def build(options: dict, images: np.ndarray, args: argparse.Namespace) -> tfpvae.VAE:
    """Returns the flower VAE with one of the likelihoods."""
    tf_keras.utils.set_random_seed(args.seed)
    return tfpvae.build_vae(
        "flowers",
        latent_dim=32,
        pixel_mean=images.mean(axis=(0, 1, 2)) / 255,
        start_images=images,
        **options,
    )


def run(vae: tfpvae.VAE, images: list[np.ndarray], args: argparse.Namespace) -> dict:
    """Trains a VAE and returns its scores on the test pictures."""
    training, validation, test = images

    def rate(epoch):
        return args.learning_rate * (1 + math.cos(math.pi * epoch / args.epochs)) / 2

    frozen = max(1, 3 * args.epochs // 5)
    schedule = tf_keras.callbacks.LearningRateScheduler(rate)
    nlls = []
    start = time.perf_counter()
    for first, last in ((0, frozen), (frozen, args.epochs)):
        vae.encoder.trainable = last > frozen
        vae.compile(tf_keras.optimizers.Adam(args.learning_rate))
        history = vae.fit(
            training,
            batch_size=4,
            initial_epoch=first,
            epochs=last,
            validation_data=validation,
            callbacks=[schedule],
            verbose=2,
        ).history
        nlls += history.get("val_nll", [])
    seconds = time.perf_counter() - start
    scores = vae.evaluate(test, batch_size=20, verbose=0, return_dict=True)
    copies = vae.reconstruct(test, batch_size=20).numpy()
    scores["squared_error"] = float(np.mean((copies - test / np.float32(255)) ** 2))
    try:
        few = test[: args.scored_images]
        bits = vae.bits_per_dim(few, args.scored_draws, seed=args.seed)
        scores["bits_per_dim"] = float(np.mean(bits))
    except ValueError as error:  # undefined for a Bernoulli
        scores["bits_per_dim"] = None
        print(error)
    return {"test": scores, "val_nll": nlls, "seconds": seconds}


def draw(vae: tfpvae.VAE, test: np.ndarray, folder: Path, name: str, seed: int) -> None:
    """Saves the reconstructions and samples of one VAE for the figures."""
    images = {"reconstructions": vae.reconstruct(test[:10]), "samples": vae.sample(10, seed=seed)}
    np.savez(folder / f"{name}.npz", **{key: np.asarray(part) for key, part in images.items()})


def main() -> None:
    """Runs the likelihoods without results, writes after each, and draws all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of photographs")
    parser.add_argument("--output", type=Path, default=Path("likelihoods"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--most", type=int, help="pictures per part; default: all")
    parser.add_argument("--scored-images", type=int, default=20)
    parser.add_argument("--scored-draws", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=LIKELIHOODS, default=[*LIKELIHOODS])
    args = parser.parse_args()
    tf_keras.mixed_precision.set_global_policy(args.precision)
    args.output.mkdir(parents=True, exist_ok=True)
    parts = datasets.split_pictures(args.data)
    paths = [part.paths[: args.most] for part in parts]
    images = [
        datasets.load_pictures(part, image_shape=SHAPE, on_error="skip").images for part in paths
    ]
    path = args.output / "likelihoods.json"
    results = json.loads(path.read_text()) if path.exists() else {"likelihoods": {}}
    versions = {module.__name__: module.__version__ for module in (tf, tf_keras, tfp, tfpvae)}
    results["versions"] = {"python": platform.python_version(), **versions}
    results["settings"] = {key: str(value) for key, value in vars(args).items() if key != "only"}
    for name in args.only:
        if name not in results["likelihoods"]:
            vae = build(LIKELIHOODS[name], images[0], args)
            results["likelihoods"][name] = run(vae, images, args)
            draw(vae, images[2], args.output, name, args.seed)
            path.write_text(json.dumps(results, indent=2) + "\n")
        print(name, results["likelihoods"][name]["test"], flush=True)
    saved = {name: np.load(args.output / f"{name}.npz") for name in results["likelihoods"]}
    copies = {name: arrays["reconstructions"] for name, arrays in saved.items()}
    figures.reconstructions(images[2][:10], copies).savefig(args.output / "reconstructions.png")
    samples = np.concatenate([arrays["samples"] for arrays in saved.values()])
    figures.mosaic(samples, columns=10).savefig(args.output / "samples.png")


if __name__ == "__main__":
    main()
