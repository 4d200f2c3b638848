"""Annealed importance sampling: estimates of log p(x) that depend little on the encoder."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.evaluation.importance_sampling import log_mean
from tfpvae.models import conditioning, estimators
from tfpvae.models.vae import VAE

# Fraction of the standard deviation of q(z|x), about that of the narrowest target on the way.
_STEP = 0.5
_LEAPFROG_STEPS = 10
STARTS = ("posterior", "prior")


class AnnealedBounds(NamedTuple):
    """Estimates of log p(x) of N images by annealed importance sampling.

    Attributes:
      log_likelihood: estimate of log p(x), [N], nats.
      standard_error: standard error of `log_likelihood` over chains, [N], nats.
      acceptance: mean acceptance probability of the last move, [N]; chains move well at about 0.6
        to 0.95.

    >>> annealed = AnnealedBounds(np.array([-80.0]), np.array([0.1]), np.array([0.9]))
    >>> bool(annealed.acceptance[0] > 0.6)
    True
    """

    log_likelihood: np.ndarray
    standard_error: np.ndarray
    acceptance: np.ndarray


def annealed_log_likelihood(
    vae: VAE,
    images: Any,
    num_steps: int = 500,
    num_chains: int = 16,
    *,
    start: str = "prior",
    seed: Any = None,
) -> AnnealedBounds:
    """Estimates log p(x) of each image by annealed importance sampling.

    Chains go from r(z), the prior or q(z|x), to p(x, z) over num_steps distributions proportional
    to r(z)^(1 - b) p(x, z)^b, b = 1 / num_steps ... 1, by Hamiltonian Monte Carlo. The mean of
    their weights is p(x) (Neal 2001; for decoders, Wu, Burda, Salakhutdinov and Grosse 2017). The
    log of the mean weight is a lower bound on log p(x) in expectation, like the importance-weighted
    bound, and becomes tighter with more steps. Chains that start at the prior use the encoder only
    for their step size: an estimate above the importance-weighted bound shows that q(z|x) misses a
    part of the true posterior. `simulated_bounds` has an upper bound, for images that the model
    draws.

    Each step costs 12 gradients of the decoder per chain.

    Args:
      vae: a `VAE` with a prior, all of whose parts have gradients.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_steps: distributions on the way, at least 1.
      num_chains: chains per image, at least 1.
      start: r(z), "prior" or "posterior"; the posterior needs fewer steps.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      `AnnealedBounds`, nats.

    Raises:
      ValueError: for a plain autoencoder, or another start.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> annealed = annealed_log_likelihood(vae, np.zeros([2, 4, 4, 1]), 5, 4, seed=0)
    >>> annealed.log_likelihood.shape
    (2,)
    """
    _checks.one_of("start", start, STARTS)
    pixels, num_chains, seed = vae.scoring_arguments(
        "annealed_log_likelihood", images, num_chains, seed
    )
    num_steps = _checks.whole_number("num_steps", num_steps)
    step = max(1, estimators.examples_per_pass(vae) // num_chains)
    weights, acceptance = [], []
    for i, chunk in enumerate(estimators.chunks(pixels, step)):
        here, there = tf.unstack(tf.random.split(estimators.fold_in(seed, i * step), 2))
        chains = _upwards(vae, chunk, num_steps, num_chains, start, here, there)
        weights.append(chains[0].numpy())
        acceptance.append(chains[1].numpy())
    value, error, _ = log_mean(np.concatenate(weights, axis=1))
    return AnnealedBounds(value, error, np.concatenate(acceptance, axis=1).mean(axis=0))


def simulated_bounds(
    vae: VAE,
    num_images: int,
    num_steps: int = 500,
    num_chains: int = 16,
    *,
    start: str = "prior",
    seed: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes a lower and an upper bound on log p(x) of images that the model draws.

    With z ~ p(z) and x ~ p(x|z), z is an exact draw from the true posterior p(z|x). Chains that
    start there can run in reverse, from p(x, z) to r(z). The mean of their weights is 1 / p(x), and
    minus its log is an upper bound in expectation (bidirectional Monte Carlo: Grosse, Ghahramani
    and Adams 2015). The gap bounds the error of both, and shows how many steps and chains such
    images need. All chains of an image start at its one z.

    Args:
      vae: a `VAE` with a prior, all of whose parts have gradients.
      num_images: N, images to draw.
      num_steps: distributions on the way, at least 1.
      num_chains: chains per image, at least 1.
      start: r(z), "prior" or "posterior".
      seed: None for new draws each time, else an int or two of them.

    Returns:
      The lower and the upper bounds, [N] each, in nats.

    Raises:
      ValueError: for a plain autoencoder, or another start.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> lower, upper = simulated_bounds(vae, 2, 5, 4, seed=0)
    >>> lower.shape, upper.shape
    ((2,), (2,))
    """
    _checks.one_of("start", start, STARTS)
    vae.check_prior("simulated_bounds")
    conditioning.labels_of(vae, None, [])  # a conditional VAE is refused
    num_images = _checks.whole_number("num_images", num_images)
    num_chains = _checks.whole_number("num_chains", num_chains)
    num_steps = _checks.whole_number("num_steps", num_steps)
    step = max(1, estimators.examples_per_pass(vae) // num_chains)
    lower, upper = [], []
    for i in range(0, num_images, step):
        seeds = tf.unstack(tf.random.split(estimators.fold_in(_checks.seed(seed), i), 5))
        latents = vae.prior.sample(min(step, num_images - i), seed=seeds[0])
        images = vae.decoder(latents).sample(seed=seeds[1])
        up, _ = _upwards(vae, images, num_steps, num_chains, start, *seeds[2:4])
        down, _ = _downwards(vae, images, latents, num_steps, num_chains, start, seeds[4])
        lower.append(log_mean(up.numpy())[0])
        upper.append(-log_mean(down.numpy())[0])
    return np.concatenate(lower), np.concatenate(upper)


@tf.function(reduce_retracing=True)
def _upwards(vae, images, num_steps, num_chains, start, first_seed, seed):
    begin, joint, scale = _ends(vae, images, start)
    latents = begin.sample(
        [num_chains, tf.shape(images)[0]] if start == "prior" else num_chains, seed=first_seed
    )
    return _chain(begin.log_prob, joint, latents, scale, num_steps, seed)


@tf.function(reduce_retracing=True)
def _downwards(vae, images, latents, num_steps, num_chains, start, seed):
    begin, joint, scale = _ends(vae, images, start)
    latents = tf.tile(latents[tf.newaxis], [num_chains, 1, 1])
    return _chain(joint, begin.log_prob, latents, scale, num_steps, seed)


def _ends(vae, images, start):
    """Returns r(z), log p(x, z) as a function of z [C, B, D], and the standard deviations of q."""
    posterior = vae.encoder(images)
    begin = vae.prior if start == "prior" else posterior
    scale = tf.stop_gradient(posterior.stddev())
    return begin, lambda latents: estimators.log_joint(vae, images, latents), scale


class _Move(tfp.mcmc.HamiltonianMonteCarlo):
    """Hamiltonian Monte Carlo move that evaluates its own density before it starts.

    `sample_annealed_importance_chain` passes on the log density and the gradient of the previous
    temperature, with which moves would be accepted wrongly.
    """

    def __init__(self, log_prob, step_size):
        super().__init__(log_prob, step_size, _LEAPFROG_STEPS)

    def one_step(self, current_state, previous_kernel_results, seed=None):
        del previous_kernel_results
        return super().one_step(current_state, self.bootstrap_results(current_state), seed)


def _chain(first, last, latents, scale, num_steps, seed):
    """Returns log weights [C, B] of chains from `first` to `last`, and the last acceptance."""

    _, weights, results = tfp.mcmc.sample_annealed_importance_chain(
        num_steps, first, last, latents, lambda log_prob: _Move(log_prob, _STEP * scale), seed=seed
    )
    ratio = results.inner_results.log_accept_ratio
    return weights, tf.exp(tf.minimum(ratio, 0))
