"""Properties inferred from two networks: shapes, classes and the values of the likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae._checks import DataSpec, Support
from tfpvae.distributions import supports
from tfpvae.layers.likelihoods.base import DENSITY, MASS
from tfpvae.layers.one_hot import OneHot
from tfpvae.models import conditioning
from tfpvae.networks.structure import distribution_layers, layers_of

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

tfd = tfp.distributions


def probe(
    encoder: tf_keras.Model, decoder: tf_keras.Model
) -> tuple[DataSpec, int | None, tfd.Distribution]:
    """Infers the data, the number of classes and the posterior from a pair of networks.

    Returns:
      The shape and the values of an example; the number of classes, None if not conditional; and
      q(z|x) of an example of zeros.

    Raises:
      TypeError, ValueError: unless both end in distributions and fit each other.
    """
    _checks.model("encoder", encoder)
    _checks.model("decoder", decoder)
    event_shape = _checks.event_shape("encoder", input_shape("encoder", encoder))
    latent_shape = input_shape("decoder", decoder)
    num_classes, decoder_classes = (num_classes_of(network) for network in (encoder, decoder))
    if num_classes != decoder_classes:
        raise ValueError(
            f"decoder: wanted one that is conditional on as many classes as the encoder, "
            f"{num_classes}, got {decoder_classes}."
        )
    inputs = conditioning.blank(event_shape, num_classes)
    posterior = encoder(inputs)
    _check_distribution("encoder", posterior)
    if latent_shape != tuple(posterior.event_shape):
        raise ValueError(
            "decoder: wanted a network that takes the latents of the encoder, "
            f"{tuple(posterior.event_shape)}, got one that takes {latent_shape}."
        )
    likelihood = decoder(conditioning.join(posterior.mean(), conditioning.split(inputs)[1]))
    _check_distribution("decoder", likelihood)
    if tuple(likelihood.event_shape) != event_shape:
        raise ValueError(
            f"decoder: wanted a distribution over the input of the encoder, {event_shape}, "
            f"got one over {tuple(likelihood.event_shape)}."
        )
    return DataSpec(event_shape, _support(decoder, likelihood)), num_classes, posterior


def _support(decoder: tf_keras.Model, likelihood: tfd.Distribution) -> Support:
    """Returns the values of a likelihood: as its layer tells, or as its distribution does."""
    layers = distribution_layers(decoder)
    support = getattr(layers[-1], "support", None) if layers else None
    if support is not None:
        return support
    support = supports.support_of(likelihood)
    # Pixels of 0 to 255 are images that were not scaled, and bytes are pixels.
    is_of_images = len(likelihood.event_shape) == 3
    return _checks.NEAR_UNIT_INTERVAL if is_of_images and support == _checks.REAL else support


def scores(decoder: tf_keras.Model) -> str | None:
    """Returns the kind of log_prob of a decoder's likelihood, None if its layer does not tell.

    See `layers.likelihoods.base.LikelihoodLayer.scores`.
    """
    layers = distribution_layers(decoder)
    return getattr(layers[-1], "scores", None) if layers else None


def has_bounds(decoder: tf_keras.Model) -> bool:
    """Returns whether a decoder's likelihood is known to have no draws but data."""
    layers = distribution_layers(decoder)
    return bool(layers) and getattr(layers[-1], "has_bounds", False)


def bits_of_a_level(vae: VAE) -> int:
    """Returns the bits by which the density of a pixel exceeds the mass of its level: 8 or 0.

    Raises:
      ValueError: for a VAE whose log p(x) does not compare with the mass of 8-bit pixels.
    """
    scored = scores(vae.decoder)
    if scored == MASS:
        return 0
    if scored == DENSITY and vae.dequantize:
        return 8
    raise ValueError(
        "bits_per_dim: wanted a probability mass of 8-bit pixels, or a density with "
        f"dequantize=True, got a likelihood that is {scored or 'of unknown kind'!r} with "
        f"dequantize={vae.dequantize}."
    )


def is_deterministic(posterior: tfd.Distribution) -> bool:
    """Returns whether a posterior is a point mass, as in a plain autoencoder."""
    posterior = getattr(posterior, "tensor_distribution", posterior)
    inner = getattr(posterior, "distribution", posterior)
    return isinstance(inner, (tfd.Deterministic, tfd.VectorDeterministic))


def _check_distribution(argument: str, output: Any) -> None:
    if not isinstance(output, tfd.Distribution):
        raise TypeError(
            f"{argument}: wanted a model that ends in a distribution layer, such as those of "
            f"tfpvae.layers, got one that returns {type(output).__name__}."
        )


def input_shape(argument: str, model: tf_keras.Model) -> tuple[int, ...]:
    """Returns the shape of one image or latent that a network takes.

    Raises:
      ValueError: for a network that is not built, or has inputs besides those and labels.
    """
    spec = model.save_spec()
    if spec is None:
        raise ValueError(
            f"{argument}: wanted a built model, got {model.name!r}, whose input shape is not known "
            "yet. Begin it with tf_keras.Input, or call it once on a batch."
        )
    first, *others = tf.nest.flatten(spec)
    if len(others) != (0 if num_classes_of(model) is None else 1):
        raise ValueError(
            f"{argument}: wanted a network of one input, or of two, the second of which are labels "
            f"that go through a tfpvae.layers.OneHot, got one of {1 + len(others)} inputs."
        )
    return tuple(first.shape[1:])


def built(network: tf_keras.Model, shape: tuple[int, ...] | None) -> tf_keras.Model:
    """Returns a network, after a call on zeros of this shape, [1, ...], if it had none.

    >>> network = tf_keras.Sequential([tf_keras.layers.Dense(2)])
    >>> built(network, (3,)).built
    True
    """
    if shape and network.save_spec() is None:
        network(conditioning.blank(tuple(shape), num_classes_of(network)))
    return network


def num_classes_of(model: tf_keras.Model) -> int | None:
    """Returns the number of classes that a network is conditional on; None for no labels."""
    layers = (part for part in layers_of(model) if isinstance(part, OneHot))
    return next((layer.num_classes for layer in layers), None)
