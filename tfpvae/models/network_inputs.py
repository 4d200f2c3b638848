"""Data as the networks of a VAE take them: scaled and checked, in inference mode by default."""

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
from tfpvae._checks import DataSpec
from tfpvae.models import conditioning
from tfpvae.networks.autograph import converted
from tfpvae.training import batch_checks

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE


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


def scaled(examples: Any, spec: DataSpec) -> tf.Tensor:
    """Returns examples as floats: uint8 pixels divided by 255, ids as one-hot vectors.

    A value that is missing stays NaN.

    >>> scaled(tf.constant([[0, 255]], tf.uint8), DataSpec((2,))).numpy().tolist()
    [[0.0, 1.0]]
    >>> scaled([[2]], DataSpec((1, 3), _checks.ONE_HOT)).numpy().tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    examples = tf.convert_to_tensor(examples)
    floatx = tf_keras.backend.floatx()
    if spec.support.is_one_hot and examples.shape.rank == len(spec.shape):
        return tf.one_hot(tf.cast(examples, tf.int32), spec.shape[-1], dtype=floatx)
    values = tf.cast(examples, floatx)
    is_bytes = examples.dtype == tf.uint8 and spec.support.divides_bytes
    return values / 255 if is_bytes else values


def filled(examples: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    """Returns examples with 0 in the place of missing values."""
    if not spec.allows_missing:
        return examples
    return tf.where(tf.math.is_nan(examples), tf.zeros_like(examples), examples)


def adapt(vae: VAE, has_bounds: bool) -> None:
    """Makes the networks of a VAE run in inference mode by default, on valid data only.

    The encoder then divides uint8 pixels by 255, adds a missing axis of one channel, and refuses
    other values. Each of its passes removes the `losses` that the VAE added to an earlier one.

    Args:
      vae: a `VAE` that has its encoder and decoder.
      has_bounds: whether draws of the likelihood are data.
    """
    spec = vae.data_spec
    if spec.support == _checks.UNIT_INTERVAL and not has_bounds:
        spec = spec._replace(support=_checks.NEAR_UNIT_INTERVAL)

    def prepare(inputs: Any) -> Any:
        examples, labels = conditioning.split(inputs)
        for owner in vae.encoder._owners:
            owner._eager_losses.clear()
            owner._losses.clear()  # in a graph
        return conditioning.join(_examples(examples, spec), labels)

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
        return converted(own_call)(prepare(inputs), *args, **kwargs)

    # Past Keras' tracking of attributes. On the instance, which keeps its class and config; as a
    # method, which is how Keras calls it when it saves.
    object.__setattr__(network, "call", types.MethodType(call, network))
    object.__setattr__(network, "_owners", weakref.WeakSet())


def _examples(examples: Any, spec: DataSpec) -> tf.Tensor:
    """Returns examples as an encoder takes them.

    Raises:
      ValueError, TypeError: for examples of another shape, range or kind.
    """
    examples = tf.convert_to_tensor(examples)
    if len(spec.shape) == examples.shape.rank == 3 and spec.shape[-1] == 1:
        examples = examples[..., tf.newaxis]
    if examples.shape.rank is not None and 0 not in examples.shape:
        _checks.form("images", examples, spec)
    if tf.is_symbolic_tensor(examples):
        examples = examples if _trust.is_on else _assert_range(examples, spec)
    elif not _is_in_range(examples, spec):
        _checks.array("images", examples, spec)
    return filled(scaled(examples, spec), spec)


def _is_in_range(examples: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    expected = spec.ids() if examples.shape.rank == len(spec.shape) else spec
    return batch_checks.is_in_range(examples, *batch_checks.extremes(examples, spec), expected)


def _assert_range(examples: tf.Tensor, spec: DataSpec) -> tf.Tensor:
    """Returns symbolic examples behind an assertion, which XLA may leave out."""
    low, high = batch_checks.extremes(examples, spec)
    # No formatted text: XLA has no strings.
    data = [f"images: wanted {spec.values}, {batch_checks.RANGE}", low, "to", high]
    with tf.control_dependencies([tf.debugging.Assert(_is_in_range(examples, spec), data)]):
        return tf.identity(examples)
