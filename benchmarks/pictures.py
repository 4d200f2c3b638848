"""Times reading pictures from JPEG files, relative to training on them.

    python benchmarks/pictures.py                     # drawn flowers, written as JPEG of 160x160
    python benchmarks/pictures.py --data PHOTOGRAPHS

Rates are pictures per second of `datasets.stream_pictures`, in the first epoch from files and in
the second from its cache, and of training "flowers" in float32 and in bfloat16, in the same run.
The memory is what an epoch over 100,000 pictures, too many for the cache, adds to the process; they
are the same files repeated.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from PIL import Image

import tfpvae
from tfpvae import datasets

SHAPE = (80, 80, 3)
BATCH = 20
MANY = 100_000


def write_flowers(folder: Path, count: int = 1000) -> tuple[str, ...]:
    """Writes drawn flowers of twice the size; returns their paths."""
    images = datasets.draw_flowers(count, image_shape=(160, 160, 3), seed=0).images
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:05}.jpg", quality=90)
    return datasets.list_pictures(folder).paths


def seconds_per_epoch(batches) -> float:
    """Returns the time of one pass over all batches."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def training_rate(images: np.ndarray, precision: str) -> float:
    """Returns the pictures per second of the second epoch."""
    vae = tfpvae.build_vae("flowers", image_shape=SHAPE, precision=precision)
    vae.compile()
    vae.fit(images, batch_size=BATCH, verbose=0)
    start = time.perf_counter()
    vae.fit(images, batch_size=BATCH, verbose=0)
    return len(images) / (time.perf_counter() - start)


def memory() -> float:
    """Returns the peak of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints rates and memory, and writes them if --output is set."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, help="a folder of pictures")
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = datasets.list_pictures(args.data).paths if args.data else write_flowers(Path(name))
        options = {"image_shape": SHAPE, "batch_size": BATCH, "shuffle": True, "seed": 0}
        stream = datasets.stream_pictures(paths, on_error="skip", **options)
        results = {"pictures": len(paths)}
        results["decoded_per_second"] = len(paths) / seconds_per_epoch(stream)
        results["kept_per_second"] = len(paths) / seconds_per_epoch(stream)
        many = (paths * -(-MANY // len(paths)))[:MANY]
        stream = datasets.stream_pictures(many, on_error="skip", **options)
        before = memory()
        results["decoded_per_second_of_100000"] = MANY / seconds_per_epoch(stream)
        results["memory_mib_of_100000"] = memory() - before
        results["memory_mib_in_all"] = memory()
        images = datasets.load_pictures(paths[:400], image_shape=SHAPE, on_error="skip").images
    for precision in ("float32", "bfloat16"):
        results[f"trained_per_second_{precision}"] = training_rate(images, precision)
    text = json.dumps(results, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
