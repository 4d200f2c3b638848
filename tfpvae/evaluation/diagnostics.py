"""What is wrong with a trained VAE, in words and numbers."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.evaluation.information import ACTIVE
from tfpvae.models import estimators
from tfpvae.networks import structure

tfd = tfp.distributions

_COLLAPSED = 0.1  # nats of rate, below which z says nothing of x
_CONDITION = 1e4  # of a scale: its square, the covariance's, takes all of float32's digits
_SATURATED = 15.0  # a logit, beyond which sigmoid is 0 or 1 to 3e-7
_SHARE = 0.01  # of scales, from which on a fault is one
_SATURATED_SHARE = 0.1  # of logits; there are always pixels that hardly ever differ


def troubles(
    vae: tf_keras.Model, images: tf.Tensor, unit_variances: np.ndarray, rate: float, seed: tf.Tensor
) -> tuple[dict[str, float], list[str]]:
    """Returns what there is of known faults, in numbers and in sentences.

    Posterior collapse: the rate is below 0.1 nats. Dead units: the variance of their posterior mean
    over images is at most 0.01. Scale-floor hits: scales of q(z|x) or p(x|z) within twice their
    layer's floor. Badly conditioned scales: of triangular ones, whose greatest singular value is
    10^4 times the least or more. Saturated logits: of pixels that differ between the images, those
    beyond +-15, and how many of them are on the wrong side of 0. Scales become a sentence from 1%
    of them on, logits from 10% on, and any on the wrong side.

    Args:
      vae: a `VAE` with a prior.
      images: pixels as the VAE is scored with, [N, H, W, C]; a pass of them is enough.
      unit_variances: Var_x(E_q(z_d|x) z_d), [D].
      rate: mean of KL(q(z|x) || p(z)), nats.
      seed: of the draws that are decoded.
    """
    posterior = vae.encoder(images)
    likelihood = vae.decoder(posterior.sample(seed=seed))
    dead = int(np.sum(unit_variances <= ACTIVE))
    numbers: dict[str, float] = {"dead_units": dead}
    sentences = _units(dead, len(unit_variances), rate)
    for end, model, distribution in (
        ("posterior", vae.encoder, posterior),
        ("likelihood", vae.decoder, likelihood),
    ):
        share = _at_floor(model, distribution)
        if share is not None:
            numbers[f"{end}_scales_at_floor"] = share
            if share >= _SHARE:
                sentences.append(
                    f"Scale-floor hits: {share:.1%} of the scales of the {end} are within twice "
                    "their floor, which then decides the density, not the network."
                )
    share = _badly_conditioned(posterior)
    if share is not None:
        numbers["badly_conditioned_scales"] = share
        if share >= _SHARE:
            sentences.append(
                f"Badly conditioned: {share:.1%} of the triangular scales of the posterior have "
                f"a condition number over {_CONDITION:.0e}; their densities lose digits."
            )
    saturated = _saturated(likelihood, images)
    if saturated is not None:
        share, wrong = saturated
        numbers |= {"saturated_logits": share, "saturated_on_the_wrong_side": wrong}
        if share >= _SATURATED_SHARE or wrong > 0:
            sentences.append(
                f"Saturated logits: {share:.2%} of those of pixels that vary are beyond "
                f"+-{_SATURATED:.0f}, and {wrong:.3%} of all on the wrong side, each at a cost of "
                f"{_SATURATED:.0f} nats or more."
            )
    return numbers, sentences


def _units(dead: int, units: int, rate: float) -> list[str]:
    if rate < _COLLAPSED:
        return [
            f"Posterior collapse: the rate is {rate:.3f} nats, so that q(z|x) is the prior "
            f"whatever the image, and z says nothing of it; {dead} of {units} latent units are "
            "dead. A lower kl_weight, a warm-up of it, or free_bits may help."
        ]
    if dead:
        return [
            f"Dead units: {dead} of {units} latent units have a posterior mean that hardly differs "
            f"between images (variance at most {ACTIVE})."
        ]
    return []


def _at_floor(model: tf_keras.Model, distribution: Any) -> float | None:
    """Returns the share of scales within twice the floor of the layer; None without a floor."""
    layers = structure.distribution_layers(model)
    floor = getattr(layers[-1], "_scale_floor", None) if layers else None
    scales = _scales(getattr(distribution, "tensor_distribution", distribution))
    if not floor or scales is None:
        return None
    return float(np.mean(scales.numpy() < 2 * floor))


def _scales(distribution: Any) -> tf.Tensor | None:
    """Returns what a scale floor is added to; None where it is not known."""
    if isinstance(distribution, tfd.MultivariateNormalTriL):
        return tf.linalg.diag_part(distribution.scale_tril)
    if isinstance(distribution, tfd.MultivariateNormalDiagPlusLowRankCovariance):
        return tf.sqrt(distribution.cov_diag_factor)
    while not isinstance(getattr(distribution, "scale", None), tf.Tensor):
        inner = getattr(distribution, "distribution", None)
        distribution = inner or getattr(distribution, "components_distribution", None)
        if distribution is None:
            return None
    return distribution.scale


def _badly_conditioned(posterior: Any) -> float | None:
    scale_tril = posterior.parameters.get("scale_tril")
    if scale_tril is None:
        return None
    singular = np.linalg.svd(np.asarray(scale_tril, np.float64), compute_uv=False)
    return float(np.mean(singular[..., 0] > _CONDITION * singular[..., -1]))


def _saturated(likelihood: Any, images: tf.Tensor) -> tuple[float, float] | None:
    """Returns the shares, of logits of pixels that vary, beyond 15, and so on the wrong side."""
    inner = getattr(likelihood, "tensor_distribution", likelihood)
    bernoulli = getattr(inner, "distribution", None)
    if not isinstance(bernoulli, (tfd.Bernoulli, tfd.ContinuousBernoulli)):
        return None
    logits, pixels = bernoulli.logits.numpy(), images.numpy()
    varies = pixels.min(axis=0) < pixels.max(axis=0)
    if not varies.any():
        return 0.0, 0.0
    logits, pixels = logits[:, varies], pixels[:, varies]
    far = np.abs(logits) > _SATURATED
    wrong = far & np.where(logits > 0, pixels == 0, pixels == 1)
    return float(far.mean()), float(wrong.mean())


def some(vae: tf_keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns evenly spaced images, at most a pass of them."""
    step = -(-len(images) // estimators.images_per_pass(vae))
    return images[::step]
