"""Tests of the figures of latent space: positions, colors, names and argument checks."""

import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tests.figures import drawing
from tfpvae import figures
from tfpvae.figures import classes

NAMES = ["daisy", "dandelion", "rose", "sunflower", "tulip"]


def _codes(count: int, dim: int = 2, num_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Returns random codes [count, dim] in clusters, and the cluster of each."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, count)
    return rng.normal(size=[num_classes, dim])[labels] * 3 + rng.normal(size=[count, dim]), labels


def _points(axes) -> np.ndarray:
    """Returns the position and the color of each point, sorted, [N, 5]."""
    rows = [
        np.concatenate([np.asarray(c.get_offsets()), c.get_facecolors()[:, :3]], axis=1)
        for c in axes.collections
    ]
    rows = np.concatenate(rows)
    return rows[np.lexsort(rows.T)]


def _texts(axes) -> dict[str, tuple[float, float]]:
    """Returns the position of each text."""
    return {text.get_text(): text.get_position() for text in axes.texts}


# --- latent_scatter -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "num_classes"), [(40, 5), (1000, 10), (5000, 23)])
def test_points_have_the_position_of_their_code_and_the_color_of_their_class(count, num_classes):
    latents, labels = _codes(count, num_classes=num_classes)
    figure = figures.latent_scatter(latents, labels)
    (axes,) = figure.axes
    colors = np.array([to_rgb(classes.color(label)) for label in labels])
    expected = np.concatenate([latents, colors], axis=1)
    np.testing.assert_allclose(_points(axes), expected[np.lexsort(expected.T)])
    assert len(axes.collections) == -(-num_classes // 10)  # one marker for every ten classes
    assert all(points.get_rasterized() for points in axes.collections)
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    assert (latents > low).all() and (latents < high).all()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z2")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [str(label) for label in range(num_classes)]
    assert drawing.border_is_white(drawing.pixels(figure))
    box = axes.get_window_extent()
    assert box.width == pytest.approx(box.height, rel=1e-3)


def test_names_are_at_the_medians():
    rng = np.random.default_rng(0)
    labels = np.arange(500) % 5
    latents = 9.0 * np.stack([labels, labels % 2], axis=-1) + rng.normal(size=[500, 2])
    figure = figures.latent_scatter(latents, labels, class_names=NAMES)
    texts = _texts(figure.axes[0])
    assert list(texts) == NAMES
    for label, name in enumerate(NAMES[1:4], 1):  # the outermost names may be moved into the panel
        np.testing.assert_allclose(texts[name], np.median(latents[labels == label], axis=0))


def test_names_at_one_position_do_not_overlap():
    latents = np.zeros([50, 2])
    figure = figures.latent_scatter(latents, np.arange(50) % 5, class_names=NAMES)
    assert drawing.border_is_white(drawing.pixels(figure))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_names_at_the_edges_are_inside_the_panel():
    labels = np.arange(40) % 4
    latents = np.array([[-9.0, -9.0], [9.0, 9.0], [-9.0, 9.0], [9.0, -9.0]])[labels]
    figure = figures.latent_scatter(latents, labels, class_names=NAMES)
    drawing.pixels(figure)
    (axes,) = figure.axes
    panel, boxes = axes.get_window_extent(), [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 4
    for box in boxes:
        assert panel.x0 < box.x0 and box.x1 < panel.x1 and panel.y0 < box.y0 and box.y1 < panel.y1


def test_names_that_would_hide_the_points_are_only_in_the_legend():
    latents, labels = _codes(600, num_classes=60)
    names = [f"a flower with a long name {i}" for i in range(60)]
    figure = figures.latent_scatter(latents, labels, class_names=names)
    assert not figure.axes[0].texts
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    assert drawing.border_is_white(drawing.pixels(figure))


def test_a_quantity_has_continuous_colors_and_a_bar():
    latents, quantity = drawing.images(40, 2), drawing.images(40, seed=1).astype(float)
    figure = figures.latent_scatter(latents, quantity)
    (points,) = figure.axes[0].collections
    np.testing.assert_array_equal(points.get_array(), quantity)
    np.testing.assert_array_equal(points.get_offsets(), latents)
    (bar,) = figure.axes[0].child_axes
    assert bar.get_ylim() == (quantity.min(), quantity.max())
    assert not figure.legends and drawing.border_is_white(drawing.pixels(figure))


def test_without_labels_all_points_have_one_color():
    latents = drawing.images(40, 2)
    figure = figures.latent_scatter(latents)
    (points,) = figure.axes[0].collections
    assert len(np.unique(points.get_facecolors(), axis=0)) == 1
    assert not figure.legends and not [t for t in figure.axes[0].texts if t.get_text()]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0.5], {}, r"labels: wanted \[2\], one for each point, got \[1\]"),
        ([0.5, np.nan], {}, "labels: wanted finite numbers"),
        (
            [0.5, 1.0],
            {"class_names": ["a", "b"]},
            "labels: wanted whole numbers beside class_names",
        ),
    ],
)
def test_a_quantity_is_checked(labels, options, message):
    with pytest.raises(ValueError, match=message):
        figures.latent_scatter([[0.0, 1.0], [2.0, -1.0]], labels, **options)


