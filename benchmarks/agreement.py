"""Compares training with the defaults and in bfloat16 with training step by step.

    python benchmarks/agreement.py                    # drawn digits and flowers
    python benchmarks/agreement.py --data MNIST       # a folder of MNIST's IDX files
    python benchmarks/agreement.py --networks flowers --epochs 20 --ways defaults bfloat16

For each network and seed, the same start values are trained on the same images in three ways: with
the defaults, step by step without XLA, and in bfloat16. The losses of the first epoch show whether
the fast way learns what the slow one does. -ELBO of test images after all epochs, computed in
float32, shows whether bfloat16 costs anything. The differences between seeds are the noise of both.
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
NETWORKS = {"dense": (128, 3), "conv": (128, 3), "flowers": (20, 5)}  # batch size, epochs
TEST_FRACTION = 5  # one image in five


def images_of(network: str, data: Path | None) -> np.ndarray:
    """Returns the images that a network is trained and scored on."""
    if network == "flowers":
        return datasets.draw_flowers(500, seed=0).images
    if data:
        return datasets.load_mnist("mnist", source=data)[0].images[:12_000]
    return datasets.draw_digits(4000, seed=0).images


def learn(network: str, way: str, seed: int, images: np.ndarray, epochs: int) -> dict[str, float]:
    """Returns the loss of the first epoch and -ELBO of the test images, in nats per image."""
    batch_size = NETWORKS[network][0]
    training, test = images[len(images) // TEST_FRACTION :], images[: len(images) // TEST_FRACTION]
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
    """Prints the scores of each way and seed, and how far the ways are apart."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--epochs", type=int, help="default: 3 or 5, by the network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    scores: dict = {}
    for network in args.networks:
        images = images_of(network, args.data)
        scores[network] = {
            way: [
                learn(network, way, seed, images, args.epochs or NETWORKS[network][1])
                for seed in args.seeds
            ]
            for way in args.ways
        }
        for number in ("loss", "negative_elbo"):
            values = {
                way: np.array([run[number] for run in runs])
                for way, runs in scores[network].items()
            }
            print(f"{network}, {number}")
            for way, numbers in values.items():
                difference = (numbers / values[args.ways[0]] - 1).mean()
                each = " ".join(f"{value:10.1f}" for value in numbers)
                print(f"  {way:14}{each}   {difference:+.2%} of {args.ways[0]}", flush=True)
        if args.output:
            args.output.write_text(json.dumps(scores, indent=2) + "\n")


if __name__ == "__main__":
    main()
