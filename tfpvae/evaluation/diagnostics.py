"""Known faults of a trained VAE, in words and numbers."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.evaluation.information import ACTIVE
from tfpvae.models import estimators
from tfpvae.models.vae import VAE
from tfpvae.networks import structure

tfd = tfp.distributions

_COLLAPSED = 0.1  # nats of rate, below which z carries no information about x
_CONDITION = 1e4  # condition number of a scale; that of the covariance is its square, 1e8
_SATURATED = 15.0  # logit at which the sigmoid is 0 or 1 to 3e-7
_SHARE = 0.01  # fraction of scales that makes a fault worth a sentence
_SATURATED_SHARE = 0.1  # fraction of logits; some pixels hardly ever vary


def troubles(
    vae: VAE, images: tf.Tensor, unit_variances: np.ndarray, rate: float, seed: tf.Tensor
) -> tuple[dict[str, float], list[str]]:
    """Finds known faults, and describes them in numbers and in sentences.

    - Posterior collapse: the rate is below 0.1 nats.
    - Dead units: the variance of their posterior mean over images is at most 0.01.
    - Scale-floor hits: scales of q(z|x) or p(x|z) below twice the floor of their layer.
    - Badly conditioned scales: triangular ones with a condition number of 10^4 or more.
    - Saturated logits: those beyond +-15, of pixels that vary between the images, and those of them
      with the wrong sign.

    Scales are worth a sentence from 1% on, logits from 10% on or if any has the wrong sign.

    Args:
      vae: a `VAE` with a prior.
      images: pixels as the VAE scores them, [N, H, W, C]; one pass is enough.
      unit_variances: Var_x(E_q(z_d|x) z_d), [D].
      rate: mean of KL(q(z|x) || p(z)), nats.
      seed: seed of the draws that are decoded.

    Returns:
      A dict of numbers, and a list of sentences.
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
    """Returns the fraction of scales below twice the floor; None for a layer without a floor."""
    layers = structure.distribution_layers(model)
    floor = getattr(layers[-1], "_scale_floor", None) if layers else None
    scales = _scales(getattr(distribution, "tensor_distribution", distribution))
    if not floor or scales is None:
        return None
    return float(np.mean(scales.numpy() < 2 * floor))


def _scales(distribution: Any) -> tf.Tensor | None:
    """Returns the scales that a floor is added to; None for an unknown distribution."""
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
    """Returns the fractions of logits beyond +-15, and of those among them with the wrong sign."""
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


def one_pass(vae: VAE, images: tf.Tensor) -> tf.Tensor:
    """Returns evenly spaced images, at most as many as one pass takes."""
    step = -(-len(images) // estimators.examples_per_pass(vae))
    return images[::step]
