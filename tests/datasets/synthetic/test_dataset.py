"""Tests of every drawn data set: random streams and argument checks."""

import numpy as np
import pytest

from tfpvae.datasets import draw_digits, draw_flowers

pytestmark = pytest.mark.parametrize("draw", [draw_digits, draw_flowers])


def test_pictures_do_not_depend_on_their_number(draw):
    many, few = draw(36), draw(7)
    np.testing.assert_array_equal(few.images, many.images[:7])
    np.testing.assert_array_equal(few.labels, many.labels[:7])


def test_global_random_state_is_unchanged(draw):
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    draw(2)
    assert np.random.random() == expected


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"num_images": 0}, ValueError, "num_images: wanted a whole number, at least 1, got 0"),
        ({"num_images": 2.0}, TypeError, "num_images: wanted a whole number, .* got 2.0"),
        ({"seed": -1}, ValueError, "seed: wanted a whole number, at least 0, got -1"),
        ({"seed": "a"}, TypeError, "seed: wanted a whole number, .* got 'a'"),
        ({"image_shape": (28, 28)}, ValueError, r"image_shape: wanted .* got \(28, 28\)"),
        ({"image_shape": (28, 28, 2)}, ValueError, r"image_shape: wanted .* got \(28, 28, 2\)"),
        ({"image_shape": (80, 80, 4)}, ValueError, r"image_shape: wanted .* got \(80, 80, 4\)"),
        ({"image_shape": (0, 80, 3)}, ValueError, r"image_shape: wanted .* got \(0, 80, 3\)"),
    ],
)
def test_invalid_arguments_raise(draw, arguments, error, message):
    with pytest.raises(error, match=message):
        draw(**{"num_images": 1, **arguments})
