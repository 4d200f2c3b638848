"""Properties inferred from two networks: shapes, classes, likelihood kind and KL term."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import divergences
from tfpvae.layers.distribution_lambda import DistributionLambda
from tfpvae.layers.kl_add_loss import KLDivergenceAddLoss
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer, is_kl
from tfpvae.layers.likelihoods.base import DENSITY, MASS
from tfpvae.layers.one_hot import OneHot
from tfpvae.models import conditioning
from tfpvae.networks.structure import distribution_layers, layers_of
from tfpvae.priors import VampPrior

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_KLDivergenceAddLoss = tfp.layers.KLDivergenceAddLoss


def probe(
    encoder: tf_keras.Model, decoder: tf_keras.Model
) -> tuple[tuple[int, int, int], int | None, tfd.Distribution]:
    """Returns what two networks that fit each other are of: an image shape and, if they are
    conditional, a number of classes; and q(z|x) of a black image.

    Raises:
      TypeError, ValueError: unless both end in distributions and the shapes fit.
    """
    _checks.model("encoder", encoder)
    _checks.model("decoder", decoder)
    image_shape = _checks.image_shape(input_shape("encoder", encoder))
    latent_shape = input_shape("decoder", decoder)
    num_classes, same = (_num_classes(network) for network in (encoder, decoder))
    if num_classes != same:
        raise ValueError(
            f"decoder: wanted one that is conditional on as many classes as the encoder, "
            f"{num_classes}, got {same}."
        )
    given = conditioning.blank(image_shape, num_classes)
    posterior = encoder(given)
    _wants_distribution("encoder", posterior)
    if latent_shape != tuple(posterior.event_shape):
        raise ValueError(
            "decoder: wanted a network that takes the latents of the encoder, "
            f"{tuple(posterior.event_shape)}, got one that takes {latent_shape}."
        )
    likelihood = decoder(conditioning.join(posterior.mean(), conditioning.split(given)[1]))
    _wants_distribution("decoder", likelihood)
    if tuple(likelihood.event_shape) != image_shape:
        raise ValueError(
            f"decoder: wanted a distribution over the images of the encoder, {image_shape}, "
            f"got one over {tuple(likelihood.event_shape)}."
        )
    return image_shape, num_classes, posterior


def scores(decoder: tf_keras.Model) -> str | None:
    """Returns what log_prob of a decoder's likelihood is, None where its layer does not say."""
    layers = distribution_layers(decoder)
    return getattr(layers[-1], "scores", None) if layers else None


def has_bounds(decoder: tf_keras.Model) -> bool:
    """Returns whether a decoder's likelihood is known to be of pixels in [0, 1] alone."""
    layers = distribution_layers(decoder)
    return bool(layers) and getattr(layers[-1], "has_bounds", False)


def bits_of_a_level(vae: tf_keras.Model) -> int:
    """Returns the bits that a density of a pixel has more than the mass of its level: 8 or 0.

    Raises:
      ValueError: for a VAE whose log p(x) is not to be compared with the mass of 8-bit pixels.
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


def other_losses(vae: tf_keras.Model) -> list[tf.Tensor]:
    """Returns the losses of a VAE's layers other than KL terms, those of its last pass."""
    losses = without_kl_terms(vae.losses, vae.encoder)
    own = {id(loss) for loss in vae._eager_losses}  # of a call of the VAE, not of its layers
    return [loss for loss in losses if id(loss) not in own]


def without_kl_terms(losses: list[tf.Tensor], encoder: tf_keras.Model) -> list[tf.Tensor]:
    """Returns losses without the KL terms that layers of an encoder added."""
    # By layer where Keras or tfp.layers make losses of their own from a regularizer.
    kl = {id(loss) for layer in _kl_layers(encoder) for loss in _added(layer)}
    return [loss for loss in losses if not (id(loss) in kl or getattr(loss, "is_kl", False))]