def test_points_outside_of_the_limits_are_counted():
    latents = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, -3.0], [1.0, 1.0]])
    figure = figures.latent_scatter(latents, [0, 1, 0, 1], limits=(-2, 2))
    assert figure.axes[0].get_xlabel() == "z1 (2 of 4 points outside)"


def test_limits_apply_to_both_axes():
    latents = np.array([[0.0, 1.0], [50.0, 0.0], [1.0, 1.0], [50.0, 0.0]])
    figure = figures.latent_scatter(latents, [0, 0, 0, 1], class_names=NAMES, limits=(-4, 3))
    axes = figure.axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (-4, 3)
    assert list(_texts(axes)) == ["daisy"]  # no dandelion is visible
    np.testing.assert_allclose(_texts(axes)["daisy"], [0.5, 1.0])
    assert drawing.border_is_white(drawing.pixels(figure))


@pytest.mark.parametrize("limits", [(-3.0, 3.0), (-0.7, 0.1), (1000.0, 1010.0), (0.0, 1e-3)])
def test_tick_labels_are_the_positions_of_the_ticks(limits):
    axes = figures.latent_scatter([[0.0, 0.0]], [0], limits=limits).axes[0]
    for ticks, labels in (
        (axes.get_xticks(), axes.get_xticklabels()),
        (axes.get_yticks(), axes.get_yticklabels()),
    ):
        texts = [label.get_text().replace("\N{MINUS SIGN}", "-") for label in labels]
        np.testing.assert_allclose([float(text) for text in texts], ticks, atol=1e-12)
        assert len(ticks) >= 3 and limits[0] <= min(ticks) and max(ticks) <= limits[1] + 1e-9


def test_points_are_an_image_in_a_pdf(tmp_path):
    latents, labels = _codes(10_000)
    figures.latent_scatter(latents, labels).savefig(tmp_path / "scatter.pdf")
    pdf = (tmp_path / "scatter.pdf").read_bytes()
    assert b"/Subtype /Image" in pdf and len(pdf) < 400_000


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros([12]), r"wanted \[N, 2\] with nothing empty, got \[12\]"),
        (np.zeros([0, 2]), r".*nothing empty, got \[0, 2\]"),
        (np.zeros([12, 3]), r"wanted \[N, 2\], got \[12, 3\]"),
        (np.full([12, 2], np.nan), "wanted finite numbers, got NaN"),
        (np.full([12, 2], np.inf), "wanted finite numbers"),
        (np.full([12, 2], "a"), "wanted numbers, got <U1"),
    ],
)
def test_latents_are_refused(latents, message):
    with pytest.raises(ValueError, match=f"^latents: {message}"):
        figures.latent_scatter(latents, np.zeros(12, int))


@pytest.mark.parametrize("limits", [(1, 1), (2, -2), (1, 2, 3), (0, np.nan), (0, np.inf), 3])
def test_limits_are_refused(limits):
    with pytest.raises(ValueError, match="^limits: wanted"):
        figures.latent_scatter([[0.0, 0.0]], [0], limits=limits)


# --- embeddings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 60])
@pytest.mark.parametrize(("dim", "title"), [(2, "latents"), (3, "t-SNE of the latents")])
def test_embeddings_are_three_panels_and_a_legend(count, dim, title):
    latents, labels = _codes(count, dim)
    images = drawing.images(count, 6, 5, 3)
    figure = figures.embeddings(images, latents, labels, class_names=NAMES)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [title, "PCA of the pixels", "t-SNE of the pixels"]
    assert len(figure.legends) == 1
    seen = [NAMES[label] for label in np.unique(labels)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == seen
    for axes in figure.axes:
        points = _points(axes)
        assert len(points) == count and len(np.unique(points[:, :2], axis=0)) == count
    if dim == 2:
        places = latents[np.lexsort(latents.T)]
        drawn = _points(figure.axes[0])[:, :2]
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], places)
        assert figure.axes[0].get_xlabel() == "z1"
    assert drawing.border_is_white(drawing.pixels(figure))
    np.testing.assert_allclose(figure.get_size_inches()[0], 7.0)


