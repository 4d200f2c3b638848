"""Sizes, errors and times of LiteRT's encoders and decoders, beside TensorFlow's own.

    pip install ai-edge-litert
    python benchmarks/litert.py                       # prints a Markdown table
    python benchmarks/litert.py --models dense conv

Each model is trained for a few epochs on drawn digits, or on drawn flowers, saved, and converted
from its SavedModel four ways: as it is, with weights of float16, with weights of int8, and with all
arithmetic in int8, whose ranges 100 training images tell. The errors are those of the means, over
200 images that the model has not seen, to what TensorFlow answers: of latents in standard
deviations of the posterior, of pixels in parts of their range, [0, 1]. The times are the least of
many calls, of an image alone and of 32 together, on as many threads as there are cores.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

import tfpvae
from tfpvae import datasets

# Options of build_vae, and what is learnt from: drawn pictures, batch size, epochs.
MODELS = {
    "dense": ({}, datasets.draw_digits, 4800, 50, 10),
    "conv": ({}, datasets.draw_digits, 4800, 50, 10),
    "flowers": (
        {"image_shape": (80, 80, 3), "posterior": "multivariate_normal_tril"},
        *(datasets.draw_flowers, 800, 8, 3),
    ),
}
KINDS = ("float32", "float16 weights", "int8 weights", "int8")
UNSEEN, KNOWN, TOGETHER = 200, 100, 32
SECONDS = 3  # the longest that one time is taken


def trained(name: str, folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Saves a model into the folder, and returns training and unseen images, float32."""
    options, draw, count, batch_size, epochs = MODELS[name]
    images = draw(count + UNSEEN).images
    training, unseen = images[:count], images[count:]
    tf_keras.utils.set_random_seed(0)
    mean = training.mean(axis=0) / 255
    vae = tfpvae.build_vae(name, pixel_mean=mean, start_images=training, **options)
    vae.compile(tf_keras.optimizers.Adam(5e-4))
    vae.fit(training, batch_size=batch_size, epochs=epochs, verbose=0)
    vae.save(folder)
    return training / np.float32(255), unseen / np.float32(255)


def converted(folder: str, signature: str, kind: str, known: dict[str, np.ndarray]) -> bytes:
    """Returns the file of one signature; `known` are inputs as they will come."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16 weights":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        ((name, values),) = known.items()
        converter.representative_dataset = lambda: ({name: one[None]} for one in values)
    with warnings.catch_warnings():
        # To see the ranges TensorFlow takes its own, deprecated interpreter.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter")
        return converter.convert()


def milliseconds(answer: Callable, name: str, values: np.ndarray) -> float:
    """Returns the least time of up to 100 calls: whatever else runs can only add to it."""
    times: list[float] = []
    while len(times) < 100 and sum(times) < SECONDS:
        start = time.perf_counter()
        answer(**{name: values})
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def halves(encode: Callable, known: np.ndarray, unseen: np.ndarray) -> dict[str, tuple]:
    """Returns each signature's argument, inputs as they will come, those to compare, and a unit."""
    codes = [encode(images=tf.constant(images)) for images in (known, unseen)]
    return {
        "encode": ("images", known, unseen, codes[1]["stddev"].numpy()),
        "decode": ("latents", *(code["mean"].numpy() for code in codes), 1),
    }


def rows(name: str, folder: str) -> Iterator[list[str]]:
    """Yields the cells of a model's lines of the table."""
    known, unseen = trained(name, folder)
    signatures = tf.saved_model.load(folder).signatures
    for signature, half in halves(signatures["encode"], known[:KNOWN], unseen).items():
        argument, some, values, unit = half

        def plain(signature=signature, **given):
            given = {key: tf.constant(value) for key, value in given.items()}
            return {key: value.numpy() for key, value in signatures[signature](**given).items()}

        def pace(answer, argument=argument, values=values):
            return [f"{milliseconds(answer, argument, values[:n]):.2f}" for n in (1, TOGETHER)]

        want = plain(**{argument: values})["mean"]
        yield [name, signature, "TensorFlow", "", "", "", *pace(plain)]
        for kind in KINDS:
            file = converted(folder, signature, kind, {argument: some})
            interpreter = Interpreter(model_content=file, num_threads=os.cpu_count())
            answer = interpreter.get_signature_runner(signature)
            error = (answer(**{argument: values})["mean"] - want) / unit
            errors = [f"{np.abs(error).max():.1g}", f"{np.sqrt(np.mean(error**2)):.1g}"]
            yield [name, signature, kind, f"{len(file) / 1000:,.0f}", *errors, *pace(answer)]


def main() -> None:
    """Prints the table, line by line as it is measured."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS])
    args = parser.parse_args()
    head = [
        "model",
        "signature",
        "file",
        "kB",
        "largest error",
        "typical",
        "ms",
        f"ms of {TOGETHER}",
    ]
    print("|", " | ".join(head), "|")
    print("|---" * len(head) + "|")
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            for cells in rows(name, str(Path(folder, "model"))):
                print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
