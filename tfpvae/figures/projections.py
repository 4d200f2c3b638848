"""Projections of points to two dimensions with scikit-learn: principal components and t-SNE."""

from __future__ import annotations

import numpy as np

from tfpvae import _imports

MIN_POINTS = 10
_MAX_COMPONENTS = 50
_PERPLEXITY = 30.0


def principal_components(points: np.ndarray, seed: int) -> np.ndarray:
    """Computes the first 50 principal components, or all if there are fewer.

    Args:
      points: [N, D].
      seed: an int, at least 0.

    Returns:
      The components of each point, [N, min(50, N, D)].

    Raises:
      ImportError: if scikit-learn is not installed.

    >>> points = np.array([[1.0, 0.0], [-1.0, 0.0], [3.0, 0.1], [-3.0, -0.1]])
    >>> principal_components(points, seed=0).shape
    (4, 2)
    """
    num_components = min(_MAX_COMPONENTS, *points.shape)
    pca = _imports.load("sklearn.decomposition", "figures").PCA(num_components, random_state=seed)
    result: np.ndarray = pca.fit_transform(points)
    return result


def t_sne(points: np.ndarray, seed: int) -> np.ndarray:
    """Computes the t-SNE of points that are not all equal.

    Args:
      points: [N, D], D at least 2.
      seed: an int, at least 0; the same seed gives the same result.

    Returns:
      The position of each point in the plane, [N, 2].

    Raises:
      ImportError: if scikit-learn is not installed.

    >>> t_sne(np.random.default_rng(0).normal(size=[12, 3]), seed=0).shape
    (12, 2)
    """
    points = points - points.mean(axis=0)
    points = (points / points.std()).astype(np.float32)  # scaled, so that float32 keeps distances
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    tsne = _imports.load("sklearn.manifold", "figures").TSNE(
        perplexity=perplexity, random_state=seed
    )
    # Several threads add in varying order, and t-SNE amplifies the rounding errors.
    with _imports.load("threadpoolctl", "figures").threadpool_limits(1):
        result: np.ndarray = tsne.fit_transform(points)
    return result
