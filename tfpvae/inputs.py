"""Inputs of a VAE's networks: pixels scaled and checked, and inference unless told to train.

`checked` holds every batch of a step to what the VAE was built for, inside the graph. XLA leaves
out assertions, so that programs of XLA are given batches that were checked before.
"""

import contextlib
import re
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from tf_keras.src.engine import base_layer_utils

from tfpvae import _checks, conditioning

_RANGE = "images: wanted pixels in [0, 1], got values from"
_SHAPE = "images: wanted shape"
_LABELS = "labels: wanted whole numbers from 0 to"
# Draws of a normal lie outside [0, 1]; pixels of 0 to 255 lie far outside.
_FAR = (-10.0, 11.0)
_WEIGHTS = "sample_weight: wanted finite numbers"


class _Trusted(threading.local):
    """Whether this thread makes a step, whose batch was checked as a whole."""

    is_on = False


_trusted = _Trusted()


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Leaves out the encoder's own check of images that `checked` has looked at."""
    before, _trusted.is_on = _trusted.is_on, True
    try:
        yield
    finally:
        _trusted.is_on = before


def scaled(images: Any) -> tf.Tensor:
    """Returns pixels as floats in [0, 1]; uint8 is divided by 255.

    >>> scaled(tf.constant([0, 255], tf.uint8)).numpy().tolist()
    [0.0, 1.0]
    """
    images = tf.convert_to_tensor(images)
    pixels = tf.cast(images, tf_keras.backend.floatx())
    return pixels / 255 if images.dtype == tf.uint8 else pixels


def adapt(vae: tf_keras.Model, has_bounds: bool) -> None:
    """Has the networks of a VAE run in inference mode unless told to train, on valid images alone.

    The encoder divides uint8 by 255, adds a missing axis of one channel, and refuses other pixels.
    A pass of it also ends the life of `losses` that the VAE added to an earlier one.

    Args:
      vae: a `VAE` that has its encoder and decoder.
      has_bounds: whether the likelihood is of pixels in [0, 1] alone.
    """
    limits = (0.0, 1.0) if has_bounds else _FAR
    shape = vae.image_shape

    def prepared(inputs: Any) -> Any:
        images, labels = conditioning.split(inputs)
        for holder in vae.encoder._holders:
            holder._eager_losses.clear()
        return conditioning.join(_pixels(images, shape, limits), labels)

    _adapt(vae.encoder, prepared)
    _adapt(vae.decoder, lambda inputs: inputs)
    vae.encoder._holders.add(vae)


