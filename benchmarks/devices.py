"""Sizes, errors and times of LiteRT's encoders and decoders, beside TensorFlow's own.

    pip install ai-edge-litert
    python benchmarks/devices.py                       # prints a Markdown table
    python benchmarks/devices.py --models dense conv

Each model is trained for a few epochs on drawn digits, or on drawn flowers, saved, and converted
from its SavedModel: for one image at a time as it is, with weights of float16, with weights of
int8, and with all arithmetic in int8, whose ranges 100 training images tell; and as it is for any
batch size. The errors are those of the means, over 100 images that the model has not seen, to what
TensorFlow answers: of latents in standard deviations of the posterior, of pixels in parts of their
range, [0, 1]. The times are the least of many calls with an image alone, on as many threads as
there are cores.
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
        *(datasets.draw_flowers, 400, 8, 3),
    ),
}
ANY_BATCH = "float32, any batch size"
KINDS = ("float32", "float16 weights", "int8 weights", "int8", ANY_BATCH)
UNSEEN, KNOWN = 100, 100
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


def converter(folder: str, name: str, kind: str) -> tf.lite.TFLiteConverter:
    """Returns the converter of a signature, for one image unless for any number of them."""
    if kind == ANY_BATCH:
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
    model = tf.saved_model.load(folder)
    signature = model.signatures[name]
    ((argument, spec),) = signature.structured_input_signature[1].items()
    spec = tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, argument)
    one = tf.function(lambda **inputs: signature(**inputs))
    one = one.get_concrete_function(**{argument: spec})
    return tf.lite.TFLiteConverter.from_concrete_functions([one], model)


def converted(folder: str, signature: str, kind: str, names: dict[str, np.ndarray]) -> bytes:
    """Returns the file of one signature; `known` are inputs as they will come."""
    converting = converter(folder, signature, kind)
    if not kind.startswith("float32"):
        converting.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16 weights":
        converting.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        ((name, values),) = names.items()
        converting.representative_dataset = lambda: ({name: one[None]} for one in values)
    with warnings.catch_warnings():
        # To see the ranges TensorFlow takes its own, deprecated interpreter.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter")
        return converting.convert()


def milliseconds(answer: Callable, inputs: dict[str, np.ndarray]) -> str:
    """Returns the least time of up to 100 calls: whatever else runs can only add to it."""
    times: list[float] = []
    while len(times) < 100 and sum(times) < SECONDS:
        start = time.perf_counter()
        answer(**inputs)
        times.append(time.perf_counter() - start)
    return f"{1000 * min(times):.2f}"


def halves(encode: Callable, names: np.ndarray, unseen: np.ndarray) -> dict[str, tuple]:
    """Returns each signature's argument, inputs as they will come, those to compare, and a unit."""
    codes = [encode(images=tf.constant(images)) for images in (names, unseen)]
    return {
        "encode": ("images", names, unseen, codes[1]["stddev"].numpy()),
        "decode": ("latents", *(code["mean"].numpy() for code in codes), 1),
    }


def rows(name: str, folder: str) -> Iterator[list[str]]:
    """Yields the cells of a model's lines of the table."""
    names, unseen = trained(name, folder)
    signatures = tf.saved_model.load(folder).signatures
    for signature, half in halves(signatures["encode"], names[:KNOWN], unseen).items():
        argument, batch, values, unit = half

        def plain(signature=signature, **inputs):
            inputs = {key: tf.constant(value) for key, value in inputs.items()}
            return {key: value.numpy() for key, value in signatures[signature](**inputs).items()}

        want, one = plain(**{argument: values})["mean"], {argument: values[:1]}
        yield [name, signature, "TensorFlow", "", "", "", milliseconds(plain, one)]
        for kind in KINDS:
            file = converted(folder, signature, kind, {argument: batch})
            interpreter = Interpreter(model_content=file, num_threads=os.cpu_count())
            answer = interpreter.get_signature_runner()
            result = [answer(**{argument: value[None]})["mean"] for value in values]
            error = (np.concatenate(result) - want) / unit
            errors = [f"{np.abs(error).max():.1g}", f"{np.sqrt(np.mean(error**2)):.1g}"]
            size = f"{len(file) / 1000:,.0f}"
            yield [name, signature, kind, size, *errors, milliseconds(answer, one)]


def main() -> None:
    """Prints the table, line by line as it is measured."""
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
