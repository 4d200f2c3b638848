"""Images and labels at random: what a VAE takes it answers, and what it does not stays outside."""

import re
import signal
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import tfpvae
from tests.fuzz import TIMES, numbered
from tfpvae import evaluation

SHAPE, CLASSES = (4, 3, 1), 3
OTHER_SHAPES = [
    (4, 3),
    (4, 3, 3),
    (3, 4, 1),
    (1, 4, 3),
    (4, 3, 1, 1),
    (8, 6, 1),
    (12,),
    (),
    (4, 0, 1),
]
DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16, "uint8", ">f4"]
OTHER_DTYPES = [
    "int8",
    "int32",
    "int64",
    "uint16",
    "uint64",
    "bool",
    "complex64",
    "U3",
    "O",
    "M8[s]",
]


class Given(NamedTuple):
    """What is given, and whether it is as the documentation wants it."""

    value: Any
    is_good: bool


def pixels(rng: Random, count: int) -> Given:
    """Returns an array of images, or of what are none."""
    is_good, shape, dtype = True, SHAPE, rng.choice(DTYPES)
    spoilt = rng.choice([None, None, None, None, "shape", "dtype", "values"])
    if spoilt == "shape":
        shape, is_good = rng.choice(OTHER_SHAPES), False
    drawn = np.random.default_rng(rng.randrange(2**32))
    shape = (count, *shape) if rng.random() < 0.9 or spoilt != "shape" else shape
    values = drawn.uniform(size=shape)
    if spoilt == "values":
        values, is_good = spoil(values, rng), False
        dtype = dtype if dtype != "uint8" else "float32"
    if spoilt == "dtype":
        dtype, is_good = rng.choice(OTHER_DTYPES), False
    if dtype == "uint8":
        values = np.round(255 * values)
        is_good &= values.size > 0 and values.max() > 1
    if dtype == "M8[s]":
        values = values.astype(int)
    return Given(values.astype(dtype), bool(is_good and count))


def spoil(values: np.ndarray, rng: Random) -> np.ndarray:
    """Returns pixels of which one, or all, are out of range."""
    bad = rng.choice([float("nan"), float("inf"), -float("inf"), -0.25, 1.5, 255.0])
    if rng.random() < 0.5 and values.size:
        values.flat[rng.randrange(values.size)] = bad
        return values
    return np.full_like(values, bad)


def classes(rng: Random, count: int) -> Given:
    """Returns labels, or what are none."""
    dtype = rng.choice(["int32", "int64", "uint8", "int8", "uint64"])
    result = np.array([rng.randrange(CLASSES) for _ in range(count)], dtype)
    kind = rng.choice(["good"] * 5 + ["float", "shape", "range", "count", "one-hot", "words"])
    if kind == "float":
        result = result.astype(rng.choice(["float32", "bool", "float64"]))
    if kind == "shape":
        result = result[:, None]
    if kind == "range" and count:
        result = result.astype("int64")
        result[rng.randrange(count)] = rng.choice([-1, CLASSES, 2**40, -(2**40)])
    if kind == "count":
        result = np.concatenate([result, result[:1], result[:1], np.zeros(1, dtype)])
    if kind == "one-hot":
        result = np.eye(CLASSES)[result.astype(int)]
    if kind == "words":
        result = result.astype(str)
    return Given(result, kind == "good" and count > 0)


def saved(rng: Random, array: Any) -> tuple[Any, bool]:
    """Returns an array in one of the forms it may come in, and whether it is one of those."""
    form = rng.choice(["array", "array", "strided", "readonly", "fortran", "tensor", "list", "odd"])
    is_plain = array.dtype.kind not in "UOM" and array.dtype.byteorder != ">"
    if form == "strided":
        array = np.repeat(array, 2, axis=0)[::2] if array.ndim else array
    if form == "readonly":
        array = array.copy()
        array.flags.writeable = False
    if form == "fortran":
        array = np.asfortranarray(array)
    if form == "tensor" and is_plain:
        return tf.constant(array), True
    if form == "list":
        return array.tolist(), False
    if form == "odd":
        return rng.choice(
            [None, "images", 3, {}, object(), b"x", np.float32, [array, array]]
        ), False
    return array, True