def test_the_second_panel_has_the_first_two_principal_components():
    images = drawing.images(30, 4, 4, 1)
    figure = figures.embeddings(images, *_codes(30))
    flat = images.reshape(30, 16).astype(float)
    left, values, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    expected = np.abs(left[:, :2] * values[:2])  # the signs are arbitrary
    drawn = np.abs(_points(figure.axes[1])[:, :2])
    np.testing.assert_allclose(
        drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)], rtol=1e-3, atol=1e-5
    )


def test_t_sne_keeps_classes_together():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = np.clip(0.3 * labels[:, None, None, None] + rng.uniform(0, 0.1, [60, 4, 4, 1]), 0, 1)
    figure = figures.embeddings(images, images.reshape(60, 16), labels)
    for axes in (figure.axes[0], figure.axes[2]):
        points, colors = np.split(_points(axes), [2], axis=1)
        distances = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(60)
        np.testing.assert_array_equal(colors, colors[distances.argmin(axis=1)])


def test_the_same_seed_gives_the_same_figure():
    latents, labels = _codes(40, 60)  # more dimensions than the 50 of t-SNE
    images = drawing.images(40, 10, 10, 1)
    one, same = (
        drawing.pixels(figures.embeddings(images, latents, labels, seed=1)) for _ in range(2)
    )
    np.testing.assert_array_equal(one, same)


def test_embeddings_of_tiny_codes():
    latents, labels = _codes(30, 4)
    figure = figures.embeddings(drawing.images(30, 4, 4, 1), 7 + 1e-9 * latents, labels)
    assert np.ptp(_points(figure.axes[0])[:, :2]) > 1


IMAGES = drawing.images(12, 4, 4, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES[..., 0]}, r"images: wanted \[N, H, W, C\]"),
        ({"images": IMAGES + 1}, r"images: wanted pixels in \[0, 1\]"),
        ({"images": IMAGES * np.nan}, r"images: wanted pixels in \[0, 1\]"),
        ({"images": IMAGES[:9]}, r"images: wanted at least 10, .*, got \[9, 4, 4, 1\]"),
        ({"images": IMAGES[:, :1, :1]}, r"images: .* of 2 pixels or more, got \[12, 1, 1, 1\]"),
        ({"images": IMAGES * 0}, "images: wanted at least two that differ, got 12 equal ones"),
        ({"latents": np.ones([12, 1])}, r"latents: wanted \[12, D\], D at least 2, got \[12, 1\]"),
        ({"latents": np.ones([11, 2])}, r"latents: wanted \[12, D\], .*, got \[11, 2\]"),
        ({"latents": np.ones([12])}, r"latents: wanted \[N, D\] .*, got \[12\]"),
        ({"latents": np.full([12, 2], np.nan)}, "latents: wanted finite numbers"),
        ({"latents": np.ones([12, 3])}, "latents: wanted at least two that differ"),
        ({"seed": -1}, "seed: wanted a whole number, at least 0, got -1"),
    ],
)
def test_invalid_arguments_of_embeddings_raise(arguments, message):
    good = {"images": IMAGES, "latents": _codes(12)[0], "labels": np.zeros(12, int)}
    with pytest.raises(ValueError, match=f"^{message}"):
        figures.embeddings(**good | arguments)


def test_seed_of_another_type_raises():
    with pytest.raises(TypeError, match="^seed: wanted a whole number"):
        figures.embeddings(IMAGES, *_codes(12), seed=0.5)


def test_message_without_scikit_learn_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        ImportError, match=r'wanted scikit-learn, .*pip install "tfpvae\[figures\]"'
    ):
        figures.embeddings(IMAGES, *_codes(12))


# --- latent_square and latent_grid --------------------------------------------------------------


