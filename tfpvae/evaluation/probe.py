"""Linear probe: how well a linear classifier predicts labels from latents."""

import numpy as np
from numpy.typing import ArrayLike

from tfpvae import _checks, _imports


def linear_probe(means: ArrayLike, labels: ArrayLike, seed: int = 0) -> float:
    """Computes the accuracy of logistic regression on posterior means.

    The means are standardized first. Half of the images, drawn class by class, train the
    classifier; the other half test it (Alain and Bengio 2017).

    Args:
      means: means of q(z|x), [N, D].
      labels: class of each image, [N]; at least two classes, and two images of each.
      seed: seed of the split, a whole number of at least 0.

    Returns:
      The accuracy on the test half, from 0 to 1.

    Raises:
      ValueError: for labels of another length, or too few images of a class.
      ImportError: if scikit-learn is not installed.

    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 2, 200)
    >>> linear_probe(rng.normal(size=(200, 3)) + 10 * labels[:, None], labels)
    1.0
    """
    means = np.asarray(_checks.as_dense("means", means), np.float64)
    labels = np.asarray(_checks.as_dense("labels", labels))
    seed = _checks.whole_number("seed", seed, minimum=0)
    if labels.shape != (len(means),):
        raise ValueError(f"labels: wanted [{len(means)}], one an image, got {list(labels.shape)}.")
    _, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(
            "labels: wanted two classes or more, and two images or more of each, got classes of "
            f"{counts.tolist()}."
        )
    model_selection, pipeline, preprocessing, linear_model = (
        _imports.load(f"sklearn.{module}", "linear_probe")
        for module in ("model_selection", "pipeline", "preprocessing", "linear_model")
    )
    half = max(len(counts), len(means) // 2)
    train, test, train_labels, test_labels = model_selection.train_test_split(
        means, labels, train_size=half, stratify=labels, random_state=seed
    )
    classifier = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=1000)
    )
    return float(classifier.fit(train, train_labels).score(test, test_labels))
