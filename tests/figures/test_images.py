"""Tests of the figures of images: pixels, layout, labels and argument checks."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.figures import drawing
from tfpvae import figures


def _drawn(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


# --- images -------------------------------------------------------------------------------------


def test_a_row_may_be_labelled_by_a_number():
    images = np.zeros([2, 4, 4, 1])
    figure = figures.reconstructions(images, {2: images, 10: images})
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["original", "2", "10"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_pixels_are_drawn_unchanged(channels, dtype):
    images = drawing.images(5, 6, 7, channels)
    images = (images * 255).astype(dtype) if dtype == np.uint8 else images.astype(dtype)
    expected = images / 255.0 if dtype == np.uint8 else images
    figure = figures.mosaic(images)
    drawn = figure.axes[0].images
    assert len(drawn) == 5
    for image, array in zip(drawn, expected[..., 0] if channels == 1 else expected, strict=True):
        np.testing.assert_array_equal(np.asarray(image.get_array()), array)
        assert image.get_cmap().name == "gray"
        assert image.get_clim() == (0.0, 1.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_pixel_is_rendered_as_a_square_of_its_color(channels):
    images = (drawing.images(4, 8, 8, channels) * 255).astype(np.uint8)
    pixels = drawing.pixels(figures.mosaic(images))
    assert drawing.border_is_white(pixels)
    # Without the white margins and gaps, four square tiles remain.
    inner = pixels[(pixels != 255).any((1, 2))][:, (pixels != 255).any((0, 2))]
    side = inner.shape[0] // 2
    assert inner.shape[:2] == (2 * side, 2 * side)
    scale = side // 8
    assert side == 8 * scale
    for index, (row, column) in enumerate(np.ndindex(2, 2)):
        tile = inner[row * side : (row + 1) * side, column * side : (column + 1) * side]
        expected = np.kron(images[index], np.ones((scale, scale, 1)))
        np.testing.assert_allclose(tile, np.broadcast_to(expected, tile.shape), atol=1)


def test_gray_values_are_not_stretched_to_the_range_of_the_image():
    pixels = drawing.pixels(figures.mosaic(np.full([1, 4, 4, 1], 0.5)))
    assert abs(int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, 0]) - 128) <= 1


def test_reconstructions_are_below_their_originals():
    originals, copies = drawing.images(4, 6, 6, 3), drawing.images(4, 6, 6, 3, seed=1)
    figure = figures.reconstructions(originals, copies, max_images=3)
    axes = figure.axes[0]
    np.testing.assert_array_equal(_drawn(figure), [*originals[:3], *copies[:3]])
    extents = np.array([image.get_extent() for image in axes.images])
    np.testing.assert_array_equal(extents[:3, :2], extents[3:, :2])  # the same columns
    bottom, top = axes.get_ylim()
    assert bottom > top  # y increases downward
    assert (extents[:3, 2] < extents[3:, 3]).all()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["original", "reconstruction"]
    assert drawing.border_is_white(drawing.pixels(figure))


def test_reconstructions_of_several_models_have_one_labeled_row_each():
    originals = drawing.images(3, 4, 4, 1)
    rows = {"small": originals / 2, "large": originals / 4}
    figure = figures.reconstructions(originals, rows)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["original", "small", "large"]
    drawn = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    expected = [image[..., 0] for row in (originals, *rows.values()) for image in row]
    np.testing.assert_allclose(drawn, expected)


def test_reconstructions_draws_ten_pairs_by_default():
    figure = figures.reconstructions(drawing.images(12, 4, 4, 1), drawing.images(12, 4, 4, 1))
    assert len(figure.axes[0].images) == 20


@pytest.mark.parametrize(
    ("shape", "columns", "expected"),
    [
        ((9, 8, 8, 1), None, (3, 3)),
        ((10, 8, 8, 1), None, (3, 4)),
        ((12, 8, 16, 3), None, (4, 3)),
        ((1, 8, 8, 1), None, (1, 1)),
        ((2, 8, 64, 1), None, (2, 1)),
        ((7, 8, 8, 3), 5, (2, 5)),
        ((3, 8, 8, 3), 5, (1, 3)),
        ((3, 8, 8, 3), 1, (3, 1)),
    ],
)
def test_mosaic_fills_its_grid_row_by_row(shape, columns, expected):
    images = drawing.images(*shape)
    figure = figures.mosaic(images, columns=columns)
    extents = np.array([image.get_extent() for image in figure.axes[0].images])
    rows, columns = expected
    assert len(np.unique(extents[:, 3])) == rows
    assert len(np.unique(extents[:, 0])) == columns
    order = np.lexsort([extents[:, 0], extents[:, 3]])
    np.testing.assert_array_equal(order, np.arange(shape[0]))
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize(
    "shape", [(1, 2, 2, 1), (3, 200, 30, 3), (90, 28, 28, 1), (2, 900, 900, 1)]
)
def test_figures_of_images_fit_a_page(shape):
    figure = figures.mosaic(np.zeros(shape))
    width, height = figure.get_size_inches()
    assert width <= 7.5
    assert height <= 9.5
    assert figure.dpi >= 199.9


def test_interpolation_draws_strips_below_each_other():
    strips = drawing.images(2, 5, 6, 6, 1)
    figure = figures.interpolation(strips)
    np.testing.assert_array_equal(_drawn(figure), strips.reshape(10, 6, 6))
    assert len(np.unique([image.get_extent()[3] for image in figure.axes[0].images])) == 2
    one = figures.interpolation(strips[0])
    np.testing.assert_array_equal(_drawn(one), strips[0, ..., 0])
    assert len(one.axes[0].get_xticks()) == 0


@pytest.mark.parametrize(
    "labels", [["0", "½", "1"], [0, 1, 2], ["", "", "the label of the last step"]]
)
def test_interpolation_labels_do_not_overlap(labels):
    figure = figures.interpolation(drawing.images(3, 8, 8, 3), labels=labels)
    assert drawing.border_is_white(drawing.pixels(figure))
    texts = figure.axes[0].get_xticklabels()
    assert [text.get_text() for text in texts] == [str(label) for label in labels]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_invalid_counts_raise():
    images = drawing.images(3, 4, 4, 1)
    with pytest.raises(ValueError, match=r"reconstructions: wanted .*\(3, 4, 4, 1\), got \(2,"):
        figures.reconstructions(images, images[:2])
    for bad, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"max_images: wanted .* at least 1, got {bad}"):
            figures.reconstructions(images, images, max_images=bad)
        with pytest.raises(error, match=f"columns: wanted .* at least 1, got {bad}"):
            figures.mosaic(images, columns=bad)
    with pytest.raises(ValueError, match="labels: wanted 3, one for each step, got 2"):
        figures.interpolation(images, labels=["a", "b"])


# --- traversal ----------------------------------------------------------------------------------


def test_traversal_has_a_labeled_row_for_each_dimension():
    images = drawing.images(3, 5, 6, 7, 3)
    figure = figures.traversal(images, values=np.linspace(-3, 3, 5))
    np.testing.assert_array_equal(_drawn(figure), images.reshape(15, 6, 7, 3))
    axes = figure.axes[0]
    extents = np.array([image.get_extent() for image in axes.images]).reshape(3, 5, 4)
    assert (np.diff(extents[:, 0, 3]) > 0).all() and (np.diff(extents[0, :, 0]) > 0).all()
    assert (extents[:, :, 0] == extents[:1, :, 0]).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["z1", "z2", "z3"]
    expected = ["−3", "−1.5", "0", "1.5", "3"]  # noqa: RUF001 (typographic minus signs)
    assert [label.get_text() for label in axes.get_xticklabels()] == expected
    assert drawing.border_is_white(drawing.pixels(figure))


def test_traversal_with_names_and_without_values():
    figure = figures.traversal(drawing.images(2, 3, 6, 6, 1), names=["hue", "how many petals"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "hue",
        "how many petals",
    ]
    assert len(figure.axes[0].get_xticks()) == 0
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [1, 2]}, "values: wanted 3, one for each step, got 2"),
        ({"values": [1, 2, np.nan]}, r"values: wanted finite numbers \[S\], got"),
        ({"values": [[1, 2, 3]]}, r"values: wanted finite numbers \[S\]"),
        ({"values": ["a", "b", "c"]}, r"values: wanted finite numbers \[S\]"),
        ({"names": ["z1"]}, "names: wanted 2, one for each dimension, got 1"),
        ({"names": "z1"}, "names: wanted 2, .*, got the text 'z1'"),
    ],
)
def test_invalid_values_and_names_raise(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        figures.traversal(drawing.images(2, 3, 4, 4, 1), **arguments)


# --- mosaics ------------------------------------------------------------------------------------


def test_each_mosaic_is_complete_and_below_its_label():
    images = drawing.images(5, 7, 4, 4, 1)
    labels = [f"step {100 * i}" for i in range(1, 6)]
    figure = figures.mosaics(images, labels=labels)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == labels
    for stack, picture in zip(images, _drawn(figure), strict=True):
        assert picture.shape == (3 * 4 + 2, 3 * 4 + 2)  # a gap of one pixel
        for i, image in enumerate(stack):
            top, left = 5 * (i // 3), 5 * (i % 3)
            np.testing.assert_array_equal(picture[top : top + 4, left : left + 4], image[..., 0])
        assert (picture[4] == 1).all() and (picture[10:, 5:] == 1).all()
    for text, image in zip(axes.texts, axes.images, strict=True):
        left, _, _, top = image.get_extent()
        assert text.get_position()[0] == left and text.get_position()[1] < top
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize("shape", [(1, 9, 8, 8, 3), (16, 64, 28, 28, 1), (40, 4, 5, 20, 1)])
@pytest.mark.parametrize("label", ["epoch", "a label that is wider than its mosaic"])
def test_mosaics_fit_a_page_and_labels_do_not_overlap(shape, label):
    labels = [f"{label} {i}" for i in range(shape[0])]
    figure = figures.mosaics(np.zeros(shape, np.uint8), labels=labels)
    assert drawing.border_is_white(drawing.pixels(figure))
    width, height = figure.get_size_inches()
    assert width <= 7.5 and height <= 9.5 and figure.dpi >= 199.9
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    boxes += [image.get_window_extent() for image in figure.axes[0].images]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "wanted 2, one for each mosaic, got 1"),
        ("ab", "wanted 2, .*, got the text 'ab'"),
    ],
)
def test_invalid_labels_of_mosaics_raise(labels, message):
    with pytest.raises(ValueError, match=f"^labels: {message}"):
        figures.mosaics(drawing.images(2, 3, 4, 4, 1), labels=labels)


# --- axes, size and title ------------------------------------------------------------------------

GRIDS = {
    "reconstructions": lambda **o: figures.reconstructions(SMALL, SMALL, **o),
    "mosaic": lambda **o: figures.mosaic(SMALL, columns=4, **o),
    "interpolation": lambda **o: figures.interpolation(SMALL, labels=range(4), **o),
    "traversal": lambda **o: figures.traversal(SMALL[None], **o),
    "latent_grid": lambda **o: figures.latent_grid(SMALL, limit=2.0, **o),
}
SMALL = drawing.images(4, 6, 6, 1)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_of_images_draws_on_axes_with_a_title(name):
    whole = Figure((6, 3), layout="constrained")
    left, right = whole.subplots(1, 2)
    figure = GRIDS[name](ax=right, title="digits")
    assert figure is whole and right.get_title() == "digits" and not left.images
    images = [np.asarray(image.get_array()) for image in right.images]
    alone = [np.asarray(image.get_array()) for image in GRIDS[name]().axes[0].images]
    np.testing.assert_array_equal(images, alone)
    whole.draw_without_rendering()
    box = right.get_window_extent()
    columns, rows = {"reconstructions": (4, 2), "latent_grid": (1, 1)}.get(name, (4, 1))
    assert box.width / box.height == pytest.approx(columns / rows, rel=0.1)  # square pixels
    assert GRIDS[name](size=(3.0, 2.0)).get_size_inches().tolist() == [3.0, 2.0]
    assert drawing.border_is_white(drawing.pixels(GRIDS[name](title="digits")))
    with pytest.raises(ValueError, match="size: wanted None beside ax"):
        GRIDS[name](ax=right, size=(3.0, 2.0))
