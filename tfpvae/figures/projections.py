"""Many dimensions brought down to two: principal components and t-SNE, by scikit-learn."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

FEWEST_POINTS = 10
_MOST_COMPONENTS = 50
_PERPLEXITY = 30.0


def principal_components(points: np.ndarray, seed: int) -> np.ndarray:
    """The first 50 principal components of points [N, D], or as many as there are."""
    components = min(_MOST_COMPONENTS, *points.shape)
    pca = _import("sklearn.decomposition").PCA(components, random_state=seed)
    result: np.ndarray = pca.fit_transform(points)
    return result


def t_sne(points: np.ndarray, seed: int) -> np.ndarray:
    """The t-SNE, [N, 2], of points [N, D], which must not be all the same; D is at least 2."""
    points = points - points.mean(axis=0)
    points = (points / points.std()).astype(np.float32)  # so that tiny distances are not rounded
    perplexity = min(_PERPLEXITY, (len(points) - 1) / 3)
    tsne = _import("sklearn.manifold").TSNE(perplexity=perplexity, random_state=seed)
    # Threads add up in an order of their own, and t-SNE makes much of a last digit.
    with _import("threadpoolctl").threadpool_limits(1):
        result: np.ndarray = tsne.fit_transform(points)
    return result


def _import(module: str) -> Any:
    """A module, imported no earlier than it is needed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            'figures: wanted scikit-learn, got none installed; pip install "tfpvae[figures]".'
        ) from error
