"""Tests of the drawn digits: reproducible, balanced, varied, and recognizable."""

import numpy as np
import pytest

from tfpvae.datasets import draw_digits


@pytest.fixture(scope="module")
def digits():
    return draw_digits(600)


def test_shapes_and_types(digits):
    assert digits.images.shape == (600, 28, 28, 1)
    assert digits.images.dtype == np.uint8
    assert digits.labels.dtype == np.int32
    np.testing.assert_array_equal(digits.labels, np.arange(600) % 10)
    assert digits.class_names == tuple("0123456789")
    assert digits.paths == ()


def test_same_seed_gives_same_digits(digits):
    np.testing.assert_array_equal(draw_digits(600).images, digits.images)


def test_other_seed_gives_other_digits(digits):
    others = draw_digits(10, seed=1).images.astype(float)
    assert np.abs(others - digits.images[:10]).mean(axis=(1, 2, 3)).min() > 2


def test_digits_are_white_on_black_with_smooth_edges(digits):
    images = digits.images.reshape(600, -1)
    assert (images.max(1) > 240).all()
    assert ((images == 0).mean(1) > 0.5).all()
    between = ((images > 20) & (images < 235)).sum(1)
    assert (between >= 15).all()  # hard edges have none


def test_digits_stay_inside_the_picture(digits):
    rim = digits.images[..., 0].astype(float)
    rim[:, 1:-1, 1:-1] = 0
    touching = (rim.max(axis=(1, 2)) > 127).mean()
    assert touching < 0.02


def test_center_of_mass_is_the_center_of_the_picture(digits):
    ink = digits.images[..., 0].astype(float)
    ink /= ink.sum(axis=(1, 2), keepdims=True)
    offsets = np.arange(28) - 13.5
    centers = np.stack([ink.sum(1) @ offsets, ink.sum(2) @ offsets], 1)
    assert np.abs(centers).max() < 4
    assert np.abs(centers.mean(0)).max() < 0.3


@pytest.mark.parametrize("label", range(10))
def test_digits_of_a_class_vary(digits, label):
    same = digits.images[digits.labels == label].astype(float)
    assert same.std(axis=0).mean() > 15
    assert len(np.unique(same, axis=0)) == 60


def test_nearest_neighbor_is_of_the_same_class(digits):
    flat = digits.images.reshape(600, -1) / 255
    squares = (flat**2).sum(1)
    distances = squares[:, None] + squares - 2 * flat @ flat.T
    np.fill_diagonal(distances, np.inf)
    nearest = digits.labels[distances.argmin(1)]
    assert (nearest == digits.labels).mean() > 0.9


@pytest.mark.parametrize(
    "image_shape", [(28, 28, 3), (32, 48, 1), (48, 32, 3), (1, 1, 1), (7, 9, 3)]
)
def test_other_shapes(image_shape):
    assert draw_digits(10, image_shape=image_shape).images.shape == (10, *image_shape)


def test_rgb_repeats_the_gray_digit(digits):
    color = draw_digits(20, image_shape=(28, 28, 3)).images
    np.testing.assert_array_equal(color, np.repeat(digits.images[:20], 3, axis=3))


def test_other_sizes_scale_the_same_digits(digits):
    large = draw_digits(20, image_shape=(56, 56, 1)).images[..., 0].astype(float)
    halved = large.reshape(20, 28, 2, 28, 2).mean(axis=(2, 4))
    # Pillow rounds to pixels of the enlarged picture, which are half as wide there.
    assert np.abs(halved - digits.images[:20, ..., 0]).mean() < 3
