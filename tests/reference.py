"""Oracles in NumPy and SciPy. Nothing here imports tfpvae, TensorFlow or its distributions."""

import numpy as np
from scipy import special


def softplus(x):
    return np.logaddexp(0.0, x)


def softplus_inverse(y):
    return y + np.log(-np.expm1(-np.asarray(y)))


def gaussian_kl(mean_q, covariance_q, mean_p, covariance_p):
    """Returns KL(N(mean_q, covariance_q) || N(mean_p, covariance_p)), by the textbook formula."""
    difference = mean_p - mean_q
    inverse = np.linalg.inv(covariance_p)
    log_ratio = np.linalg.slogdet(covariance_p)[1] - np.linalg.slogdet(covariance_q)[1]
    trace = np.trace(inverse @ covariance_q)
    return 0.5 * (log_ratio - len(mean_q) + trace + difference @ inverse @ difference)


def gaussian_log_density(x, mean, covariance):
    """Returns log N(x; mean, covariance) of each row of x."""
    centered = x - mean
    mahalanobis = np.sum(centered * np.linalg.solve(covariance, centered.T).T, axis=1)
    log_determinant = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return -0.5 * (mahalanobis + log_determinant)


def normal_mixture_log_density(x, weights, means, scales):
    """Returns log sum_k weights_k N(x; means_k, diag(scales_k^2)) of each row; means are [K, D]."""
    standard = (x[:, np.newaxis] - means) / scales
    log_normal = -0.5 * standard**2 - np.log(scales) - 0.5 * np.log(2 * np.pi)
    return special.logsumexp(log_normal.sum(axis=-1) + np.log(weights), axis=1)


def bernoulli_log_prob(x, logits):
    """Returns x log s(l) + (1 - x) log(1 - s(l)), summed over all but the first axis."""
    pixels = x * special.log_expit(logits) + (1 - x) * special.log_expit(-logits)
    return pixels.reshape(len(x), -1).sum(axis=1)


def continuous_bernoulli_log_normalizer(logits):
    """Returns log C = log(2 atanh(1 - 2 l) / (1 - 2 l)), l = s(logit); log 2 at l = 1/2."""
    logits = np.asarray(logits, np.float64)
    off_center = np.where(np.abs(logits) < 1e-6, 1.0, logits)
    # 2 atanh(1 - 2 l) = -logit and 1 - 2 l = -tanh(logit / 2)
    log_c = np.log(np.abs(off_center / np.tanh(off_center / 2)))
    return np.where(np.abs(logits) < 1e-6, np.log(2.0), log_c)


def continuous_bernoulli_log_prob(x, logits):
    constants = continuous_bernoulli_log_normalizer(logits)
    return bernoulli_log_prob(x, logits) + constants.reshape(len(x), -1).sum(axis=1)


def dense(x, kernel, bias):
    return x @ kernel + bias


def probabilistic_pca(data, latent_dim):
    """Returns the maximum likelihood of Tipping and Bishop (1999): mean, W [D, K], sigma^2."""
    mean = data.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    variance = values[latent_dim:].mean()
    weights = vectors[:, :latent_dim] * np.sqrt(values[:latent_dim] - variance)
    return mean, weights, variance


def discretized_logistic_mass(level, m, s):
    """Returns P(level) of 0 ... 255 for a logistic of location m and scale s, both in levels."""
    lower = np.where(level == 0, -np.inf, (level - 0.5 - m) / s)
    upper = np.where(level == 255, np.inf, (level + 0.5 - m) / s)
    # In the right half, the difference of the upper tails keeps its digits.
    from_left = special.expit(upper) - special.expit(lower)
    from_right = special.expit(-lower) - special.expit(-upper)
    return np.where(lower > 0, from_right, from_left)


def probabilistic_pca_posterior(weights, variance):
    """Returns the map from x - mean to the mean of p(z|x), [K, D], and its covariance, [K, K]."""
    precision = weights.T @ weights + variance * np.eye(weights.shape[1])
    return np.linalg.solve(precision, weights.T), variance * np.linalg.inv(precision)


def low_rank_covariance(raw_diagonal, raw_factors, floor):
    """Returns diag(d)^2 + U U', d = softplus + floor, U = diag(d) W, W = 30 tanh(raw / 300)."""
    diagonal = softplus(raw_diagonal) + floor
    factors = diagonal[..., None] * 30 * np.tanh(raw_factors / 300)
    return diagonal[..., None] ** 2 * np.eye(diagonal.shape[-1]) + factors @ factors.swapaxes(
        -1, -2
    )
