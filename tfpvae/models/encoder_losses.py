"""Losses that the layers of an encoder add: the KL, which a VAE counts once, and others."""

import contextlib
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.distributions import divergences
from tfpvae.layers.distribution_lambda import DistributionLambda
from tfpvae.layers.kl_add_loss import KLDivergenceAddLoss
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer, is_kl
from tfpvae.models import conditioning, introspection

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_KLDivergenceAddLoss = tfp.layers.KLDivergenceAddLoss
_NUM_PROBES = 4
_WANTED = "encoder: wanted layers that leave the KL to the VAE, which adds it once, got"
_WAY_OUT = (
    "If it is a KL, remove it: it would count twice. If it is another loss, write adds_kl = False "
    "into the class of the layer."
)


def without_kl_terms(losses: list[tf.Tensor], encoder: tf_keras.Model) -> list[tf.Tensor]:
    """Returns losses without the KL terms that layers of an encoder added.

    >>> from tfpvae import build_vae
    >>> encoder = build_vae("dense").encoder
    >>> posterior = encoder(tf.zeros([1, 28, 28, 1]))
    >>> len(encoder.losses), without_kl_terms(encoder.losses, encoder)
    (1, [])
    """
    # By layer where Keras or tfp.layers make losses of their own from a regularizer.
    kl = {id(loss) for layer in kl_layers(encoder) for loss in _added(layer)}
    return [loss for loss in losses if not (id(loss) in kl or getattr(loss, "is_kl", False))]


