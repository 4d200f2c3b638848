"""The KL term of an encoder, which a VAE counts once, whatever layer adds it."""

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
from tfpvae.priors import Ladder, VampPrior

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_KLDivergenceAddLoss = tfp.layers.KLDivergenceAddLoss
_NUM_PROBES = 4


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
    """Returns the KL term of an encoder; None for a deterministic posterior.

    Args:
      encoder: images -> q(z|x); a VampPrior is bound to it.
      posterior: q(z|x) of some images.
      prior: None for the term of the encoder's own layer; a distribution to replace its prior; or a
        whole term, which is returned unchanged.

    Raises:
      ValueError: if there is no prior, it does not fit the posterior, or the encoder adds more than
        one KL.
      NotImplementedError: if the closed form of the KL is requested and there is none.
    """
    if introspection.is_deterministic(posterior):
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
    if isinstance(term.distribution_b, Ladder) and hasattr(posterior, "path"):
        term.distribution_b.bind(posterior.path)
    _check_prior(term.distribution_b, posterior)
    if term.has_weight_per_example:
        raise ValueError(
            f"weight: wanted one number for a VAE, got {term.weight.shape[0]}. Weigh images by "
            "sample_weight."
        )
    top = getattr(term.distribution_b, "top", term.distribution_b)
    if isinstance(top, VampPrior):
        _bind(top, encoder)
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


def _check_other_losses(encoder: tf_keras.Model, term: KLDivergenceRegularizer) -> None:
    """Checks that the code of an encoder does not add the KL itself, beside the VAE's.

    A loss counts as the KL if it is the same multiple of it for several images.

    Raises:
      ValueError: for such a loss.
    """
    if not _other_losses(encoder):
        return
    images = np.random.RandomState(0).uniform(
        size=[_NUM_PROBES, *introspection.input_shape("encoder", encoder)]
    )
    label = None if introspection.num_classes_of(encoder) is None else tf.zeros([1], tf.int32)
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


def _bind(prior: VampPrior, encoder: tf_keras.Model) -> None:
    if introspection.num_classes_of(encoder) is not None:
        raise ValueError(
            "prior: wanted one that is the same for all classes, got a VampPrior of a conditional "
            "encoder, whose pseudo-inputs would need labels. 'mixture' and 'flow' take any."
        )
    shape = introspection.input_shape("encoder", encoder)
    if tuple(prior.pseudo_inputs.shape[1:]) != shape:
        raise ValueError(
            f"prior: wanted a VampPrior of images {shape}, as the encoder's, got one of "
            f"{tuple(prior.pseudo_inputs.shape[1:])}."
        )
    prior.bind(encoder)
