"""The figures hold what they were given, label it, and refuse what they cannot draw."""

import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from tfpvae import figures


def _images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def _history(epochs: int) -> dict[str, list[float]]:
    keys = ["loss", "nll", "kl", "val_loss", "val_nll", "val_kl"]
    return {key: [100.0 + 10 * i + e for e in range(epochs)] for i, key in enumerate(keys)}


def _drawn(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def _pixels(figure: Figure) -> np.ndarray:
    """The rendered figure, [height, width, 3] in uint8; no warning is allowed on the way."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _border_is_white(pixels: np.ndarray) -> bool:
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return all((edge == 255).all() for edge in edges)


# --- history ------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 2, 7, 30, 400])
def test_history_draws_each_curve_over_the_epochs(epochs):
    history = _history(epochs)
    figure = figures.history(history)
    assert len(figure.axes) == 3
    for axes, name in zip(figure.axes, ["loss", "nll", "kl"], strict=True):
        training, validation = axes.lines
        np.testing.assert_array_equal(training.get_xdata(), np.arange(1, epochs + 1))
        np.testing.assert_array_equal(training.get_ydata(), history[name])
        np.testing.assert_array_equal(validation.get_ydata(), history[f"val_{name}"])
        assert training.get_color() != validation.get_color()
        assert axes.get_xlabel() == "epoch"
    assert figure.axes[0].get_ylabel() == "nats an image"
    assert _border_is_white(_pixels(figure))


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 37, 1000])
def test_history_ticks_are_whole_epochs_that_were_run(epochs):
    axes = figures.history(_history(epochs)).axes[0]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == int(tick) and 1 <= tick <= epochs for tick in ticks)


def test_history_draws_only_what_is_there():
    figure = figures.history({"kl": [1.0, 2.0], "val_loss": [3.0, 2.5], "seconds": [9.0, 9.0]})
    assert [axes.get_title() for axes in figure.axes] == ["loss", "KL divergence"]
    assert [[str(line.get_label()) for line in axes.lines] for axes in figure.axes] == [
        ["validation"],
        ["training"],
    ]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"training", "validation"}


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, r"history: wanted some of \['loss'.*, got \[\]"),
        ({"seconds": [1.0]}, r"got \['seconds'\]"),
        ({"loss": []}, r"history\['loss'\]: wanted one number .* got the shape \(0,\)"),
        ({"loss": [[1.0]]}, r"got the shape \(1, 1\)"),
        ({"loss": 1.0}, r"got the shape \(\)"),
        ({"loss": [1.0, 2.0], "kl": [1.0]}, r"history\['kl'\]: wanted 2 epochs .*, got 1"),
        ({"loss": [1.0, np.nan]}, r"wanted finite numbers, got nan in epoch 2"),
        ({"val_nll": [np.inf]}, r"history\['val_nll'\]: .* got inf in epoch 1"),
    ],
)
def test_history_refuses(history, message):
    with pytest.raises(ValueError, match=message):
        figures.history(history)


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_images_are_drawn_as_they_are(channels, dtype):
    images = _images(5, 6, 7, channels)
    images = (images * 255).astype(dtype) if dtype == np.uint8 else images.astype(dtype)
    wanted = images / 255.0 if dtype == np.uint8 else images
    figure = figures.mosaic(images)
    drawn = figure.axes[0].images
    assert len(drawn) == 5
    for image, array in zip(drawn, wanted[..., 0] if channels == 1 else wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(image.get_array()), array)
        assert image.get_cmap().name == "gray"
        assert image.get_clim() == (0.0, 1.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_pixel_is_rendered_as_a_square_of_its_own_colour(channels):
    images = (_images(4, 8, 8, channels) * 255).astype(np.uint8)
    pixels = _pixels(figures.mosaic(images))
    assert _border_is_white(pixels)
    # A margin all round, and a white gap halfway across, as wide in both directions.
    inner = pixels[(pixels != 255).any((1, 2))][:, (pixels != 255).any((0, 2))]
    side = inner.shape[0] // 2
    assert inner.shape[:2] == (2 * side, 2 * side)
    scale = side // 8
    assert side == 8 * scale
    for index, (row, column) in enumerate(np.ndindex(2, 2)):
        tile = inner[row * side : (row + 1) * side, column * side : (column + 1) * side]
        wanted = np.kron(images[index], np.ones((scale, scale, 1)))
        np.testing.assert_allclose(tile, np.broadcast_to(wanted, tile.shape), atol=1)


def test_mid_grey_is_not_stretched_to_the_images_own_range():
    pixels = _pixels(figures.mosaic(np.full([1, 4, 4, 1], 0.5)))
    assert abs(int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, 0]) - 128) <= 1


def test_reconstructions_stand_below_their_originals():
    originals, copies = _images(4, 6, 6, 3), _images(4, 6, 6, 3, seed=1)
    figure = figures.reconstructions(originals, copies, max_images=3)
    axes = figure.axes[0]
    np.testing.assert_array_equal(_drawn(figure), [*originals[:3], *copies[:3]])
    extents = np.array([image.get_extent() for image in axes.images])
    np.testing.assert_array_equal(extents[:3, :2], extents[3:, :2])  # the same columns
    bottom, top = axes.get_ylim()
    assert bottom > top  # y grows downwards
    assert (extents[:3, 2] < extents[3:, 3]).all()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["original", "reconstruction"]
    assert _border_is_white(_pixels(figure))


def test_reconstructions_shows_ten_pairs_unless_told():
    figure = figures.reconstructions(_images(12, 4, 4, 1), _images(12, 4, 4, 1))
    assert len(figure.axes[0].images) == 20


@pytest.mark.parametrize(
    ("shape", "columns", "wanted"),
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
def test_mosaic_fills_its_grid_row_by_row(shape, columns, wanted):
    images = _images(*shape)
    figure = figures.mosaic(images, columns=columns)
    extents = np.array([image.get_extent() for image in figure.axes[0].images])
    rows, columns = wanted
    assert len(np.unique(extents[:, 3])) == rows
    assert len(np.unique(extents[:, 0])) == columns
    order = np.lexsort([extents[:, 0], extents[:, 3]])
    np.testing.assert_array_equal(order, np.arange(shape[0]))
    assert _border_is_white(_pixels(figure))


@pytest.mark.parametrize(
    "shape", [(1, 2, 2, 1), (3, 200, 30, 3), (90, 28, 28, 1), (2, 900, 900, 1)]
)
def test_a_figure_of_images_fits_a_page(shape):
    figure = figures.mosaic(np.zeros(shape))
    width, height = figure.get_size_inches()
    assert width <= 7.5
    assert height <= 9.5
    assert figure.dpi >= 199.9


def test_interpolation_lays_out_strips():
    strips = _images(2, 5, 6, 6, 1)
    figure = figures.interpolation(strips)
    np.testing.assert_array_equal(_drawn(figure), strips.reshape(10, 6, 6))
    assert len(np.unique([image.get_extent()[3] for image in figure.axes[0].images])) == 2
    one = figures.interpolation(strips[0])
    np.testing.assert_array_equal(_drawn(one), strips[0, ..., 0])
    assert len(one.axes[0].get_xticks()) == 0


@pytest.mark.parametrize(
    "labels", [["0", "½", "1"], [0, 1, 2], ["", "", "the very last of the steps"]]
)
def test_interpolation_labels_stand_apart_and_inside(labels):
    figure = figures.interpolation(_images(3, 8, 8, 3), labels=labels)
    assert _border_is_white(_pixels(figure))
    texts = figure.axes[0].get_xticklabels()
    assert [text.get_text() for text in texts] == [str(label) for label in labels]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_images(8, 8, 1), r"got \[8, 8, 1\]"),
        (_images(2, 8, 8, 2), r"with C 1 or 3 .*, got \[2, 8, 8, 2\]"),
        (_images(0, 8, 8, 1), r"nothing empty, got \[0, 8, 8, 1\]"),
        (_images(2, 0, 8, 1), r"nothing empty, got \[2, 0, 8, 1\]"),
        (_images(2, 8, 8, 1) + 1, r"numbers in \[0, 1\], got numbers in \[1\."),
        (_images(2, 8, 8, 1) - 1, r"numbers in \[0, 1\]"),
        (np.full([1, 2, 2, 1], np.nan), r"numbers in \[0, 1\], got numbers in \[nan"),
        (np.zeros([1, 2, 2, 1], np.int64), r"floats or uint8, got int64"),
        (np.zeros([1, 2, 2, 1], bool), r"floats or uint8, got bool"),
    ],
)
def test_images_are_refused(images, message):
    good = np.zeros([1, 2, 2, 1])
    for name, draw in {
        "images": figures.mosaic,
        "images ": figures.interpolation,
        "images  ": lambda images: figures.reconstructions(images, good),
        "reconstructions": lambda images: figures.reconstructions(good, images),
    }.items():
        with pytest.raises(ValueError, match=f"^{name.strip()}: wanted .*{message}"):
            draw(images)


def test_five_axes_are_for_interpolation_only():
    with pytest.raises(ValueError, match=r"images: wanted \[N, H, W, C\] with"):
        figures.mosaic(_images(2, 2, 4, 4, 1))
    with pytest.raises(ValueError, match=r"wanted \[N, H, W, C\] or \[R, S, H, W, C\]"):
        figures.interpolation(_images(4, 4, 1))


def test_counts_are_refused():
    images = _images(3, 4, 4, 1)
    with pytest.raises(ValueError, match=r"reconstructions: wanted .*\(3, 4, 4, 1\), got \(2,"):
        figures.reconstructions(images, images[:2])
    for bad in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=f"max_images: wanted .* at least 1, got {bad}"):
            figures.reconstructions(images, images, max_images=bad)
        with pytest.raises(ValueError, match=f"columns: wanted .* at least 1, got {bad}"):
            figures.mosaic(images, columns=bad)
    with pytest.raises(ValueError, match="labels: wanted 3, one for each step, got 2"):
        figures.interpolation(images, labels=["a", "b"])


# --- matplotlib ---------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, ["a"]])
def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch, labels):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "tfpvae\[figures\]"'):
        figures.interpolation(_images(1, 4, 4, 1), labels=labels)
    with pytest.raises(ImportError, match=r'pip install "tfpvae\[figures\]"'):
        figures.history({"loss": [1.0]})


def test_figures_stay_out_of_pyplot(tmp_path):
    from matplotlib import pyplot

    figure = figures.mosaic(_images(4, 8, 8, 3))
    assert pyplot.get_fignums() == []
    for name in ("figure.png", "figure.pdf", "figure.svg"):
        figure.savefig(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500
