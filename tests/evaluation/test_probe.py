"""A linear probe finds what is linear, and nothing in noise."""

import numpy as np
import pytest

from tfpvae import evaluation


def _labelled(count=400, classes=4):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    return rng, labels


def test_classes_that_lie_apart_are_told_apart():
    rng, labels = _labelled()
    means = rng.normal(size=(400, 6)) + 8 * np.eye(6)[labels]
    assert evaluation.linear_probe(means, labels) == 1.0


def test_noise_tells_nothing_on_images_held_out():
    rng, labels = _labelled()
    accuracy = evaluation.linear_probe(rng.normal(size=(400, 60)), labels)
    # Chance is 1/4, on 200 images to 3%; on the half that it was trained on it would be over 1/2.
    assert accuracy == pytest.approx(0.25, abs=0.12)


def test_two_normals_are_told_apart_as_well_as_they_can_be():
    rng, labels = _labelled(4000, 2)
    means = np.stack([rng.normal(size=4000) + 2 * labels, 100 * rng.normal(size=4000)], axis=1)
    # Phi(1) = 0.841, on 2000 images to 0.8%.
    assert evaluation.linear_probe(means, labels, seed=1) == pytest.approx(0.841, abs=0.03)


def test_the_split_is_seeded():
    rng, labels = _labelled()
    means = rng.normal(size=(400, 6)) + np.eye(6)[labels]
    scores = [evaluation.linear_probe(means, labels, seed) for seed in (0, 0, 1, 2, 3)]
    assert scores[0] == scores[1] and len(set(scores)) > 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3), r"labels: wanted \[4\], one an image, got \[3\]"),
        (np.zeros(4), r"two classes or more.*got classes of \[4\]"),
        (np.array([0, 0, 0, 1]), r"two images or more of each, got classes of \[3, 1\]"),
    ],
)
def test_labels_that_do_not_do_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        evaluation.linear_probe(np.zeros([4, 2]), labels)
