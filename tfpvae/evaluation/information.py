"""What the latents say of the images: rate and distortion, units, and the aggregate posterior."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from numpy.typing import ArrayLike

from tfpvae import _checks
from tfpvae.distributions import divergences
from tfpvae.evaluation.importance_sampling import mean_and_error
from tfpvae.models import estimators

tfd = tfp.distributions

ACTIVE = 0.01  # the least variance of an active unit's posterior mean
# Of the pairs of a draw and an image that a block takes, times D: 16 MiB an operation.
_NUMBERS_A_BLOCK = 2**22


class RateDistortion(NamedTuple):
    """The two terms of the ELBO of each of N images: elbo = -rate - distortion.

    Attributes:
      rate: KL(q(z|x) || p(z)), [N], nats.
      distortion: -log p(x|z), a mean over draws z ~ q(z|x), [N], nats.
    """

    rate: np.ndarray
    distortion: np.ndarray


class Aggregate(NamedTuple):
    """The parts of the rate by the aggregate posterior, nats, each with its standard error.

    Attributes:
      mutual_information: I(x; z), and its standard error; at most log N.
      marginal_kl: KL(q(z) || p(z)), and its standard error.
      most_information: log N, which mutual_information cannot go beyond.
    """

    mutual_information: tuple[float, float]
    marginal_kl: tuple[float, float]
    most_information: float


def rate_distortion(
    vae: tf_keras.Model, images: Any, num_samples: int = 10, seed: Any = None
) -> RateDistortion:
    """Returns rate and distortion of each image (Alemi et al. 2018, equations 3 and 4).

    The rate is exact where `vae.kl_method` is, else an estimate on the same draws.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_samples: draws of z an image.
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
    step = max(1, estimators.images_per_pass(vae) // num_samples)
    found = [
        _nll_and_kl(
            vae, pixels[i : i + step], tf.constant(num_samples), estimators.fold_in(seed, i)
        )
        for i in range(0, len(pixels), step)
    ]
    distortion, rate = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return RateDistortion(rate.astype(np.float64), distortion.astype(np.float64))


def posterior_means(vae: tf_keras.Model, images: Any, seed: Any = None) -> np.ndarray:
    """Returns the mean of q(z|x) of each image, [N, D], in float64.

    Args:
      vae: a `VAE`.
      images: [N, H, W, C], float in [0, 1] or uint8.
      seed: of the noise of a VAE that dequantizes its pixels; else it plays no part.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> posterior_means(vae, np.zeros([3, 4, 4, 1])).shape
    (3, 2)
    """
    images = _checks.as_tensor("images", images)
    _checks.array("images", images, vae.image_shape)
    pixels = estimators.pixels(vae, images, _checks.seed(seed))
    step = estimators.images_per_pass(vae)
    means = [_mean(vae, pixels[i : i + step]) for i in range(0, len(pixels), step)]
    return np.concatenate(means).astype(np.float64)


def unit_variances(means: ArrayLike) -> np.ndarray:
    """Returns Var_x(E_q(z_d|x) z_d) of each latent unit: [D].

    A unit is active where it is over 0.01 (Burda, Grosse and Salakhutdinov 2016, section 5.2).

    Args:
      means: posterior means of images, [N, D].

    >>> unit_variances([[0.0, 1.0], [2.0, 1.0]]).tolist()
    [1.0, 0.0]
    """
    variances: np.ndarray = np.asarray(_checks.as_dense("means", means), np.float64).var(axis=0)
    return variances


def kl_per_dimension(vae: tf_keras.Model, images: Any, seed: Any = None) -> np.ndarray | None:
    """Returns KL(q(z_d|x) || p(z_d)) of each latent dimension, a mean over images: [D], nats.

    Of the marginals, so that they add up to the rate where q(z|x) has no correlations, and to less
    where it has. None where the prior's dimensions are not independent normals, or the posterior
    is no normal: then a dimension has no KL of its own in closed form.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      seed: of the noise of a VAE that dequantizes its pixels; else it plays no part.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> kl_per_dimension(vae, np.zeros([3, 4, 4, 1])).shape
    (2,)
    """
    pixels, _, _ = vae.scoring_arguments("kl_per_dimension", images, 1, seed)
    step = estimators.images_per_pass(vae)
    total = np.zeros(vae.decoder.input_shape[-1])
    for i in range(0, len(pixels), step):
        kl = divergences.kl_per_dimension(_marginals(vae.encoder(pixels[i : i + step])), vae.prior)
        if kl is None:
            return None
        total += kl.numpy().astype(np.float64).sum(axis=0)
    return total / len(pixels)


def aggregate_posterior(
    vae: tf_keras.Model, images: Any, num_draws: int = 1000, seed: Any = None
) -> Aggregate:
    """Returns the mutual information and the marginal KL, which together are the rate.

    With q(z) = 1/N sum_n q(z|x_n) over the N images given, mean rate = I(x; z) + KL(q(z) || p(z)),
    I(x; z) = E log q(z|x) / q(z) (Hoffman and Johnson 2016, equation 7). It is the information on
    which of these images it was, so that it is at most log N: an estimate near log N says that the
    images are told apart, and no more; the same rate of more images has a smaller marginal KL.

    Both are means over draws z ~ q(z|x) of some of the images, against all N in q(z), which takes
    N * num_draws densities.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_draws: how many z; if N or more, as many of each image as go into it.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      `Aggregate`, nats.

    Raises:
      ValueError: for a plain autoencoder.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> found = aggregate_posterior(vae, np.zeros([8, 4, 4, 1]), 100, seed=0)
    >>> abs(found.mutual_information[0]) < 1e-5  # the images are all the same
    True
    """
    pixels, num_draws, seed = vae.scoring_arguments("aggregate_posterior", images, num_draws, seed)
    count = len(pixels)
    chosen, draws_each = _chosen(count, num_draws, seed)
    here = tf.gather(pixels, chosen)
    log_prior, log_own, log_all = [], [], []
    block = max(1, min(estimators.images_per_pass(vae) // draws_each, 256))
    for i in range(0, len(here), block):
        latents, own, prior = _draws(
            vae, here[i : i + block], draws_each, estimators.fold_in(seed, i)
        )
        log_own.append(own)
        log_prior.append(prior)
        log_all.append(_log_aggregate(vae, pixels, latents))
    own, everything, prior = (
        np.concatenate(parts).astype(np.float64) for parts in (log_own, log_all, log_prior)
    )
    # One image's draws go together: what differs between images is what the error comes from.
    information = (own - everything).reshape(-1, draws_each).mean(axis=1)
    marginal = (everything - prior).reshape(-1, draws_each).mean(axis=1)
    return Aggregate(mean_and_error(information), mean_and_error(marginal), math.log(count))


def _chosen(count: int, num_draws: int, seed: tf.Tensor) -> tuple[np.ndarray, int]:
    """Returns which images are drawn from, and how many times each."""
    if num_draws >= count:
        return np.arange(count), num_draws // count
    rng = np.random.default_rng(seed.numpy().view(np.uint32))
    return np.sort(rng.choice(count, num_draws, replace=False)), 1


def _log_aggregate(vae: tf_keras.Model, pixels: tf.Tensor, latents: tf.Tensor) -> np.ndarray:
    """Returns log 1/N sum_n q(z|x_n) at latents [Z, D]: [Z]."""
    numbers = len(latents) * latents.shape[-1]
    step = max(1, min(_NUMBERS_A_BLOCK // numbers, estimators.images_per_pass(vae)))
    parts = [
        _log_sum_densities(vae, pixels[i : i + step], latents) for i in range(0, len(pixels), step)
    ]
    return np.logaddexp.reduce(np.stack(parts).astype(np.float64)) - math.log(len(pixels))


def _marginals(posterior: tfd.Distribution) -> tfd.Distribution:
    """Returns the independent normals that are the marginals of a normal; others as they are."""
    inner = getattr(posterior, "tensor_distribution", posterior)
    correlated = (tfd.MultivariateNormalTriL, tfd.MultivariateNormalDiagPlusLowRankCovariance)
    if isinstance(inner, correlated):
        return tfd.Independent(tfd.Normal(inner.mean(), inner.stddev()), 1)
    return posterior


@tf.function(reduce_retracing=True)
def _nll_and_kl(vae, images, num_samples, seed):
    return estimators.nll_and_kl(vae, images, num_samples, seed)


@tf.function(reduce_retracing=True)
def _mean(vae, images):
    return vae.encoder(images).mean()


def _draws(vae, images, draws_each, seed):
    """Returns z [B * S, D], the draws of an image together, log q(z|x) of its own x, and log p."""
    posterior = vae.encoder(images)
    latents = posterior.sample(draws_each, seed=seed)
    own, prior = posterior.log_prob(latents), vae.prior.log_prob(latents)
    latents = tf.reshape(tf.transpose(latents, [1, 0, 2]), [-1, latents.shape[-1]])
    return latents, tf.reshape(tf.transpose(own), [-1]), tf.reshape(tf.transpose(prior), [-1])


@tf.function(reduce_retracing=True)
def _log_sum_densities(vae, images, latents):
    """Returns log sum_n q(z|x_n) over some images at latents [Z, D]: [Z]."""
    shape = [tf.shape(latents)[0], tf.shape(images)[0], latents.shape[-1]]
    pairs = tf.broadcast_to(latents[:, tf.newaxis], shape)
    return tf.reduce_logsumexp(vae.encoder(images).log_prob(pairs), axis=1)
