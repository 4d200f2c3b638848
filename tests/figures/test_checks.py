"""Tests of the argument checks that several figures share."""

import numpy as np
import pytest

from tests.figures import drawing
from tfpvae import figures


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (drawing.images(8, 8, 1), ValueError, r"wanted .*got \[8, 8, 1\]"),
        (drawing.images(2, 8, 8, 2), ValueError, r"wanted .*C 1 or 3 .*, got \[2, 8, 8, 2\]"),
        (drawing.images(0, 8, 8, 1), ValueError, r"wanted .*nothing empty, got \[0, 8, 8, 1\]"),
        (drawing.images(2, 0, 8, 1), ValueError, r"wanted .*nothing empty, got \[2, 0, 8, 1\]"),
        (drawing.images(2, 8, 8, 1) + 1, ValueError, r"wanted pixels in \[0, 1\], got .*1\."),
        (drawing.images(2, 8, 8, 1) - 1, ValueError, r"wanted pixels in \[0, 1\], got .*-0\."),
        (np.full([1, 2, 2, 1], np.nan), ValueError, r"wanted pixels in \[0, 1\], got .*nan"),
        (np.ones([1, 2, 2, 1], np.uint8), ValueError, "uint8 pixels are read as 0 to 255"),
        (np.zeros([1, 2, 2, 1], np.int64), TypeError, "wanted float pixels .* uint8 .*, got int64"),
        (np.zeros([1, 2, 2, 1], bool), TypeError, "wanted float pixels .* uint8 .*, got bool"),
    ],
)
def test_invalid_images_raise(images, error, message):
    good = np.zeros([1, 2, 2, 1])
    for name, draw in {
        "images": figures.mosaic,
        "images ": figures.interpolation,
        "images  ": lambda images: figures.reconstructions(images, good),
        "reconstructions": lambda images: figures.reconstructions(good, images),
    }.items():
        with pytest.raises(error, match=f"^{name.strip()}: {message}"):
            draw(images)


def test_message_lists_the_shapes_that_a_figure_takes():
    with pytest.raises(ValueError, match=r"images: wanted \[N, H, W, C\] with"):
        figures.mosaic(drawing.images(2, 2, 4, 4, 1))
    with pytest.raises(ValueError, match=r"wanted \[N, H, W, C\] or \[R, S, H, W, C\]"):
        figures.interpolation(drawing.images(4, 4, 1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (drawing.images(2, 4, 4, 1), r"wanted \[[DT], S, H, W, C\] .*, got \[2, 4, 4, 1\]"),
        (drawing.images(2, 0, 4, 4, 1), r"nothing empty, got \[2, 0, 4, 4, 1\]"),
        (drawing.images(2, 2, 4, 4, 1) + 1, r"wanted pixels in \[0, 1\]"),
        (np.full([1, 1, 2, 2, 1], np.nan), r"wanted pixels in \[0, 1\], got .*nan"),
    ],
)
def test_invalid_images_of_five_axes_raise(images, message):
    with pytest.raises(ValueError, match=f"^images: .*{message}"):
        figures.traversal(images)
    with pytest.raises(ValueError, match=f"^images: .*{message}"):
        figures.mosaics(images, labels=["a", "b"])


def test_a_scatter_refuses_a_quantity_that_is_not_finite():
    with pytest.raises(ValueError, match="^labels: wanted finite numbers, got NaN"):
        figures.latent_scatter(np.zeros([12, 2]), [np.nan] * 12)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0] * 11, None, r"labels: wanted \[12\], one for each point, got \[11\]"),
        (np.eye(12, dtype=int), None, r"labels: wanted \[12\], .*, got \[12, 12\]"),
        ([0.5] * 12, None, "labels: wanted whole numbers, got float64"),
        ([np.nan] * 12, None, "labels: wanted whole numbers, got float64"),
        ([True] * 12, None, "labels: wanted whole numbers, got bool"),
        (["rose"] * 12, None, "labels: wanted whole numbers, got <U4"),
        ([-1] * 12, None, "labels: wanted whole numbers of at least 0, got -1"),
        ([2] * 12, ["a", "b"], "labels: wanted whole numbers below 2, .*, got 2"),
        ([0] * 12, "ab", "class_names: wanted a list of names, got the text 'ab'"),
    ],
)
def test_invalid_labels_raise(labels, names, message):
    images, latents = np.zeros([12, 4, 4, 1]), np.zeros([12, 2])
    draws = [
        lambda: figures.embeddings(images, latents, labels, class_names=names),
        lambda: figures.error_by_class(np.ones(12), labels, class_names=names),
    ]
    if np.asarray(labels).dtype.kind != "f":  # a scatter also takes a quantity
        draws.append(lambda: figures.latent_scatter(latents, labels, class_names=names))
    for draw in draws:
        with pytest.raises(ValueError, match=f"^{message}"):
            draw()
