"""The KL term of an encoder, which a VAE counts once, whatever layer adds it."""

from typing import Any

import tensorflow_probability as tfp
import tf_keras

from tfpvae._checks import Support
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.models import encoder_losses, introspection
from tfpvae.priors import Ladder, VampPrior

tfd = tfp.distributions


def kl_term(
    encoder: tf_keras.Model,
    posterior: tfd.Distribution,
    prior: tfd.Distribution | KLDivergenceRegularizer | None,
    support: Support,
) -> KLDivergenceRegularizer | None:
    """Returns the KL term of an encoder; None for a deterministic posterior.

    Args:
      encoder: images -> q(z|x); a VampPrior is bound to it.
      posterior: q(z|x) of some images.
      prior: None for the term of the encoder's own layer; a distribution to replace its prior; or a
        whole term, which is returned unchanged.
      support: the values of the data.

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
            "weight: wanted one number for a VAE, whose batches have any size and order, got "
            f"{term.weight.shape[0]}. Weigh images by sample_weight, or their KL alone in a custom "
            "loop on loss_terms."
        )
    top = getattr(term.distribution_b, "top", term.distribution_b)
    if isinstance(top, VampPrior):
        _bind(top, encoder, support)
    term.kl_divergence(posterior)  # raises where a closed form is required and missing
    encoder_losses.check(encoder, term)
    return term


def _own_term(encoder: tf_keras.Model) -> Any:
    """Returns the KL regularizer of an encoder, which may be one of tfp.layers, or None."""
    layers = encoder_losses.kl_layers(encoder)
    if len(layers) > 1:
        names = ", ".join(repr(layer.name) for layer in layers)
        raise ValueError(
            f"encoder: wanted at most one layer that adds a KL, got {len(layers)}: {names}. A VAE "
            "has one posterior and one prior; remove the regularizer or KLDivergenceAddLoss of the "
            "others."
        )
    return encoder_losses.regularizer_of(layers[0]) if layers else None


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


def _bind(prior: VampPrior, encoder: tf_keras.Model, support: Support) -> None:
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
    prior.bind(encoder, support)
