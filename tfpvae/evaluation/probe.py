"""How much of the labels a linear classifier finds in the latents."""

import numpy as np
from numpy.typing import ArrayLike

from tfpvae import _checks, _imports


def linear_probe(means: ArrayLike, labels: ArrayLike, seed: int = 0) -> float:
    """Returns the accuracy of logistic regression on posterior means, on the half held out.

    The numbers are brought to variance 1 first. Half of the images, drawn class by class, train the
    classifier; the accuracy is that on the other half (Alain and Bengio 2017).

    Args:
      means: of q(z|x), [N, D].
      labels: [N], the class of each, at least two of each class and two classes.
      seed: integer >= 0, of the split.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: for labels of another length, or too few of a class.
      ImportError: without scikit-learn.

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
