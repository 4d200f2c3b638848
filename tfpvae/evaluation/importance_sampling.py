"""log p(x) by importance sampling: its bounds for one number of draws or more, and their errors."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tf_keras
from numpy.typing import ArrayLike

from tfpvae import _checks
from tfpvae.models import estimators


class ImportanceBounds(NamedTuple):
    """What S importance weights of each of N images say of log p(x).

    Attributes:
      log_likelihood: log of the mean weight, [N], nats.
      standard_error: of that, by the draws of z, [N], nats.
      effective_samples: how many of the S draws the estimate rests on, [N], from 1 to S.
      curve: from k to the bound L_k of k draws, [N], nats.
    """

    log_likelihood: np.ndarray
    standard_error: np.ndarray
    effective_samples: np.ndarray
    curve: dict[int, np.ndarray]


def importance_bounds(
    vae: tf_keras.Model,
    images: Any,
    num_samples: int = 5000,
    ks: Iterable[int] = (),
    seed: Any = None,
) -> ImportanceBounds:
    """Returns the importance-weighted bounds on log p(x) of each image, with their errors.

    L_k = E log 1/k sum_(s <= k) w_s, w_s = p(x|z_s) p(z_s) / q(z_s|x), z_s ~ q(z|x); L_1 is the
    ELBO, and L_1 <= L_k <= log p(x) (Burda, Grosse and Salakhutdinov 2016, theorem 1). All of them
    are of the same draws, which are those of `vae.log_likelihood`. Images and draws are scored in
    passes: beside one pass, only the S weights of some images are in memory at a time.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8.
      num_samples: S, draws of z an image.
      ks: numbers of draws, each from 1 to S, for which the bound is wanted besides.
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
    found = []
    for weights in estimators.log_weights_of_chunks(vae, pixels, num_samples, seed):
        log_weights = weights.numpy().astype(np.float64)
        curve = [bound(log_weights, k) for k in ks]
        found.append([*log_mean(log_weights), *curve])
    value, error, effective, *curve = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return ImportanceBounds(value, error, effective, dict(zip(ks, curve, strict=True)))


def log_mean(log_weights: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the log of the mean weight over axis 0, its standard error, and the effective draws.

    By the delta method the standard error of log(mean w) is that of mean w over mean w,
    sqrt((1 / ess - 1 / S) S / (S - 1)), with ess = (sum w)^2 / sum w^2 (Kong 1992). It is not to be
    believed where ess is a few: the draws that would matter have not been seen.

    Args:
      log_weights: [S, ...], nats.

    Returns:
      Three arrays [...]: nats, nats (infinite for one draw), and a number from 1 to S.

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
    """Returns L_k: the mean over disjoint groups of k draws of the log of their mean weight.

    Draws beyond the last whole group are left out.

    Args:
      log_weights: [S, ...], nats.
      k: from 1 to S.

    Returns:
      [...], nats.

    >>> round(float(np.exp(bound(np.log([1.0, 4.0]), 1))), 6)  # the geometric mean
    2.0
    """
    log_weights = np.asarray(log_weights, np.float64)
    groups = log_weights[: len(log_weights) // k * k]
    groups = groups.reshape(-1, k, *log_weights.shape[1:])
    return np.logaddexp.reduce(groups, axis=1).mean(axis=0) - np.log(k)


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Returns the mean over images and its standard error as that of all images like these.

    std / sqrt(N): the draws of z add to the spread of the values, and so are in it. Infinite for
    one image.

    >>> mean_and_error([1.0, 3.0])
    (2.0, 1.0)
    """
    values = np.asarray(values, np.float64)
    spread = values.std(ddof=1) if len(values) > 1 else np.inf
    return float(values.mean()), float(spread / np.sqrt(len(values)))