def batched(rng: Random, *arrays: np.ndarray) -> tuple[Any, bool]:
    """Returns a tf.data.Dataset of arrays, in batches or, wrongly, one by one."""
    dataset = tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])
    in_batches = rng.random() < 0.8
    return dataset.batch(9) if in_batches else dataset, in_batches


# What is asked of a VAE, as (vae, images, labels, options) -> arrays, and in which forms it takes
# images: also as tf.data, and also as lists, of which it makes tensors.


class Asked(NamedTuple):
    call: Callable
    takes_data: bool = False
    takes_lists: bool = False
    takes_labels: bool = True
    options: tuple[str, ...] = ()


def fit(vae, images, labels, **options):
    fitted = vae.fit(images, labels, verbose=0, **options)
    return [np.array(values) for values in fitted.history.values()]


def evaluate(vae, images, labels, **options):
    return [np.array(vae.evaluate(images, labels, verbose=0, **options))]


def validated(vae, images, labels, **options):
    count = 2
    good = np.full([count, *SHAPE], 0.5), np.zeros(count, int) if vae.num_classes else None
    held_out = images if labels is None else (images, labels)
    fitted = vae.fit(*good, validation_data=held_out, verbose=0, **options)
    return [np.array(values) for values in fitted.history.values()]


def predict(vae, images, labels, **options):
    return [vae.predict(images if labels is None else [images, labels], verbose=0, **options)]


def asked(method):
    def call(vae, images, labels, **options):
        return [getattr(vae, method)(images, labels=labels, **options)]

    return call


def bounds(vae, images, labels, **options):
    result = evaluation.importance_bounds(vae, images, **{"num_samples": 2} | options)
    return [result.log_likelihood, result.effective_samples]


def non_finite(vae, images, labels, **options):
    result = evaluation.first_non_finite(vae, images, labels)
    assert result is None or result.startswith("images: "), result
    return []


def distortion(vae, images, labels, **options):
    return list(evaluation.rate_distortion(vae, images, **{"num_samples": 2} | options))


DRAWS = ("num_samples", "seed")
ASKED = {
    "fit": Asked(fit, takes_data=True, options=("batch_size", "sample_weight")),
    "validation_data": Asked(validated, takes_data=True),
    "evaluate": Asked(evaluate, takes_data=True, options=("sample_weight",)),
    "predict": Asked(predict, takes_data=True),
    "reconstruct": Asked(asked("reconstruct"), takes_data=True),
    "elbo": Asked(asked("elbo"), takes_lists=True, options=DRAWS),
    "log_likelihood": Asked(asked("log_likelihood"), takes_lists=True, options=DRAWS),
    "importance_bounds": Asked(bounds, takes_lists=True, takes_labels=False, options=DRAWS),
    "rate_distortion": Asked(distortion, takes_lists=True, takes_labels=False, options=DRAWS),
    "first_non_finite": Asked(non_finite, takes_lists=True),
}
NAMES = "x|y|images|labels|validation_data|sample_weight|batch_size|num_samples|seed"


def option(rng: Random, name: str, count: int) -> Given:
    """Returns what an option may have, or may not."""
    if name == "sample_weight":
        weights = np.linspace(0.5, 1, count)
        kinds = {
            "good": weights,
            "long": np.ones(count + 1),
            "square": np.ones([count, count + 2]),
            "nan": weights * np.nan,
            "word": "x",
            "words": weights.astype(str),
        }
        kind = rng.choice(["good", "good", *kinds])
        return Given(kinds[kind], kind == "good")
    good = [1, 2, np.int64(3)]
    bad = [0, -1, 1.5, "2", True, [1], float("nan")]
    if name == "seed":
        good, bad = [None, 0, -5, 2**40, (1, 2)], ["x", 1.5, [1, 2, 3], (0.5, 1), object()]
    is_good = rng.random() < 0.7
    return Given(rng.choice(good if is_good else bad), is_good)