def kl_layers(encoder: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers and networks inside an encoder that add a KL, however deep.

    >>> from tfpvae import build_vae
    >>> [type(layer).__name__ for layer in kl_layers(build_vae("dense").encoder)]
    ['IndependentNormal']
    """
    return [layer for layer in encoder._flatten_layers() if is_kl(regularizer_of(layer))]


def regularizer_of(layer: tf_keras.layers.Layer) -> Any:
    """Returns the regularizer of the output of a layer, or None.

    >>> regularizer_of(tf_keras.layers.Dense(2)) is None
    True
    """
    if isinstance(layer, _KLDivergenceAddLoss):
        return layer._regularizer
    return layer.activity_regularizer


def _added(layer: tf_keras.layers.Layer) -> list[tf.Tensor]:
    """Returns the losses that a layer added itself, unlike `losses`, not those of its parts."""
    if isinstance(layer, (DistributionLambda, KLDivergenceAddLoss)):
        return []  # their KL is marked, and stands beside what a subclass adds
    return [*layer._losses, *layer._eager_losses]


def check(encoder: tf_keras.Model, term: KLDivergenceRegularizer) -> None:
    """Checks that the code of an encoder does not add the KL itself, beside the VAE's.

    Regularizers and losses of the weights alone stay as they are. A loss that depends on the images
    is taken for the KL if it is the same multiple of it for several images, or has noise, as an
    estimate on draws has. Layers whose class has `adds_kl = False` are not checked.

    Args:
      encoder: images -> q(z|x).
      term: the KL term of the VAE.

    Raises:
      ValueError: for a loss that is taken for the KL.

    Warns:
      UserWarning: for any other loss that depends on the images.

    >>> from tfpvae import build_vae
    >>> vae = build_vae("dense")
    >>> check(vae.encoder, vae.kl_regularizer)
    """
    # By which `warn_of_unchecked` tells the layers that add a loss in training alone.
    layers = {layer for layer, _ in _checked_losses(encoder)}
    object.__setattr__(encoder, "_layers_with_losses", weakref.WeakSet(layers))
    if not layers:
        return
    _check_multiples(encoder, term)
    for layer, has_noise in _losses_of_images(encoder):
        if has_noise:
            raise ValueError(
                f"{_WANTED} {_named(layer)}, whose add_loss adds an estimate on draws. {_WAY_OUT}"
            )
        _warn(layer, "adds")


def warn_of_unchecked(encoder: tf_keras.Model) -> None:
    """Warns of layers that added a loss in the last pass, in training, but none in `check`.

    >>> from tfpvae import build_vae
    >>> warn_of_unchecked(build_vae("dense").encoder)  # which adds none but the KL
    """
    checked = getattr(encoder, "_layers_with_losses", ())
    for layer in {layer: None for layer, _ in _checked_losses(encoder)}:
        if layer not in checked:
            _warn(layer, "adds, in training alone,")


def _warn(layer: tf_keras.layers.Layer, adds: str) -> None:
    warnings.warn(
        f"encoder: {_named(layer)} {adds} a loss of its own, which counts beside the KL of the "
        f"VAE. {_WAY_OUT}",
        stacklevel=2,
    )


def _named(layer: tf_keras.layers.Layer) -> str:
    return f"layer {layer.name!r} ({type(layer).__name__})"


def _checked_losses(encoder: tf_keras.Model) -> list[tuple[tf_keras.layers.Layer, tf.Tensor]]:
    """Returns the losses that layers added in the last pass, besides KLs and those of no KL."""
    added = [
        (layer, loss)
        for layer in encoder._flatten_layers()
        for loss in layer._eager_losses
        if getattr(layer, "adds_kl", True) and getattr(loss, "is_kl", True)
    ]
    others = {id(loss) for loss in without_kl_terms([loss for _, loss in added], encoder)}
    return [(layer, loss) for layer, loss in added if id(loss) in others]


def _check_multiples(encoder: tf_keras.Model, term: KLDivergenceRegularizer) -> None:
    """Checks that no loss is the same multiple of the KL for several images.

    Raises:
      ValueError: for such a loss, of an activity regularizer, too.
    """
    losses, kls = [], []
    for image in _images(encoder, _NUM_PROBES):
        posterior = encoder(_inputs(encoder, image))
        checked = _checked_losses(encoder)  # before a VampPrior runs the encoder again
        losses.append([float(tf.reduce_sum(loss)) for _, loss in checked])
        kls.append(_possible_kls(posterior, term))
    for (layer, _), loss in zip(checked, np.transpose(losses), strict=True):
        for kl in np.transpose(kls):
            ratio = loss / np.where(kl == 0, np.nan, kl)
            is_same = np.ptp(ratio) <= 1e-3 * abs(ratio.mean())
            if is_same and ratio.mean() != 0 and np.ptp(kl) > 1e-3 * abs(kl).max():
                raise ValueError(
                    f"{_WANTED} {_named(layer)}, whose add_loss adds {ratio.mean():.3g} times the "
                    "KL. Remove that loss."
                )


def _losses_of_images(encoder: tf_keras.Model) -> list[tuple[tf_keras.layers.Layer, bool]]:
    """Returns the layers whose code adds losses that depend on the images, and if they have noise.

    A loss has noise if it differs between two passes of one image in inference mode.
    """
    (image,) = _images(encoder, 1)
    with _activity_regularizers_off(encoder):
        encoder(_inputs(encoder, image))
        first = [loss for _, loss in _checked_losses(encoder)]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(image)
            encoder(_inputs(encoder, image))
            checked = _checked_losses(encoder)
    return [
        (layer, not np.allclose(loss, other, rtol=1e-4))
        for (layer, loss), other in zip(checked, first, strict=True)
        if tape.gradient(loss, image) is not None
    ]


@contextlib.contextmanager
def _activity_regularizers_off(encoder: tf_keras.Model) -> Iterator[None]:
    layers = [layer for layer in encoder._flatten_layers() if layer._activity_regularizer]
    regularizers = [layer._activity_regularizer for layer in layers]
    try:
        for layer in layers:  # past Keras' tracking of attributes
            object.__setattr__(layer, "_activity_regularizer", None)
        yield
    finally:
        for layer, regularizer in zip(layers, regularizers, strict=True):
            object.__setattr__(layer, "_activity_regularizer", regularizer)


def _images(encoder: tf_keras.Model, count: int) -> list[tf.Tensor]:
    shape = [count, 1, *introspection.input_shape("encoder", encoder)]
    images = np.random.RandomState(0).uniform(size=shape)
    return tf.unstack(tf.constant(images, tf_keras.backend.floatx()))


def _inputs(encoder: tf_keras.Model, image: tf.Tensor) -> Any:
    label = None if introspection.num_classes_of(encoder) is None else tf.zeros([1], tf.int32)
    return conditioning.join(image, label)


def _possible_kls(posterior: tfd.Distribution, term: KLDivergenceRegularizer) -> list[float]:
    """Returns the KL of one image as the term, a draw and a standard normal prior give it."""
    draw = tf.convert_to_tensor(posterior)
    kls = [
        term.kl_divergence(posterior),
        divergences.sampled_kl(posterior, term.distribution_b, draw),
    ]
    standard = tfd.MultivariateNormalDiag(tf.zeros(posterior.event_shape, posterior.dtype))
    if divergences.has_exact_kl(posterior, standard):
        kls.append(divergences.exact_kl(posterior, standard))
    return [float(tf.reduce_sum(kl)) for kl in kls]
