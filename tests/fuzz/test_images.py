"""Random images and labels: valid ones give finite results, invalid ones are named by the error."""

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


class Value(NamedTuple):
    """A value, and whether the documentation allows it."""

    value: Any
    is_good: bool


def pixels(rng: Random, count: int) -> Value:
    """Returns valid or invalid images."""
    is_good, shape, dtype = True, SHAPE, rng.choice(DTYPES)
    fault = rng.choice([None, None, None, None, "shape", "dtype", "values"])
    if fault == "shape":
        shape, is_good = rng.choice(OTHER_SHAPES), False
    generator = np.random.default_rng(rng.randrange(2**32))
    shape = (count, *shape) if rng.random() < 0.9 or fault != "shape" else shape
    values = generator.uniform(size=shape)
    if fault == "values":
        values, is_good = out_of_range(values, rng), False
        dtype = dtype if dtype != "uint8" else "float32"
    if fault == "dtype":
        dtype, is_good = rng.choice(OTHER_DTYPES), False
    if dtype == "uint8":
        values = np.round(255 * values)
        is_good &= values.size > 0 and values.max() > 1
    if dtype == "M8[s]":
        values = values.astype(int)
    return Value(values.astype(dtype), bool(is_good and count))


def out_of_range(values: np.ndarray, rng: Random) -> np.ndarray:
    """Returns pixels with one or all out of range."""
    bad = rng.choice([float("nan"), float("inf"), -float("inf"), -0.25, 1.5, 255.0])
    if rng.random() < 0.5 and values.size:
        values.flat[rng.randrange(values.size)] = bad
        return values
    return np.full_like(values, bad)


def classes(rng: Random, count: int) -> Value:
    """Returns valid or invalid labels."""
    dtype = rng.choice(["int32", "int64", "uint8", "int8", "uint64"])
    labels = np.array([rng.randrange(CLASSES) for _ in range(count)], dtype)
    kind = rng.choice(["good"] * 5 + ["float", "shape", "range", "count", "one-hot", "words"])
    if kind == "float":
        labels = labels.astype(rng.choice(["float32", "bool", "float64"]))
    if kind == "shape":
        labels = labels[:, None]
    if kind == "range" and count:
        labels = labels.astype("int64")
        labels[rng.randrange(count)] = rng.choice([-1, CLASSES, 2**40, -(2**40)])
    if kind == "count":
        labels = np.concatenate([labels, labels[:1], labels[:1], np.zeros(1, dtype)])
    if kind == "one-hot":
        labels = np.eye(CLASSES)[labels.astype(int)]
    if kind == "words":
        labels = labels.astype(str)
    return Value(labels, kind == "good" and count > 0)


def in_a_form(rng: Random, array: Any) -> tuple[Any, bool]:
    """Returns an array in some container, and whether that container is allowed."""
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
    """Returns a tf.data.Dataset of arrays, and whether it is in batches, as it should be."""
    dataset = tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])
    in_batches = rng.random() < 0.8
    return dataset.batch(9) if in_batches else dataset, in_batches


class Method(NamedTuple):
    """A method of a VAE, as (vae, images, labels, options) -> arrays, and what it takes."""

    call: Callable
    takes_data: bool = False
    takes_lists: bool = False  # which become tensors
    takes_labels: bool = True
    options: tuple[str, ...] = ()


def fit(vae, images, labels, **options):
    fitted = vae.fit(images, labels, verbose=0, **options)
    return [np.array(values) for values in fitted.history.values()]


def evaluate(vae, images, labels, **options):
    return [np.array(vae.evaluate(images, labels, verbose=0, **options))]


def validate(vae, images, labels, **options):
    count = 2
    good = np.full([count, *SHAPE], 0.5), np.zeros(count, int) if vae.num_classes else None
    unseen = images if labels is None else (images, labels)
    fitted = vae.fit(*good, validation_data=unseen, verbose=0, **options)
    return [np.array(values) for values in fitted.history.values()]


def predict(vae, images, labels, **options):
    return [vae.predict(images if labels is None else [images, labels], verbose=0, **options)]


def method_of(method):
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
METHODS = {
    "fit": Method(fit, takes_data=True, options=("batch_size", "sample_weight")),
    "validation_data": Method(validate, takes_data=True),
    "evaluate": Method(evaluate, takes_data=True, options=("sample_weight",)),
    "predict": Method(predict, takes_data=True),
    "reconstruct": Method(method_of("reconstruct"), takes_data=True),
    "elbo": Method(method_of("elbo"), takes_lists=True, options=DRAWS),
    "log_likelihood": Method(method_of("log_likelihood"), takes_lists=True, options=DRAWS),
    "importance_bounds": Method(bounds, takes_lists=True, takes_labels=False, options=DRAWS),
    "rate_distortion": Method(distortion, takes_lists=True, takes_labels=False, options=DRAWS),
    "first_non_finite": Method(non_finite, takes_lists=True),
}
NAMES = "x|y|images|labels|validation_data|sample_weight|batch_size|num_samples|seed"


