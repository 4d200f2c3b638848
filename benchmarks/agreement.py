"""Compares what training learns with the defaults and in bfloat16 with what the slow way learns.

    python benchmarks/agreement.py                    # drawn digits and flowers
    python benchmarks/agreement.py --data MNIST       # a folder of MNIST's IDX files
    python benchmarks/agreement.py --networks flowers --epochs 20 --ways defaults bfloat16

For each network and seed the same start is trained on the same images three ways: with the
defaults, step by step without XLA, and in bfloat16. The losses of the first epoch tell whether the
fast way learns what the slow one does; -ELBO of images that were not trained on, after all epochs
and computed in float32, whether the short numbers cost anything. How far two seeds lie apart is the
noise that either is to be seen against.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tf_keras

import tfpvae
from tfpvae import datasets

WAYS = {
    "defaults": {},
    "step by step": {"jit_compile": False, "steps_per_execution": 1},
    "bfloat16": {},
}
NETWORKS = {"dense": (128, 3), "conv": (128, 3), "flowers": (20, 5)}  # images a step, epochs
HELD_OUT = 5  # one of so many


def images_of(network: str, data: Path | None) -> np.ndarray:
    """Returns what a network is trained on and scored with."""
    if network == "flowers":
        return datasets.draw_flowers(500, seed=0).images
    if data:
        return datasets.load_mnist("mnist", source=data)[0].images[:12_000]
    return datasets.draw_digits(4000, seed=0).images


def learn(network: str, way: str, seed: int, images: np.ndarray, epochs: int) -> dict[str, float]:
    """Returns the loss of the first epoch, and -ELBO of what was held out: nats an image."""
    batch_size = NETWORKS[network][0]
    training, test = images[len(images) // HELD_OUT :], images[: len(images) // HELD_OUT]
    tf_keras.utils.set_random_seed(seed)
    vae = tfpvae.build_vae(network, precision="bfloat16" if way == "bfloat16" else "float32")
    vae.compile(**WAYS[way])
    history = vae.fit(training, batch_size=batch_size, epochs=epochs, verbose=0).history
    if way == "bfloat16":
        exact = tfpvae.build_vae(network)
        exact.set_weights(vae.get_weights())
        vae = exact
    negative_elbo = -float(np.mean(vae.elbo(test, num_samples=10, seed=0)))
    return {"loss": history["loss"][0], "negative_elbo": negative_elbo}


def main() -> None:
    """Prints what each way learnt of each seed, and how far the ways lie apart."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--epochs", type=int, help="in place of a network's own 3 or 5")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    result: dict = {}
    for network in args.networks:
        images = images_of(network, args.data)
        result[network] = {
            way: [
                learn(network, way, seed, images, args.epochs or NETWORKS[network][1])
                for seed in args.seeds
            ]
            for way in args.ways
        }
        for number in ("loss", "negative_elbo"):
            values = {
                way: np.array([run[number] for run in runs])
                for way, runs in result[network].items()
            }
            print(f"{network}, {number}")
            for way, batch in values.items():
                away = (batch / values[args.ways[0]] - 1).mean()
                each = " ".join(f"{value:10.1f}" for value in batch)
                print(f"  {way:14}{each}   {away:+.2%} of {args.ways[0]}", flush=True)
        if args.output:
            args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
