"""Times training as one quantity grows: batch, latent space, image, or samples.

    python benchmarks/growth.py

Images per second of `vae.compile(); vae.fit(images)` after the first epochs, and the operations of
the matrix products and convolutions per image, forward and backward.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tf_keras
from networks import operations

import tfpvae

SECONDS = 2.0  # about, per epoch
FIRST_STEPS = 8
PLAIN = {"architecture": "dense", "batch_size": 128}
IWAE = {"objective": "iwae"}
GROWING = {
    "batch_size": [PLAIN | {"batch_size": size} for size in (16, 32, 64, 128, 256, 512, 1024)],
    "latent_dim": [PLAIN | {"latent_dim": size} for size in (2, 8, 32, 128)],
    "latent_dim, full covariance": [
        PLAIN | {"latent_dim": size, "posterior": "multivariate_normal_tril"}
        for size in (2, 8, 32, 128)
    ],
    "num_samples": [PLAIN | IWAE | {"num_samples": number} for number in (1, 5, 50)],
    "side of the image, dense": [
        PLAIN | {"image_shape": (side, side, 1)} for side in (28, 56, 112)
    ],
    "side of the image, convolutions": [
        {"architecture": "conv", "batch_size": 32, "image_shape": (side, side, 1)}
        for side in (28, 56, 112)
    ],
}


def rate(batch_size: int, **options) -> dict:
    """Returns images per second, and the operations per image."""
    vae = tfpvae.build_vae(**options)
    vae.compile()
    rng = np.random.default_rng(0)

    def seconds(count: int) -> float:
        images = rng.integers(0, 256, (count, *vae.image_shape), dtype=np.uint8)
        start = time.perf_counter()
        vae.fit(images, batch_size=batch_size, verbose=0)
        return time.perf_counter() - start

    count = FIRST_STEPS * batch_size
    seconds(count)  # traces and compiles
    for _ in range(2):  # the second epoch may compile again, for more steps per call
        count = batch_size * max(1, round(SECONDS * count / seconds(count) / batch_size))
    forward = operations(vae.encoder) + vae.num_samples * operations(vae.decoder)
    return {"images_per_second": count / seconds(count), "operations": 3 * forward}


def main() -> None:
    """Prints a table per quantity, and writes them if --output is set."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    results: dict = {}
    for quantity, settings in GROWING.items():
        print(quantity)
        results[quantity] = []
        for options in settings:
            tf_keras.backend.clear_session()
            row = options | rate(**options)
            results[quantity].append(row)
            value = row.get(quantity.split(",")[0], row.get("image_shape"))
            print(
                f"  {value!s:>14}{row['images_per_second']:10.0f} images/s"
                f"{row['operations'] / 1e6:10.1f} Mflop per image",
                flush=True,
            )
    if args.output:
        args.output.write_text(json.dumps(results, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