def _kl_layers(encoder: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the layers and networks inside an encoder that add a KL, however deep."""
    return [layer for layer in encoder._flatten_layers() if is_kl(_regularizer(layer))]


def _regularizer(layer: tf_keras.layers.Layer) -> Any:
    if isinstance(layer, _KLDivergenceAddLoss):
        return layer._regularizer
    return layer.activity_regularizer


def _added(layer: tf_keras.layers.Layer) -> list[tf.Tensor]:
    """Returns the losses that a layer added itself, unlike `losses`, not those of its parts."""
    if isinstance(layer, (DistributionLambda, KLDivergenceAddLoss)):
        return []  # their KL is marked, and stands beside what a subclass adds
    return [*layer._losses, *layer._eager_losses]


def kl_term(
    encoder: tf_keras.Model,
    posterior: tfd.Distribution,
    prior: tfd.Distribution | KLDivergenceRegularizer | None,
) -> KLDivergenceRegularizer | None:
    """Returns the KL term of an encoder, against `prior` if given; None for a point posterior.

    A `prior` that is a whole term is returned unchanged. A VampPrior is bound to the encoder.

    Raises:
      ValueError: if there is no prior at all, it does not fit the posterior, or the encoder adds
        more than one KL.
      NotImplementedError: if the closed form of the KL is required and there is none.
    """
    if is_deterministic(posterior):
        if prior is not None:
            raise ValueError(
                "prior: wanted None with a deterministic posterior, which has no density and so no "
                f"KL, got {prior!r}."
            )
        return None
    own = _own_term(encoder)
    if prior is None:
        if not isinstance(own, KLDivergenceRegularizer):
            got = "neither" if own is None else "a tfp.layers.KLDivergenceRegularizer"
            raise ValueError(
                "prior: wanted a tfd.Distribution, or an encoder whose distribution layer has a "
                f"tfpvae.layers.KLDivergenceRegularizer, got {got}."
            )
        term = own
    elif isinstance(prior, KLDivergenceRegularizer):
        term = prior
    elif isinstance(prior, tfd.Distribution):
        term = _against(prior, own)
    else:
        raise TypeError(
            "prior: wanted a tfd.Distribution, a tfpvae.layers.KLDivergenceRegularizer or None, "
            f"got {prior!r}."
        )
    _check_prior(term.distribution_b, posterior)
    if isinstance(term.distribution_b, VampPrior):
        _bind(term.distribution_b, encoder)
    term.kl_divergence(posterior)  # raises where a closed form is required and missing
    _check_other_losses(encoder, term)
    return term


def _own_term(encoder: tf_keras.Model) -> Any:
    """Returns the KL regularizer of an encoder, which may be one of tfp.layers, or None."""
    layers = _kl_layers(encoder)
    if len(layers) > 1:
        names = ", ".join(repr(layer.name) for layer in layers)
        raise ValueError(
            f"encoder: wanted at most one layer that adds a KL, got {len(layers)}: {names}. A VAE "
            "has one posterior and one prior; remove the regularizer or KLDivergenceAddLoss of the "
            "others."
        )
    return _regularizer(layers[0]) if layers else None


def _against(prior: tfd.Distribution, own: Any) -> KLDivergenceRegularizer:
    """Returns the KL term against a prior, with the weight of the encoder's own term."""
    if isinstance(own, KLDivergenceRegularizer):
        return own.with_prior(prior)
    weight = None if own is None else own.weight
    exact = own is not None and own.use_exact_kl
    return KLDivergenceRegularizer(prior, use_exact_kl=bool(exact) or None, weight=weight)


def _check_prior(prior: tfd.Distribution, posterior: tfd.Distribution) -> None:
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


_NUM_PROBES = 4


def _check_other_losses(encoder: tf_keras.Model, term: KLDivergenceRegularizer) -> None:
    """Raises if the code of an encoder adds the KL itself, which would count beside the VAE's.

    A loss is taken for the KL if it is the same multiple of it for several images.
    """
    if not _other_losses(encoder):
        return
    images = np.random.RandomState(0).uniform(size=[_NUM_PROBES, *input_shape("encoder", encoder)])
    label = None if _num_classes(encoder) is None else tf.zeros([1], tf.int32)
    losses, kls = [], []
    for image in images.astype(tf_keras.backend.floatx()):
        posterior = encoder(conditioning.join(image[np.newaxis], label))
        losses.append([float(tf.reduce_sum(loss)) for loss in _other_losses(encoder)])
        kls.append(_possible_kls(posterior, term))
    for loss in np.transpose(losses):
        for kl in np.transpose(kls):
            ratio = loss / np.where(kl == 0, np.nan, kl)
            is_same = np.ptp(ratio) <= 1e-3 * abs(ratio.mean())
            if is_same and ratio.mean() != 0 and np.ptp(kl) > 1e-3 * abs(kl).max():
                raise ValueError(
                    "encoder: wanted layers that leave the KL to the VAE, which adds it once, got "
                    f"one whose add_loss adds {ratio.mean():.3g} times the KL. Remove that loss."
                )


def _other_losses(encoder: tf_keras.Model) -> list[tf.Tensor]:
    """Returns the losses that layers of an encoder added in its last pass, besides known KLs."""
    losses = [loss for layer in encoder._flatten_layers() for loss in layer._eager_losses]
    return without_kl_terms(losses, encoder)


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


def is_kl_of_the_decoded_draw(vae: tf_keras.Model) -> bool:
    """Returns whether the KL, if it is estimated, is so on the one draw that is decoded."""
    return vae._kl is not None and vae._kl.is_of_the_decoded_draw


def is_deterministic(posterior: tfd.Distribution) -> bool:
    """Returns whether a posterior is a point mass, the code of a plain autoencoder."""
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


def _wants_distribution(argument: str, output: Any) -> None:
    if not isinstance(output, tfd.Distribution):
        raise TypeError(
            f"{argument}: wanted a model that ends in a distribution layer, such as those of "
            f"tfpvae.layers, got one that returns {type(output).__name__}."
        )


def input_shape(argument: str, model: tf_keras.Model) -> tuple[int, ...]:
    """Returns the shape of one image or latent that a network takes.

    Raises:
      ValueError: for a network that is not built, or takes more than them and labels.
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
