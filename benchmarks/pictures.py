"""Times pictures on their way from JPEG files, beside the training that they are for.

    python benchmarks/pictures.py                     # drawn flowers, written as JPEG of 160x160
    python benchmarks/pictures.py --data PHOTOGRAPHS

Rates are pictures a second of `datasets.stream_pictures` as the files are read for the first time
and, out of its memory, for the second; and of the "flowers" network in float32 and in bfloat16, in
the same run. The memory is what an epoch over 100,000 pictures, too many to be kept, adds to the
process: those are the same files under many names.
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


def drawn(folder: Path, count: int = 1000) -> tuple[str, ...]:
    """Writes drawn flowers of twice the size, and returns their paths."""
    images = datasets.draw_flowers(count, image_shape=(160, 160, 3), seed=0).images
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:05}.jpg", quality=90)
    return datasets.list_pictures(folder).paths


def seconds_an_epoch(batches) -> float:
    """Returns the time that all batches take."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def training_rate(images: np.ndarray, precision: str) -> float:
    """Returns the pictures a second of the second epoch."""
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
    """Prints rates and memory, and writes them if told where."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, help="a folder of pictures")
    parser.add_argument("--output", type=Path, help="JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = datasets.list_pictures(args.data).paths if args.data else drawn(Path(name))
        options = {"image_shape": SHAPE, "batch_size": BATCH, "shuffle": True, "seed": 0}
        stream = datasets.stream_pictures(paths, on_error="skip", **options)
        result = {"pictures": len(paths)}
        result["decoded_per_second"] = len(paths) / seconds_an_epoch(stream)
        result["kept_per_second"] = len(paths) / seconds_an_epoch(stream)
        many = (paths * -(-MANY // len(paths)))[:MANY]
        stream = datasets.stream_pictures(many, on_error="skip", **options)
        before = memory()
        result["decoded_per_second_of_100000"] = MANY / seconds_an_epoch(stream)
        result["memory_mib_of_100000"] = memory() - before
        result["memory_mib_in_all"] = memory()
        images = datasets.load_pictures(paths[:400], image_shape=SHAPE, on_error="skip").images
    for precision in ("float32", "bfloat16"):
        result[f"trained_per_second_{precision}"] = training_rate(images, precision)
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
