"""Importance-weighted bounds on log p(x), and their errors."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfpvae import _checks
from tfpvae.models import estimators
from tfpvae.models.vae import VAE


class ImportanceBounds(NamedTuple):
    """Bounds on log p(x) of N images from S importance weights each.

    Attributes:
      log_likelihood: log of the mean weight, [N], nats.
      standard_error: standard error of `log_likelihood` over draws of z, [N], nats.
      effective_samples: effective number of draws, [N], from 1 to S.
      curve: dict from k to the bound L_k of k draws, [N], nats.

    >>> one = np.array([-80.0])
    >>> bounds = ImportanceBounds(one, np.array([0.1]), np.array([40.0]), {1: one - 5})
    >>> (bounds.log_likelihood - bounds.curve[1]).tolist()  # how much tighter than the ELBO
    [5.0]
    """

    log_likelihood: np.ndarray
    standard_error: np.ndarray
    effective_samples: np.ndarray
    curve: dict[int, np.ndarray]


def importance_bounds(
    vae: VAE,
    images: Any,
    num_samples: int = 5000,
    ks: Iterable[int] = (),
    seed: Any = None,
) -> ImportanceBounds:
    """Computes the importance-weighted bounds on log p(x) of each image, with their errors.

    L_k = E log 1/k sum_(s <= k) w_s, w_s = p(x|z_s) p(z_s) / q(z_s|x), z_s ~ q(z|x); L_1 is the
    ELBO, and L_1 <= L_k <= log p(x) (Burda, Grosse and Salakhutdinov 2016, theorem 1). All
    bounds use the same draws, those of `vae.log_likelihood`. Images and draws are scored in passes,
    so that memory holds one pass and the S weights of its images.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_samples: S, draws of z per image.
      ks: further numbers of draws, each from 1 to S, to compute the bound for.
      seed: None for new draws each time, else an int or two of them.

    Returns:
      `ImportanceBounds`, nats.

    Raises:
      ValueError: for a plain autoencoder, or a k beyond num_samples.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> bounds = importance_bounds(vae, np.zeros([3, 4, 4, 1]), 100, ks=[1, 10], seed=0)
    >>> bounds.log_likelihood.shape, sorted(bounds.curve)
    ((3,), [1, 10])
    """
    pixels, num_samples, seed = vae.scoring_arguments(
        "importance_bounds", images, num_samples, seed
    )
    ks = [_checks.whole_number("ks", k) for k in ks]
    if max(ks, default=1) > num_samples:
        raise ValueError(f"ks: wanted at most num_samples={num_samples}, got {max(ks)}.")
    parts = []
    for weights in estimators.log_weights_of_chunks(vae, pixels, num_samples, seed):
        log_weights = weights.numpy().astype(np.float64)
        curve = [bound(log_weights, k) for k in ks]
        parts.append([*log_mean(log_weights), *curve])
    value, error, effective, *curve = (np.concatenate(part) for part in zip(*parts, strict=True))
    return ImportanceBounds(value, error, effective, dict(zip(ks, curve, strict=True)))


def log_mean(log_weights: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the log of the mean weight, its standard error, and the effective number of draws.

    By the delta method the standard error of log(mean w) is that of mean w divided by mean w,
    sqrt((1 / ess - 1 / S) S / (S - 1)), with ess = (sum w)^2 / sum w^2 (Kong 1992). Do not trust it
    if ess is small: the draws that matter most are then missing.

    Args:
      log_weights: [S, ...], nats.

    Returns:
      The value in nats, its error in nats (infinite for one draw), and the effective number of
      draws, from 1 to S; [...] each.

    >>> value, error, effective = log_mean(np.log([1.0, 3.0]))
    >>> round(float(np.exp(value)), 6), round(float(error), 6), round(float(effective), 6)
    (2.0, 0.5, 1.6)
    """
    log_weights = np.asarray(log_weights, np.float64)
    samples = len(log_weights)
    largest = log_weights.max(axis=0)
    weights = np.exp(log_weights - largest)
    total, squares = weights.sum(axis=0), (weights**2).sum(axis=0)
    effective = total**2 / squares
    value = largest + np.log(total / samples)
    if samples == 1:
        return value, np.full_like(value, np.inf), effective
    variance = np.maximum(1 / effective - 1 / samples, 0) * samples / (samples - 1)
    return value, np.sqrt(variance), effective


def bound(log_weights: ArrayLike, k: int) -> np.ndarray:
    """Computes L_k: the mean over disjoint groups of k draws of the log of their mean weight.

    Draws after the last whole group are left out.

    Args:
      log_weights: [S, ...], nats.
      k: from 1 to S.

    Returns:
      The bound, [...], nats.

    >>> round(float(np.exp(bound(np.log([1.0, 4.0]), 1))), 6)  # the geometric mean
    2.0
    """
    log_weights = np.asarray(log_weights, np.float64)
    groups = log_weights[: len(log_weights) // k * k]
    groups = groups.reshape(-1, k, *log_weights.shape[1:])
    return np.logaddexp.reduce(groups, axis=1).mean(axis=0) - np.log(k)


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Computes the mean over images and its standard error, std / sqrt(N).

    The error covers the choice of images and the draws of z, which add to the spread of the values.
    It is infinite for one image.

    >>> mean_and_error([1.0, 3.0])
    (2.0, 1.0)
    """
    values = np.asarray(values, np.float64)
    spread = values.std(ddof=1) if len(values) > 1 else np.inf
    return float(values.mean()), float(spread / np.sqrt(len(values)))