@pytest.mark.parametrize(("size", "limit"), [(2, 1.0), (3, 2), (15, 3.0)])
def test_points_of_the_square_are_row_by_row_from_the_top(size, limit):
    rows = figures.latent_square(size, limit).reshape(size, size, 2)
    for row in range(size):
        for column in range(size):
            z1 = -limit + 2 * limit * column / (size - 1)
            z2 = limit - 2 * limit * row / (size - 1)
            np.testing.assert_allclose(rows[row, column], [z1, z2], atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "height", "width"), [(2, 4, 4), (5, 6, 9), (15, 28, 28)])
def test_images_are_centered_at_their_latents(size, height, width, channels):
    limit = 2.5
    images = drawing.images(size**2, height, width, channels)
    figure = figures.latent_grid(images, limit=limit)
    (axes,), (image,) = figure.axes, figure.axes[0].images
    left, right, bottom, top = image.get_extent()
    assert (left, right) == axes.get_xlim() and (bottom, top) == axes.get_ylim()
    picture = np.asarray(image.get_array())
    for (z1, z2), expected in zip(figures.latent_square(size, limit), images, strict=True):
        # The center of the image is at (z1, z2), so that its corner is half an image away.
        column = round((z1 - left) / (right - left) * picture.shape[1] - width / 2)
        row = round((top - z2) / (top - bottom) * picture.shape[0] - height / 2)
        tile = picture[row : row + height, column : column + width]
        np.testing.assert_array_equal(tile.reshape(expected.shape), expected)
    for ticks, labels in (
        (axes.get_xticks(), axes.get_xticklabels()),
        (axes.get_yticks(), axes.get_yticklabels()),
    ):
        texts = [label.get_text().replace("\N{MINUS SIGN}", "-") for label in labels]
        np.testing.assert_allclose([float(text) for text in texts], ticks)
        assert len(ticks) >= 3 and np.abs(ticks).max() <= limit
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z2")
    assert drawing.border_is_white(drawing.pixels(figure))


def test_grid_has_no_gaps_and_square_pixels():
    images = (drawing.images(9, 8, 8, 3) * 200).astype(np.uint8)  # no pixel is white
    pixels = drawing.pixels(figures.latent_grid(images, limit=3.0))
    column = pixels[:, -pixels.shape[1] // 3]  # right of the labels, through the picture
    rows = np.flatnonzero((pixels[:, :, :] <= 200).all(axis=2).mean(axis=1) > 0.7)
    assert column.shape[0] > rows[-1] and (np.diff(rows) == 1).all()
    scale = len(rows) // 24
    assert len(rows) == 24 * scale
    right = np.flatnonzero((pixels[rows] <= 200).all(axis=(0, 2)))
    assert len(right) == 24 * scale and (np.diff(right) == 1).all()
    drawn = pixels[rows][:, right][scale // 2 :: scale, scale // 2 :: scale]
    whole = images.reshape(3, 3, 8, 8, 3).swapaxes(1, 2).reshape(24, 24, 3)
    np.testing.assert_allclose(drawn.astype(int), whole, atol=1)


@pytest.mark.parametrize(
    ("size", "limit", "message"),
    [
        (1, 1.0, "size: wanted a whole number, at least 2, got 1"),
        (2, 0.0, r"limit: wanted a finite number above 0, got 0\.0"),
        (2, -1, "limit: wanted"),
        (2, np.nan, "limit: wanted"),
        (2, np.inf, "limit: wanted"),
        (2, "3", "limit: wanted"),
    ],
)
def test_invalid_squares_raise(size, limit, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        figures.latent_square(size, limit)


def test_size_of_another_type_raises():
    with pytest.raises(TypeError, match="^size: wanted a whole number"):
        figures.latent_square(2.0, 1.0)


@pytest.mark.parametrize(
    ("images", "limit", "message"),
    [
        (drawing.images(8, 4, 4, 1), 1.0, r"images: wanted size \* size images, .*, got 8"),
        (drawing.images(1, 4, 4, 1), 1.0, r"images: wanted size \* size images, .*, got 1"),
        (drawing.images(3, 3, 4, 4, 1), 1.0, r"images: wanted \[N, H, W, C\]"),
        (drawing.images(0, 4, 4, 1), 1.0, "images: .*nothing empty"),
        (drawing.images(4, 4, 4, 1) * np.nan, 1.0, r"images: wanted pixels in \[0, 1\]"),
        (drawing.images(4, 4, 4, 1), 0.0, "limit: wanted a finite number above 0"),
    ],
)
def test_invalid_grids_raise(images, limit, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        figures.latent_grid(images, limit=limit)
