"""Information in the latents: rate and distortion, units, and the aggregate posterior."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfpvae import _checks
from tfpvae.distributions import divergences, remembered
from tfpvae.evaluation.importance_sampling import mean_and_error
from tfpvae.models import estimators
from tfpvae.models.vae import VAE

tfd = tfp.distributions

ACTIVE = 0.01  # the least variance of an active unit's posterior mean
# Pairs of a draw and an image per block, times D: 16 MiB per operation.
_NUMBERS_A_BLOCK = 2**22


class RateDistortion(NamedTuple):
    """The two terms of the ELBO of N images: elbo = -rate - distortion.

    Attributes:
      rate: KL(q(z|x) || p(z)), [N], nats.
      distortion: mean of -log p(x|z) over draws z ~ q(z|x), [N], nats.

    >>> terms = RateDistortion(np.array([2.0, 3.0]), np.array([90.0, 95.0]))
    >>> (-terms.rate - terms.distortion).tolist()  # the ELBO
    [-92.0, -98.0]
    """

    rate: np.ndarray
    distortion: np.ndarray


class Aggregate(NamedTuple):
    """The two parts of the rate, in nats, each with its standard error.

    Attributes:
      mutual_information: I(x; z) and its standard error.
      marginal_kl: KL(q(z) || p(z)) and its standard error.
      most_information: log N, the upper bound of the mutual information.

    >>> parts = Aggregate((2.0, 0.1), (0.5, 0.1), math.log(100))
    >>> parts.mutual_information[0] + parts.marginal_kl[0]  # the mean rate
    2.5
    """

    mutual_information: tuple[float, float]
    marginal_kl: tuple[float, float]
    most_information: float


def rate_distortion(
    vae: VAE, images: Any, num_samples: int = 10, seed: Any = None
) -> RateDistortion:
    """Computes the rate and the distortion of each image (Alemi et al. 2018, equations 3 and 4).

    The rate is exact where `vae.kl_method` is "exact", else an estimate on the same draws.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_samples: draws of z per image.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      `RateDistortion`, nats.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> terms = rate_distortion(vae, np.zeros([3, 4, 4, 1]), seed=0)
    >>> terms.rate.shape, bool((terms.rate > 0).all())
    ((3,), True)
    """
    pixels, num_samples, seed = vae.scoring_arguments("rate_distortion", images, num_samples, seed)
    step = max(1, estimators.examples_per_pass(vae) // num_samples)
    draws = tf.constant(num_samples)
    terms = [
        _nll_and_kl(vae, chunk, draws, estimators.fold_in(seed, i * step))
        for i, chunk in enumerate(estimators.chunks(pixels, step))
    ]
    distortion, rate = (np.concatenate(parts) for parts in zip(*terms, strict=True))
    return RateDistortion(rate.astype(np.float64), distortion.astype(np.float64))


def posterior_means(vae: VAE, images: Any, seed: Any = None) -> np.ndarray:
    """Returns the mean of q(z|x) of each image.

    Args:
      vae: a `VAE`.
      images: [N, H, W, C], float in [0, 1] or uint8.
      seed: seed of the noise, for a VAE that dequantizes its pixels; unused otherwise.

    Returns:
      The means, float64 [N, D].

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> posterior_means(vae, np.zeros([3, 4, 4, 1])).shape
    (3, 2)
    """
    images = _checks.as_tensor("images", images)
    _checks.array("images", images, vae.data_spec)
    pixels = estimators.preprocess(vae, images, _checks.seed(seed))
    return estimators.encode(vae, pixels).numpy().astype(np.float64)


def unit_variances(means: ArrayLike) -> np.ndarray:
    """Computes the variance over images of the posterior mean of each latent unit.

    Var_x(E_q(z_d|x) z_d). A unit is active if its variance is above 0.01 (Burda, Grosse and
    Salakhutdinov 2016, section 5.2).

    Args:
      means: posterior means of the images, [N, D].

    Returns:
      The variances, [D].

    >>> unit_variances([[0.0, 1.0], [2.0, 1.0]]).tolist()
    [1.0, 0.0]
    """
    variances: np.ndarray = np.asarray(_checks.as_dense("means", means), np.float64).var(axis=0)
    return variances


def kl_per_dimension(vae: VAE, images: Any, seed: Any = None) -> np.ndarray | None:
    """Computes the mean over images of KL(q(z_d|x) || p(z_d)) for each latent dimension.

    The KL is that of the marginals. The dimensions add up to the rate if q(z|x) has no
    correlations, and to less if it has.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      seed: seed of the noise, for a VAE that dequantizes its pixels; unused otherwise.

    Returns:
      The KLs, [D], in nats; None if the prior's dimensions are not independent normals or the
      posterior is not a normal, since a dimension then has no KL in closed form.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> kl_per_dimension(vae, np.zeros([3, 4, 4, 1])).shape
    (2,)
    """
    pixels, _, _ = vae.scoring_arguments("kl_per_dimension", images, 1, seed)
    total = np.zeros(vae.decoder.input_shape[-1])
    for chunk in estimators.chunks(pixels, estimators.examples_per_pass(vae)):
        kl = divergences.kl_per_dimension(_marginals(vae.encoder(chunk)), vae.prior)
        if kl is None:
            return None
        total += kl.numpy().astype(np.float64).sum(axis=0)
    return total / len(pixels)


def kl_per_group(
    vae: VAE, images: Any, num_samples: int = 1, seed: Any = None
) -> np.ndarray | None:
    """Computes the mean over images of the KL of each group of a ladder, from the top down.

    KL(q(z_i | z_<i, x) || p(z_i | z_<i)), the mean over draws of the groups above it. The groups
    add up to the rate.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_samples: draws of z per image, at least 1.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      The KLs, [G], in nats; None if the latents are not in groups.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1), posterior="ladder", latent_dim=5)
    >>> kl_per_group(vae, np.zeros([3, 4, 4, 1]), seed=0).shape
    (2,)
    """
    pixels, num_samples, seed = vae.scoring_arguments("kl_per_group", images, num_samples, seed)
    if not hasattr(vae.prior, "path"):
        return None
    step = max(1, estimators.examples_per_pass(vae) // num_samples)
    parts = [
        _kl_per_group(vae, chunk, tf.constant(num_samples), estimators.fold_in(seed, i))
        for i, chunk in enumerate(estimators.chunks(pixels, step))
    ]
    return np.stack(parts).astype(np.float64).sum(axis=0) / len(pixels)


def aggregate_posterior(
    vae: VAE, images: Any, num_draws: int = 1000, seed: Any = None
) -> Aggregate:
    """Computes the mutual information and the marginal KL, which add up to the rate.

    With q(z) = 1/N sum_n q(z|x_n) over the N images, mean rate = I(x; z) + KL(q(z) || p(z)),
    I(x; z) = E log q(z|x) / q(z) (Hoffman and Johnson 2016, equation 7). I(x; z) is the information
    about which of the N images was encoded, and so at most log N. An estimate near log N means only
    that z tells the images apart; with more images the same rate has a smaller marginal KL.

    Both are means over draws z ~ q(z|x) of up to `num_draws` images, with all N images in q(z),
    which takes N * num_draws densities.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_draws: number of draws of z; with N or more, num_draws // N of each image.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      `Aggregate`, nats.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> parts = aggregate_posterior(vae, np.zeros([8, 4, 4, 1]), 100, seed=0)
    >>> abs(parts.mutual_information[0]) < 1e-5  # the images are all the same
    True
    """
    pixels, num_draws, seed = vae.scoring_arguments("aggregate_posterior", images, num_draws, seed)
    count = len(pixels)
    chosen, draws_each = _chosen(count, num_draws, seed)
    here = tf.gather(pixels, chosen)
    log_prior, log_own, log_all = [], [], []
    block = max(1, min(estimators.examples_per_pass(vae) // draws_each, 256))
    for i, chunk in enumerate(estimators.chunks(here, block)):
        latents, own, prior = _draws(vae, chunk, draws_each, estimators.fold_in(seed, i * block))
        log_own.append(own)
        log_prior.append(prior)
        log_all.append(_log_aggregate(vae, pixels, latents))
    own, everything, prior = (
        np.concatenate(parts).astype(np.float64) for parts in (log_own, log_all, log_prior)
    )
    # The error comes from differences between images, so the draws of one image are averaged first.
    information = (own - everything).reshape(-1, draws_each).mean(axis=1)
    marginal = (everything - prior).reshape(-1, draws_each).mean(axis=1)
    return Aggregate(mean_and_error(information), mean_and_error(marginal), math.log(count))


def _chosen(count: int, num_draws: int, seed: tf.Tensor) -> tuple[np.ndarray, int]:
    """Returns the rows of the images to draw from, and the draws of each."""
    if num_draws >= count:
        return np.arange(count), num_draws // count
    rng = np.random.default_rng(seed.numpy().view(np.uint32))
    return np.sort(rng.choice(count, num_draws, replace=False)), 1


def _log_aggregate(vae: VAE, pixels: tf.Tensor, latents: tf.Tensor) -> np.ndarray:
    """Computes log 1/N sum_n q(z|x_n) at latents [Z, D]; returns [Z]."""
    numbers = len(latents) * latents.shape[-1]
    step = max(1, min(_NUMBERS_A_BLOCK // numbers, estimators.examples_per_pass(vae)))
    parts = [_log_sum_densities(vae, chunk, latents) for chunk in estimators.chunks(pixels, step)]
    return np.logaddexp.reduce(np.stack(parts).astype(np.float64)) - math.log(len(pixels))


def _marginals(posterior: tfd.Distribution) -> tfd.Distribution:
    """Returns the marginals of a correlated normal; any other distribution unchanged."""
    inner = getattr(posterior, "tensor_distribution", posterior)
    correlated = (tfd.MultivariateNormalTriL, tfd.MultivariateNormalDiagPlusLowRankCovariance)
    if isinstance(inner, correlated):
        return tfd.Independent(tfd.Normal(inner.mean(), inner.stddev()), 1)
    return posterior


@tf.function(reduce_retracing=True)
def _nll_and_kl(vae, images, num_samples, seed):
    return estimators.nll_and_kl(vae, images, num_samples, seed)


@tf.function(reduce_retracing=True)
def _kl_per_group(vae, images, num_samples, seed):
    """Computes the sum over images of the KL of each group, [G], the mean over draws."""
    posterior = vae.encoder(images)
    with remembered.remembering():
        latents = posterior.sample(num_samples, seed=seed)
        groups = divergences.kl_per_group(posterior, vae.prior, latents)
    return tf.reduce_sum(tf.reduce_mean(groups, axis=0), axis=0)


def _draws(vae, images, draws_each, seed):
    """Returns z [B * S, D], draws of one image in a row, log q(z|x) of that image, and log p(z)."""
    posterior = vae.encoder(images)
    latents = posterior.sample(draws_each, seed=seed)
    own, prior = posterior.log_prob(latents), vae.prior.log_prob(latents)
    latents = tf.reshape(tf.transpose(latents, [1, 0, 2]), [-1, latents.shape[-1]])
    return latents, tf.reshape(tf.transpose(own), [-1]), tf.reshape(tf.transpose(prior), [-1])


@tf.function(reduce_retracing=True)
def _log_sum_densities(vae, images, latents):
    """Computes log sum_n q(z|x_n) over a batch of images at latents [Z, D]; returns [Z]."""
    shape = [tf.shape(latents)[0], tf.shape(images)[0], latents.shape[-1]]
    pairs = tf.broadcast_to(latents[:, tf.newaxis], shape)
    return tf.reduce_logsumexp(vae.encoder(images).log_prob(pairs), axis=1)
