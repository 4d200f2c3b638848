"""A VAE whose log p(x) is a Gaussian's, on data of which a posterior can be wrong on purpose."""

import numpy as np

from tests import reference
from tests.models.test_probabilistic import as_images, linear_gaussian


def images(count: int) -> np.ndarray:
    """Images [count, 8, 1, 1] of three directions and noise."""
    return as_images(_data()[:count])


def vae(**options):
    """The VAE of probabilistic PCA of the data; see `linear_gaussian`."""
    return linear_gaussian(_data(), **options)[0]


def log_likelihood(x: np.ndarray) -> np.ndarray:
    """log p(x) in closed form, whatever the posterior."""
    mean, covariance = moments()
    return reference.gaussian_log_density(x.reshape(len(x), -1), mean, covariance)


def moments() -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of p(x)."""
    mean, weights, variance = reference.probabilistic_pca(_data(), 3)
    return mean, weights @ weights.T + variance * np.eye(8)


def _data() -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 8)) * 0.15
    return 0.5 + rng.normal(size=(400, 3)) @ mixing + 0.05 * rng.normal(size=(400, 8))
