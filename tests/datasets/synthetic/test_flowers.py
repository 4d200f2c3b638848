"""Tests of the drawn flowers: reproducible, balanced, varied and smooth."""

import numpy as np
import pytest

from tfpvae.datasets import draw_flowers
from tfpvae.datasets.synthetic.flowers import SPECIES


@pytest.fixture(scope="module")
def flowers():
    return draw_flowers(36)


def test_shapes_and_types(flowers):
    assert flowers.images.shape == (36, 80, 80, 3)
    assert flowers.images.dtype == np.uint8
    assert flowers.labels.shape == (36,)
    assert flowers.labels.dtype == np.int32
    assert flowers.class_names == tuple(SPECIES) == tuple(sorted(SPECIES))
    assert flowers.paths == ()


def test_species_are_balanced(flowers):
    counts = np.bincount(flowers.labels, minlength=len(SPECIES))
    assert (counts == 6).all()


def test_same_seed_gives_same_flowers(flowers):
    repeated = draw_flowers(36)
    np.testing.assert_array_equal(repeated.images, flowers.images)
    np.testing.assert_array_equal(repeated.labels, flowers.labels)


def test_other_seed_gives_other_flowers(flowers):
    others = draw_flowers(6, seed=1).images.astype(float)
    differences = np.abs(others - flowers.images[:6]).mean(axis=(1, 2, 3))
    assert differences.min() > 5


@pytest.mark.parametrize("label", range(len(SPECIES)))
def test_flowers_of_a_species_vary(flowers, label):
    same = flowers.images[flowers.labels == label].astype(float)
    # In clip art of a small palette, a pixel would hardly vary between pictures.
    assert same.std(axis=0).mean() > 15


def test_pixels_cover_the_range_of_uint8(flowers):
    assert flowers.images.min() < 20
    assert flowers.images.max() > 235
    assert 60 < flowers.images.mean() < 190


def test_edges_and_petals_are_smooth(flowers):
    for image in flowers.images:
        colors = np.unique(image.reshape(-1, 3), axis=0)
        assert len(colors) > 1000  # flat polygons with hard edges have a dozen


@pytest.mark.parametrize("name", SPECIES)
def test_center_has_more_detail_than_corners(flowers, name):
    label = flowers.class_names.index(name)
    same = flowers.images[flowers.labels == label].astype(float)
    detail = np.abs(np.diff(same, axis=2)).mean(axis=(0, 3))
    corners = np.concatenate([detail[:8, :8], detail[:8, -8:]])
    assert detail[20:60, 20:60].mean() > 1.5 * corners.mean()


@pytest.mark.parametrize(
    "image_shape", [(80, 80, 1), (32, 48, 3), (48, 32, 3), (1, 1, 3), (7, 9, 1)]
)
def test_other_shapes(image_shape):
    assert draw_flowers(6, image_shape=image_shape).images.shape == (6, *image_shape)


def test_gray_is_the_luminance_of_the_same_flower(flowers):
    gray = draw_flowers(6, image_shape=(80, 80, 1)).images[..., 0]
    luminance = flowers.images[:6] @ [0.299, 0.587, 0.114]
    assert np.abs(gray - luminance).max() <= 1