def _adapt(network: tf_keras.Model, prepared: Callable[[Any], Any]) -> None:
    if hasattr(network, "_holders"):  # by another VAE that shares it
        return
    own = network.call

    def call(self: tf_keras.Model, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Without a mode, layers such as RandomFlip train: their own default is True.
        if base_layer_utils.call_context().get_call_context_arg("training") is None:
            return self(inputs, *args, **kwargs | {"training": False})
        return own(prepared(inputs), *args, **kwargs)

    # Past Keras' tracking of attributes. On the network itself, which keeps its class and config;
    # a method, as which Keras calls it when it saves.
    object.__setattr__(network, "call", types.MethodType(call, network))
    object.__setattr__(network, "_holders", weakref.WeakSet())


def _pixels(images: Any, image_shape: tuple[int, ...], limits: tuple[float, float]) -> tf.Tensor:
    """Returns images as an encoder takes them.

    Raises:
      ValueError, TypeError: for images of another shape, range or kind.
    """
    images = tf.convert_to_tensor(images)
    if images.shape.rank == len(image_shape) and image_shape[-1] == 1:
        images = images[..., tf.newaxis]
    if images.shape.rank is not None and 0 not in images.shape:
        _checks.form("images", images, image_shape)
    if tf.is_symbolic_tensor(images):
        return scaled(images if _trusted.is_on else _in_range(images, limits))
    low, high = _ends(images)
    if not _is_in_range(images, low, high, limits):
        raise ValueError(_checks.out_of_range("images", low.numpy(), high.numpy()))
    return scaled(images)


def _in_range(images: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """Returns symbolic images behind an assertion, which XLA, having no strings, can leave out."""
    low, high = _ends(images)
    data = [_RANGE, low, "to", high]
    is_valid = _is_in_range(images, low, high, limits)
    with tf.control_dependencies([tf.debugging.Assert(is_valid, data)]):
        return tf.identity(images)


def checked(batch: tuple, image_shape: tuple[int, ...], num_classes: int | None) -> tuple:
    """Returns the four parts of a batch, as tensors that exist only if all of them are valid.

    Args:
      batch: images, labels, targets and sample weights, as `conditioning.unpacked` returns them.
      image_shape: (H, W, C).
      num_classes: of a conditional VAE; else None.

    Raises:
      tf.errors.InvalidArgumentError: as the graph runs; `faults_named` puts it into words.
    """
    text = fault(batch, image_shape, num_classes)
    with tf.control_dependencies([refuse(text)]):
        images, labels, targets, weights = (
            None if part is None else tf.identity(part) for part in batch
        )
    shape = [None, *image_shape]
    images = tf.ensure_shape(images, shape)
    targets = None if targets is None else tf.ensure_shape(targets, shape)
    return images, labels, targets, weights


def refuse(text: tf.Tensor) -> tf.Operation | None:
    """Returns an operation that fails unless the fault of a batch is ""."""
    if tf.executing_eagerly():
        if text != "":
            raise tf.errors.InvalidArgumentError(None, None, f"[{text.numpy().decode()}]")
        return tf.no_op()
    return tf.debugging.Assert(tf.equal(text, ""), [text])


def fault(batch: tuple, image_shape: tuple[int, ...], num_classes: int | None) -> tf.Tensor:
    """Returns what is wrong with a batch, a scalar string, "" for nothing; see `checked`.

    >>> batch = tf.fill([2, 1, 1, 1], 255.0), None, None, None
    >>> fault(batch, (1, 1, 1), None).numpy().decode()
    'images: wanted pixels in [0, 1], got values from 255 to 255.'
    """
    images, labels, targets, weights = batch
    text = _fault_of_images(images, image_shape)
    if targets is not None:
        text = _first(text, lambda: _fault_of_images(targets, image_shape))
    if num_classes is not None:
        text = _first(text, lambda: _fault_of_labels(labels, num_classes))
    if weights is not None:
        text = _first(text, lambda: _fault_of_weights(weights))
    return text


def _first(text: tf.Tensor, other: Callable[[], tf.Tensor]) -> tf.Tensor:
    return tf.cond(tf.equal(text, ""), other, lambda: text)


def _unless(is_valid: tf.Tensor, text: str, *values: tf.Tensor) -> tf.Tensor:
    return tf.cond(is_valid, lambda: "", lambda: tf.strings.format(text, values))


def _fault_of_images(images: tf.Tensor, image_shape: tuple[int, ...]) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    if images.shape.rank is not None and images.shape[1:] == list(image_shape):
        return _fault_of_range(images)
    shape = tf.shape(images)
    has_rank = tf.equal(tf.size(shape), 1 + len(image_shape))
    has_shape = tf.cond(
        has_rank, lambda: tf.reduce_all(tf.equal(shape[1:], image_shape)), lambda: False
    )
    sides = ", ".join(map(str, image_shape))
    text = _unless(has_shape, f"{_SHAPE} [B, {sides}], got {{}}.", shape)
    return _first(text, lambda: _fault_of_range(images))


def _fault_of_range(images: tf.Tensor) -> tf.Tensor:
    low, high = _ends(images)
    return _unless(_is_in_range(images, low, high), _RANGE + " {} to {}.", low, high)


def _is_in_range(
    images: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
    limits: tuple[float, float] = (0.0, 1.0),
) -> tf.Tensor:
    if images.dtype == tf.uint8:
        return tf.constant(True)
    least, most = (tf.cast(limit, images.dtype) for limit in limits)
    is_inside = (low >= least) & (high <= most)  # both are NaN if a pixel is
    return is_inside | tf.equal(tf.size(images), 0)


def _fault_of_labels(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    low, high = _ends(labels)
    is_valid = ((low >= 0) & (high < num_classes)) | tf.equal(tf.size(labels), 0)
    return _unless(is_valid, f"{_LABELS} {num_classes - 1}, got {{}} to {{}}.", low, high)


def _fault_of_weights(weights: tf.Tensor) -> tf.Tensor:
    weights = tf.cast(weights, tf_keras.backend.floatx())
    is_valid = tf.reduce_all(tf.math.is_finite(weights))
    return _unless(is_valid, _WEIGHTS + ", got from {} to {}.", *_ends(weights))


def _ends(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.reduce_min(values), tf.reduce_max(values)


@contextlib.contextmanager
def faults_named(argument: str, batches: tf.Variable | None = None) -> Iterator[None]:
    """Raises in words, with the number of the batch, what `checked` finds in a step.

    Args:
      argument: the name under which the user passed the batches.
      batches: the number of batches that were run before; None for a batch by itself.

    Raises:
      ValueError: in the place of TensorFlow's error, which names an operation of the graph.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        text = re.search(r"\[((images|labels|sample_weight): wanted .*?\.)\]", error.message)
        if text is None:
            raise
        number = None if batches is None else int(batches.numpy()) + 1
        raise ValueError(_in_words(argument, text[1], number)) from None


def _in_words(argument: str, text: str, number: int | None) -> str:
    values = re.match(re.escape(_RANGE) + r" (\S+) to (\S+)\.", text)
    if values:
        text = _checks.out_of_range(argument, float(values[1]), float(values[2]))
    text = text.replace("images: ", f"{argument}: ", 1)
    if number is None:
        return text
    return f"{text} This is batch {number}; the weights are those before it."
