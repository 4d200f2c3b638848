"""Measures sizes, errors and times of encoders and decoders in LiteRT, relative to TensorFlow.

    pip install ai-edge-litert
    python benchmarks/devices.py                       # prints a Markdown table
    python benchmarks/devices.py --models dense conv

Each model is trained for a few epochs on drawn digits or flowers, saved, and converted from its
SavedModel: for one image at a time in float32, with float16 weights, with int8 weights, and with
all arithmetic in int8, calibrated on 100 training images; and in float32 for any batch size. The
errors are differences between the means of LiteRT and TensorFlow over 100 unseen images: of latents
in standard deviations of the posterior, of pixels in their range [0, 1]. The times are the shortest
of many calls with one image, on as many threads as there are cores.
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

# Options of build_vae, the function that draws pictures, their number, batch size, epochs.
MODELS = {
    "dense": ({}, datasets.draw_digits, 4800, 50, 10),
    "conv": ({}, datasets.draw_digits, 4800, 50, 10),
    "flowers": (
        {"image_shape": (80, 80, 3), "posterior": "multivariate_normal_tril"},
        *(datasets.draw_flowers, 400, 8, 3),
    ),
}
ANY_BATCH = "float32, any batch size"
KINDS = ("float32", "float16 weights", "int8 weights", "int8", ANY_BATCH)
UNSEEN, CALIBRATION = 100, 100
SECONDS = 3  # limit of each timing


def trained(name: str, folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Trains and saves a model; returns the training and the unseen images, float32."""
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


def converter(folder: str, name: str, kind: str) -> tf.lite.TFLiteConverter:
    """Returns the converter of a signature, for one image or for any batch size."""
    if kind == ANY_BATCH:
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
    model = tf.saved_model.load(folder)
    signature = model.signatures[name]
    ((argument, spec),) = signature.structured_input_signature[1].items()
    spec = tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, argument)
    function = tf.function(lambda **inputs: signature(**inputs))
    function = function.get_concrete_function(**{argument: spec})
    return tf.lite.TFLiteConverter.from_concrete_functions([function], model)


def converted(folder: str, signature: str, kind: str, typical: dict[str, np.ndarray]) -> bytes:
    """Returns the LiteRT file of a signature; `typical` inputs calibrate its ranges."""
    converting = converter(folder, signature, kind)
    if not kind.startswith("float32"):
        converting.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16 weights":
        converting.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        ((name, values),) = typical.items()
        converting.representative_dataset = lambda: ({name: value[None]} for value in values)
    with warnings.catch_warnings():
        # For the ranges TensorFlow uses its own interpreter, which is deprecated.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter")
        return converting.convert()


def milliseconds(call: Callable, inputs: dict[str, np.ndarray]) -> str:
    """Returns the shortest time of up to 100 calls: other processes can only add to it."""
    times: list[float] = []
    while len(times) < 100 and sum(times) < SECONDS:
        start = time.perf_counter()
        call(**inputs)
        times.append(time.perf_counter() - start)
    return f"{1000 * min(times):.2f}"


def inputs_of(encode: Callable, typical: np.ndarray, unseen: np.ndarray) -> dict[str, tuple]:
    """Returns the argument of each signature, typical and unseen inputs, and the unit of errors."""
    codes = [encode(images=tf.constant(images)) for images in (typical, unseen)]
    return {
        "encode": ("images", typical, unseen, codes[1]["stddev"].numpy()),
        "decode": ("latents", *(code["mean"].numpy() for code in codes), 1),
    }


def rows(name: str, folder: str) -> Iterator[list[str]]:
    """Yields the cells of each line of a model in the table."""
    training, unseen = trained(name, folder)
    signatures = tf.saved_model.load(folder).signatures
    inputs = inputs_of(signatures["encode"], training[:CALIBRATION], unseen)
    for signature, (argument, typical, values, unit) in inputs.items():

        def plain(signature=signature, **inputs):
            inputs = {key: tf.constant(value) for key, value in inputs.items()}
            return {key: value.numpy() for key, value in signatures[signature](**inputs).items()}

        expected, first = plain(**{argument: values})["mean"], {argument: values[:1]}
        yield [name, signature, "TensorFlow", "", "", "", milliseconds(plain, first)]
        for kind in KINDS:
            file = converted(folder, signature, kind, {argument: typical})
            interpreter = Interpreter(model_content=file, num_threads=os.cpu_count())
            runner = interpreter.get_signature_runner()
            means = [runner(**{argument: value[None]})["mean"] for value in values]
            error = (np.concatenate(means) - expected) / unit
            errors = [f"{np.abs(error).max():.1g}", f"{np.sqrt(np.mean(error**2)):.1g}"]
            size = f"{len(file) / 1000:,.0f}"
            yield [name, signature, kind, size, *errors, milliseconds(runner, first)]


def main() -> None:
    """Prints the table line by line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[*MODELS])
    args = parser.parse_args()
    head = ["model", "signature", "file", "kB", "largest error", "typical", "ms"]
    print("|", " | ".join(head), "|")
    print("|---" * len(head) + "|")
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            for cells in rows(name, str(Path(folder, "model"))):
                print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
