"""Times training as one thing grows: the batch, the latent space, the image, the samples.

    python benchmarks/growth.py

Images a second of `vae.compile(); vae.fit(images)`, the second epoch of one, and beside them the
operations of the matrix products and convolutions of an image, forward and backward, counted.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tf_keras

import tfpvae
from tfpvae.training import execution

SECONDS = 2.0  # about, of an epoch
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
    """Returns images a second, and the operations of an image."""
    vae = tfpvae.build_vae(**options)
    vae.compile()
    rng = np.random.default_rng(0)

    def seconds(count: int) -> float:
        images = rng.integers(0, 256, (count, *vae.image_shape), dtype=np.uint8)
        start = time.perf_counter()
        vae.fit(images, batch_size=batch_size, verbose=0)
        return time.perf_counter() - start

    steps = execution.steps_per_call(vae, batch_size)
    count = 4 * steps * batch_size
    seconds(count)  # traces and compiles
    count = batch_size * max(steps, round(SECONDS * count / seconds(count) / batch_size))
    both = execution.operations(vae.encoder) + vae.num_samples * execution.operations(vae.decoder)
    return {"images_per_second": count / seconds(count), "operations": 3 * both}


def main() -> None:
    """Prints a table for each thing that grows, and writes them if told where."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    result: dict = {}
    for thing, settings in GROWING.items():
        print(thing)
        result[thing] = []
        for options in settings:
            tf_keras.backend.clear_session()
            here = options | rate(**options)
            result[thing].append(here)
            value = here.get(thing.split(",")[0], here.get("image_shape"))
            print(
                f"  {value!s:>14}{here['images_per_second']:10.0f} images/s"
                f"{here['operations'] / 1e6:10.1f} Mflop an image",
                flush=True,
            )
    if args.output:
        args.output.write_text(json.dumps(result, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