class Input(NamedTuple):
    images: Any
    labels: Any
    options: dict[str, Any]
    count: int
    is_good: bool | None  # None where either will do


def drawn(method: str, is_conditional: bool, number: int) -> Input:
    """Returns one input of a method."""
    rng, how = numbered(f"{method} {is_conditional}", number), ASKED[method]
    count = rng.choice([0, 1, 2, 2, 3, 5])
    array, is_good = pixels(rng, count)
    inputs, labels, has_good_labels = array, None, True
    if is_conditional:
        labels, has_good_labels = classes(rng, count)
    is_tensor = array.dtype.kind not in "UOM" and array.dtype.byteorder != ">"
    if how.takes_data and is_tensor and array.ndim and rng.random() < 0.2:
        arrays = [array] if labels is None else [array, labels]
        if labels is None or (len(labels) == len(array) and labels.dtype.kind != "U"):
            data, in_batches = batched(rng, *arrays)
            return Input(data, None, {}, count, is_good and has_good_labels and in_batches)
    inputs, is_held = saved(rng, array)
    good: bool | None = is_good and is_held and has_good_labels
    if not is_held and isinstance(inputs, list) and how.takes_lists:
        good = None
    if method == "first_non_finite" and array.dtype.kind in "fV":
        good = good or None  # it is what finds bad values
    if method == "validation_data" and inputs is None:
        good = None  # which is to have none
    options = {}
    for name in how.options:
        if rng.random() < 0.15:
            options[name], is_right = option(rng, name, count)
            good = good and is_right if is_right is False or good is not None else None
    return Input(inputs, labels, options, count, good)


@pytest.fixture(scope="module")
def vaes():
    result = {}
    for is_conditional in (False, True):
        more = {"num_classes": CLASSES} if is_conditional else {}
        vae = tfpvae.build_vae("deep", image_shape=SHAPE, posterior="independent_normal", **more)
        vae.compile(run_eagerly=True)
        vae.fit(np.full([2, *SHAPE], 0.5), np.zeros(2, int) if more else None, verbose=0)
        result[is_conditional] = vae
    return result


def state(vae) -> list[np.ndarray]:
    return [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]


def answered(vae, method: str, inputs: Input) -> str:
    """Returns what became of an input; raises AssertionError if it is what must not be."""
    before = state(vae)
    signal.alarm(60)  # whoever hangs is ended
    try:
        result = ASKED[method].call(vae, inputs.images, inputs.labels, **inputs.options)
    except (ValueError, TypeError) as error:
        assert re.match(rf"({NAMES}): ", str(error)), f"{type(error).__name__}: {error}"
        assert inputs.is_good is not True, f"refused, though right: {error}"
        assert all(map(np.array_equal, state(vae), before)), "changed by what it refused"
        return "refused"
    finally:
        signal.alarm(0)
    assert inputs.is_good is not False, "accepted, though wrong"
    for array in result:
        array = np.asarray(array, np.float64)
        assert np.isfinite(array).all(), "not finite"
        if method in ("predict", "reconstruct"):
            assert array.shape == (inputs.count, *SHAPE), array.shape
        elif method not in ("fit", "evaluate", "validation_data"):
            assert array.shape == (inputs.count,), array.shape
    return "answered"


@pytest.mark.parametrize("method", ASKED)
def test_good_images_are_answered_and_others_named(vaes, method):
    counts, failures = Counter(), []
    for is_conditional in (False, True) if ASKED[method].takes_labels else (False,):
        for number in range(5 * TIMES):
            inputs = drawn(method, is_conditional, number)
            try:
                counts[answered(vaes[is_conditional], method, inputs)] += 1
            except Exception as error:
                failures.append(f"{number}: {inputs}, {type(error).__name__}: {error}")
    print(method, dict(counts))
    assert not failures, "\n\n".join(failures)
    assert counts["answered"] and counts["refused"]