def option(rng: Random, name: str, count: int) -> Value:
    """Returns a valid or invalid value of an option."""
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
        return Value(kinds[kind], kind == "good")
    good = [1, 2, np.int64(3)]
    bad = [0, -1, 1.5, "2", True, [1], float("nan")]
    if name == "seed":
        good, bad = [None, 0, -5, 2**40, (1, 2)], ["x", 1.5, [1, 2, 3], (0.5, 1), object()]
    is_good = rng.random() < 0.7
    return Value(rng.choice(good if is_good else bad), is_good)


class Input(NamedTuple):
    images: Any
    labels: Any
    options: dict[str, Any]
    count: int
    is_good: bool | None  # None if it may be taken or refused


def random_input(method: str, is_conditional: bool, number: int) -> Input:
    """Returns one input of a method."""
    rng, takes = numbered(f"{method} {is_conditional}", number), METHODS[method]
    count = rng.choice([0, 1, 2, 2, 3, 5])
    array, is_good = pixels(rng, count)
    inputs, labels, has_good_labels = array, None, True
    if is_conditional:
        labels, has_good_labels = classes(rng, count)
    is_tensor = array.dtype.kind not in "UOM" and array.dtype.byteorder != ">"
    if takes.takes_data and is_tensor and array.ndim and rng.random() < 0.2:
        arrays = [array] if labels is None else [array, labels]
        if labels is None or (len(labels) == len(array) and labels.dtype.kind != "U"):
            data, in_batches = batched(rng, *arrays)
            return Input(data, None, {}, count, is_good and has_good_labels and in_batches)
    inputs, is_allowed = in_a_form(rng, array)
    good: bool | None = is_good and is_allowed and has_good_labels
    if not is_allowed and isinstance(inputs, list) and takes.takes_lists:
        good = None
    if method == "first_non_finite" and array.dtype.kind in "fV":
        good = good or None  # it takes bad values, to find them
    if method == "validation_data" and inputs is None:
        good = None  # which means no validation
    options = {}
    for name in takes.options:
        if rng.random() < 0.15:
            options[name], is_right = option(rng, name, count)
            good = good and is_right if is_right is False or good is not None else None
    return Input(inputs, labels, options, count, good)


@pytest.fixture(scope="module")
def vaes():
    vaes = {}
    for is_conditional in (False, True):
        more = {"num_classes": CLASSES} if is_conditional else {}
        vae = tfpvae.build_vae("deep", image_shape=SHAPE, posterior="independent_normal", **more)
        vae.compile(run_eagerly=True)
        vae.fit(np.full([2, *SHAPE], 0.5), np.zeros(2, int) if more else None, verbose=0)
        vaes[is_conditional] = vae
    return vaes


def state(vae) -> list[np.ndarray]:
    return [*vae.get_weights(), *(variable.numpy() for variable in vae.optimizer.variables)]


def outcome_of(vae, method: str, inputs: Input) -> str:
    """Calls a method; returns the outcome, or raises AssertionError if it is not allowed."""
    before = state(vae)
    signal.alarm(60)  # ends a call that hangs
    try:
        arrays = METHODS[method].call(vae, inputs.images, inputs.labels, **inputs.options)
    except (ValueError, TypeError) as error:
        assert re.match(rf"({NAMES}): ", str(error)), f"{type(error).__name__}: {error}"
        assert inputs.is_good is not True, f"refused although valid: {error}"
        assert all(map(np.array_equal, state(vae), before)), "a refused call changed the model"
        return "refused"
    finally:
        signal.alarm(0)
    assert inputs.is_good is not False, "accepted although invalid"
    for array in arrays:
        array = np.asarray(array, np.float64)
        assert np.isfinite(array).all(), "not finite"
        if method in ("predict", "reconstruct"):
            assert array.shape == (inputs.count, *SHAPE), array.shape
        elif method not in ("fit", "evaluate", "validation_data"):
            assert array.shape == (inputs.count,), array.shape
    return "returned"


@pytest.mark.parametrize("method", METHODS)
def test_valid_images_give_finite_results_and_invalid_ones_are_named(vaes, method):
    counts, failures = Counter(), []
    for is_conditional in (False, True) if METHODS[method].takes_labels else (False,):
        for number in range(5 * TIMES):
            inputs = random_input(method, is_conditional, number)
            try:
                counts[outcome_of(vaes[is_conditional], method, inputs)] += 1
            except Exception as error:
                failures.append(f"{number}: {inputs}, {type(error).__name__}: {error}")
    print(method, dict(counts))
    assert not failures, "\n\n".join(failures)
    assert counts["returned"] and counts["refused"]
