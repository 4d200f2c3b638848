"""Images as the networks of a VAE take them: scaled and checked, in inference mode by default."""

from __future__ import annotations

import contextlib
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras
from tf_keras.src.engine import base_layer_utils

from tfpvae import _checks
from tfpvae.models import conditioning
from tfpvae.training.batch_checks import RANGE, is_in_range, min_and_max

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

# Draws of a normal lie outside [0, 1]; pixels of 0 to 255 lie far outside.
_FAR = (-10.0, 11.0)


class _Trust(threading.local):
    """Whether this thread runs a step, whose batch was checked as a whole."""

    is_on = False


_trust = _Trust()


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Skips the encoder's own check of images that `batch_checks.checked` has passed."""
    before, _trust.is_on = _trust.is_on, True
    try:
        yield
    finally:
        _trust.is_on = before


def scaled(images: Any) -> tf.Tensor:
    """Returns pixels as floats in [0, 1]; uint8 is divided by 255.

    >>> scaled(tf.constant([0, 255], tf.uint8)).numpy().tolist()
    [0.0, 1.0]
    """
    images = tf.convert_to_tensor(images)
    pixels = tf.cast(images, tf_keras.backend.floatx())
    return pixels / 255 if images.dtype == tf.uint8 else pixels


def adapt(vae: VAE, has_bounds: bool) -> None:
    """Makes the networks of a VAE run in inference mode by default, on valid images only.

    The encoder then divides uint8 by 255, adds a missing axis of one channel, and refuses other
    pixels. Each of its passes removes the `losses` that the VAE added to an earlier one.

    Args:
      vae: a `VAE` that has its encoder and decoder.
      has_bounds: whether the likelihood allows pixels in [0, 1] only.
    """
    limits = (0.0, 1.0) if has_bounds else _FAR
    shape = vae.image_shape

    def prepare(inputs: Any) -> Any:
        images, labels = conditioning.split(inputs)
        for owner in vae.encoder._owners:
            owner._eager_losses.clear()
        return conditioning.join(_pixels(images, shape, limits), labels)

    _adapt(vae.encoder, prepare)
    _adapt(vae.decoder, lambda inputs: inputs)
    vae.encoder._owners.add(vae)


def _adapt(network: tf_keras.Model, prepare: Callable[[Any], Any]) -> None:
    if hasattr(network, "_owners"):  # another VAE shares it
        return
    own_call = network.call

    def call(self: tf_keras.Model, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Without a mode, layers such as RandomFlip train: their own default is True.
        if base_layer_utils.call_context().get_call_context_arg("training") is None:
            return self(inputs, *args, **kwargs | {"training": False})
        return own_call(prepare(inputs), *args, **kwargs)

    # Past Keras' tracking of attributes. On the instance, which keeps its class and config; as a
    # method, which is how Keras calls it when it saves.
    object.__setattr__(network, "call", types.MethodType(call, network))
    object.__setattr__(network, "_owners", weakref.WeakSet())


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
        return scaled(images if _trust.is_on else _assert_range(images, limits))
    low, high = min_and_max(images)
    if not is_in_range(images, low, high, limits):
        raise ValueError(_checks.out_of_range("images", low.numpy(), high.numpy()))
    return scaled(images)


def _assert_range(images: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """Returns symbolic images behind an assertion, which XLA may leave out."""
    low, high = min_and_max(images)
    data = [RANGE, low, "to", high]  # no formatted text: XLA has no strings
    is_valid = is_in_range(images, low, high, limits)
    with tf.control_dependencies([tf.debugging.Assert(is_valid, data)]):
        return tf.identity(images)
