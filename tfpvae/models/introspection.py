"""Properties inferred from two networks: shapes, classes, likelihood kind and KL term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.layers.likelihoods.base import DENSITY, MASS
from tfpvae.layers.one_hot import OneHot
from tfpvae.models import conditioning
from tfpvae.networks.structure import distribution_layers, layers_of
from tfpvae.priors import VampPrior

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

tfd = tfp.distributions


def probe(
    encoder: tf_keras.Model, decoder: tf_keras.Model
) -> tuple[tuple[int, int, int], int | None, tfd.Distribution]:
    """Infers the image shape, the number of classes and the posterior from a pair of networks.

    Returns:
      (height, width, channels); the number of classes, None if not conditional; and q(z|x) of a
      black image.

    Raises:
      TypeError, ValueError: unless both end in distributions and fit each other.
    """
    _checks.model("encoder", encoder)
    _checks.model("decoder", decoder)
    image_shape = _checks.image_shape(input_shape("encoder", encoder))
    latent_shape = input_shape("decoder", decoder)
    num_classes, decoder_classes = (_num_classes(network) for network in (encoder, decoder))
    if num_classes != decoder_classes:
        raise ValueError(
            f"decoder: wanted one that is conditional on as many classes as the encoder, "
            f"{num_classes}, got {decoder_classes}."
        )
    inputs = conditioning.blank(image_shape, num_classes)
    posterior = encoder(inputs)
    _check_distribution("encoder", posterior)
    if latent_shape != tuple(posterior.event_shape):
        raise ValueError(
            "decoder: wanted a network that takes the latents of the encoder, "
            f"{tuple(posterior.event_shape)}, got one that takes {latent_shape}."
        )
    likelihood = decoder(conditioning.join(posterior.mean(), conditioning.split(inputs)[1]))
    _check_distribution("decoder", likelihood)
    if tuple(likelihood.event_shape) != image_shape:
        raise ValueError(
            f"decoder: wanted a distribution over the images of the encoder, {image_shape}, "
            f"got one over {tuple(likelihood.event_shape)}."
        )
    return image_shape, num_classes, posterior


def scores(decoder: tf_keras.Model) -> str | None:
    """Returns the kind of log_prob of a decoder's likelihood, None if its layer does not tell.

    See `layers.likelihoods.base.LikelihoodLayer.scores`.
    """
    layers = distribution_layers(decoder)
    return getattr(layers[-1], "scores", None) if layers else None


def has_bounds(decoder: tf_keras.Model) -> bool:
    """Returns whether a decoder's likelihood is known to allow pixels in [0, 1] only."""
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


def without_kl_terms(losses: list[tf.Tensor], encoder: tf_keras.Model) -> list[tf.Tensor]:
    """Returns the losses without those of an encoder's distribution layers, which are KL terms."""
    kl = {id(loss) for layer in distribution_layers(encoder) for loss in layer.losses}
    return [loss for loss in losses if id(loss) not in kl]


def kl_term(
    encoder: tf_keras.Model,
    posterior: tfd.Distribution,
    prior: tfd.Distribution | KLDivergenceRegularizer | None,
) -> KLDivergenceRegularizer | None:
    """Returns the KL term of an encoder; None for a deterministic posterior.

    Args:
      encoder: images -> q(z|x); a VampPrior is bound to it.
      posterior: q(z|x) of some images.
      prior: None for the term of the encoder's own layer; a distribution to replace its prior; or a
        whole term, which is returned unchanged.

    Raises:
      ValueError: if there is no prior, or it does not fit the posterior.
      NotImplementedError: if the closed form of the KL is requested and there is none.
    """
    if is_deterministic(posterior):
        if prior is not None:
            raise ValueError(
                "prior: wanted None with a deterministic posterior, which has no density and so no "
                f"KL, got {prior!r}."
            )
        return None
    regularizers = [layer.activity_regularizer for layer in distribution_layers(encoder)]
    own = next((r for r in regularizers if isinstance(r, KLDivergenceRegularizer)), None)
    if prior is None:
        if own is None:
            raise ValueError(
                "prior: wanted a tfd.Distribution, or an encoder whose distribution layer has a "
                "tfpvae.layers.KLDivergenceRegularizer, got neither."
            )
        return own
    if isinstance(prior, KLDivergenceRegularizer):
        term, prior = prior, prior.distribution_b
    elif isinstance(prior, tfd.Distribution):
        term = own.with_prior(prior) if own else KLDivergenceRegularizer(prior, use_exact_kl=None)
    else:
        raise TypeError(
            "prior: wanted a tfd.Distribution, a tfpvae.layers.KLDivergenceRegularizer or None, "
            f"got {prior!r}."
        )
    if (prior.event_shape, prior.batch_shape) != (posterior.event_shape, []):
        raise ValueError(
            f"prior: wanted event shape {posterior.event_shape} and batch shape (), got "
            f"{prior.event_shape} and {prior.batch_shape}."
        )
    if prior.dtype != posterior.dtype:
        raise ValueError(
            f"prior: wanted dtype {posterior.dtype.name}, that of the posterior, got "
            f"{prior.dtype.name}. Each has the tf_keras.backend.floatx() that it was built with."
        )
    if isinstance(prior, VampPrior):
        _bind(prior, encoder)
    term.kl_divergence(posterior)  # raises if a closed form is requested and missing
    return term


def is_deterministic(posterior: tfd.Distribution) -> bool:
    """Returns whether a posterior is a point mass, as in a plain autoencoder."""
    posterior = getattr(posterior, "tensor_distribution", posterior)
    inner = getattr(posterior, "distribution", posterior)
    return isinstance(inner, (tfd.Deterministic, tfd.VectorDeterministic))


def _bind(prior: VampPrior, encoder: tf_keras.Model) -> None:
    if _num_classes(encoder) is not None:
        raise ValueError(
            "prior: wanted one that is the same for all classes, got a VampPrior of a conditional "
            "encoder, whose pseudo-inputs would need labels. 'mixture' and 'flow' take any."
        )
    shape = input_shape("encoder", encoder)
    if tuple(prior.pseudo_inputs.shape[1:]) != shape:
        raise ValueError(
            f"prior: wanted a VampPrior of images {shape}, as the encoder's, got one of "
            f"{tuple(prior.pseudo_inputs.shape[1:])}."
        )
    prior.bind(encoder)


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
    if len(others) != (0 if _num_classes(model) is None else 1):
        raise ValueError(
            f"{argument}: wanted a network of one input, or of two, the second of which are labels "
            f"that go through a tfpvae.layers.OneHot, got one of {1 + len(others)} inputs."
        )
    return tuple(first.shape[1:])


def _num_classes(model: tf_keras.Model) -> int | None:
    layers = (part for part in layers_of(model) if isinstance(part, OneHot))
    return next((layer.num_classes for layer in layers), None)
