"""Figures of a training run and of what a model draws, as for a paper.

Every function takes plain arrays and gives back a `matplotlib.figure.Figure`; `.savefig(path)`
writes it.  No window is opened and no global state of matplotlib is touched.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = npt.NDArray[Any]  # checked images: floats in [0, 1]

__all__ = ["history", "interpolation", "mosaic", "reconstructions"]

# Two of the Okabe-Ito colours: told apart by colour-blind readers and in grey print.
_TRAINING, _VALIDATION = "#0072B2", "#E69F00"
_TITLES = {"loss": "loss", "nll": "negative log-likelihood", "kl": "KL divergence"}

# The least resolution; and, in inches, about the most that a figure of images takes.
_DPI = 200
_PAGE_WIDTH, _PAGE_HEIGHT = 7.0, 9.0
_LARGEST_IMAGE = 1.4
_PADDING = 0.05
_TEXT = 9  # points


def history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Curves of the loss and its two terms over the epochs, one panel each.

    Args:
      history: Lists of one number an epoch, in nats an image, under any of the keys "loss", "nll"
        and "kl" for training and "val_loss", "val_nll" and "val_kl" for validation.  Keys of
        other quantities are left out.

    Returns:
      A figure with a panel for each of the quantities present.

    Raises:
      ValueError: If none of the quantities is there, if the lists differ in length or are empty,
        or if a number is not finite.

    Example:
      >>> figure = history({"loss": [210.0, 180.0], "val_loss": [205.0, 178.0]})
      >>> [axes.get_title() for axes in figure.axes]
      ['loss']
    """
    curves = _curves(history)
    names = [name for name in _TITLES if name in curves or f"val_{name}" in curves]
    epochs = np.arange(1, 1 + len(next(iter(curves.values()))))
    figure = _figure(2.1 * len(names) + 0.5, 2.2, _DPI, layout="constrained")
    panels = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _panel(axes, epochs, curves, name)
    panels[0].set_ylabel("nats an image", fontsize=_TEXT)
    handles = {str(line.get_label()): line for axes in panels for line in axes.lines}
    figure.legend(
        handles=list(handles.values()),
        loc="outside upper center",
        ncols=2,
        frameon=False,
        fontsize=_TEXT,
    )
    return figure


def reconstructions(
    images: npt.ArrayLike, reconstructions: npt.ArrayLike, *, max_images: int = 10
) -> Figure:
    """Images in one row over their reconstructions in the row below.

    Args:
      images: [N, H, W, C], C being 1 or 3; floats in [0, 1] or uint8.
      reconstructions: The same shape, one for each image; floats in [0, 1] or uint8.
      max_images: At most so many pairs are shown, the first ones; at least 1.

    Returns:
      A figure of two labelled rows.

    Raises:
      ValueError: If an array has another shape or type, is empty, or leaves [0, 1]; if the two
        shapes differ; or if `max_images` is below 1.

    Example:
      >>> import numpy as np
      >>> figure = reconstructions(np.zeros([3, 8, 8, 1]), np.ones([3, 8, 8, 1]))
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['original', 'reconstruction']
    """
    _check_count("max_images", max_images)
    originals = _checked("images", images)
    copies = _checked("reconstructions", reconstructions)
    if originals.shape != copies.shape:
        raise ValueError(
            f"reconstructions: wanted the images' shape {originals.shape}, got {copies.shape}."
        )
    rows = np.stack([originals[:max_images], copies[:max_images]])
    return _grid(rows, row_labels=["original", "reconstruction"])


def mosaic(images: npt.ArrayLike, *, columns: int | None = None) -> Figure:
    """Images side by side in a grid, filled row by row.

    Args:
      images: [S, H, W, C], C being 1 or 3; floats in [0, 1] or uint8.
      columns: Images in a row, at least 1; without it, the number that makes the grid nearest to
        a square.

    Returns:
      A figure of the images with thin gaps between them.

    Raises:
      ValueError: If the array has another shape or type, is empty, or leaves [0, 1]; or if
        `columns` is below 1.

    Example:
      >>> import numpy as np
      >>> figure = mosaic(np.zeros([9, 8, 8, 3]))
      >>> len(figure.axes[0].images)
      9
    """
    tiles = _checked("images", images)
    count, height, width, _ = tiles.shape
    if columns is None:
        # Columns * width and rows * height come out nearly alike, whatever an image's shape.
        columns = math.ceil(math.sqrt(count * height / width))
    _check_count("columns", columns)
    columns = min(columns, count)
    return _grid([tiles[start : start + columns] for start in range(0, count, columns)])


def interpolation(images: npt.ArrayLike, *, labels: Sequence[object] | None = None) -> Figure:
    """A filmstrip of the images decoded along a way through latent space.

    Args:
      images: [S, H, W, C] for one strip of S steps, or [R, S, H, W, C] for R strips, one below
        the other; C being 1 or 3; floats in [0, 1] or uint8.
      labels: One label a step, written below its column; none without it.

    Returns:
      A figure of the strips.

    Raises:
      ValueError: If the array has another shape or type, is empty, or leaves [0, 1]; or if there
        are more or fewer labels than steps.

    Example:
      >>> import numpy as np
      >>> steps = np.linspace(0.0, 1.0, 5)
      >>> figure = interpolation(np.ones([5, 8, 8, 1]) * steps[:, None, None, None], labels=steps)
      >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
      ['0.0', '0.25', '0.5', '0.75', '1.0']
    """
    strips = _checked("images", images, ranks=(4, 5))
    if strips.ndim == 4:
        strips = strips[np.newaxis]
    names = [] if labels is None else [str(label) for label in labels]
    if labels is not None and len(names) != strips.shape[1]:
        raise ValueError(f"labels: wanted {strips.shape[1]}, one for each step, got {len(names)}.")
    return _grid(strips, column_labels=names)


def _curves(history: Mapping[str, Sequence[float]]) -> dict[str, Pixels]:
    """The curves to draw, checked."""
    keys = [prefix + name for name in _TITLES for prefix in ("", "val_")]
    curves = {key: np.asarray(history[key], dtype=float) for key in keys if key in history}
    if not curves:
        raise ValueError(f"history: wanted some of {keys}, got {list(history)}.")
    first, epochs = next((key, curve.size) for key, curve in curves.items())
    for key, curve in curves.items():
        if curve.ndim != 1 or curve.size == 0:
            raise ValueError(
                f"history[{key!r}]: wanted one number for each of 1 or more epochs, "
                f"got the shape {curve.shape}."
            )
        if curve.size != epochs:
            raise ValueError(
                f"history[{key!r}]: wanted {epochs} epochs as in {first!r}, got {curve.size}."
            )
        if not np.isfinite(curve).all():
            epoch = int(np.argmin(np.isfinite(curve)))
            raise ValueError(
                f"history[{key!r}]: wanted finite numbers, got {curve[epoch]} in epoch {epoch + 1}."
            )
    return curves


def _panel(axes: Axes, epochs: np.ndarray, curves: Mapping[str, np.ndarray], name: str) -> None:
    """Draws one quantity's training and validation curves."""
    locator = _matplotlib("ticker").MaxNLocator
    # Few epochs are points that a line joins; many are a line.
    style: dict[str, Any] = {"marker": "o" if epochs.size <= 12 else "", "markersize": 3.5}
    for key, label, colour in (
        (name, "training", _TRAINING),
        (f"val_{name}", "validation", _VALIDATION),
    ):
        if key in curves:
            axes.plot(epochs, curves[key], color=colour, label=label, linewidth=1.5, **style)
    axes.set_title(_TITLES[name], fontsize=_TEXT)
    axes.set_xlabel("epoch", fontsize=_TEXT)
    steps = [1, 2, 5, 10]
    axes.set_xlim(0.5, epochs.size + 0.5)
    axes.xaxis.set_major_locator(locator(nbins=5, steps=steps, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(locator(nbins=5, steps=steps))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.tick_params(labelsize=_TEXT - 1, color="0.6", length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.6")


def _grid(
    rows: Sequence[Pixels] | Pixels,
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Figure:
    """Rows of images, each image's pixel drawn as a whole number of the figure's pixels."""
    columns, height, width, _ = rows[0].shape
    beside = _text_width(row_labels)
    scale, dpi = _scale(columns * width, len(rows) * height, max(width, height), beside)
    width, height = scale * width, scale * height
    gap = max(2, max(width, height) // 40)
    lefts, tops = (width + gap) * np.arange(columns), (height + gap) * np.arange(len(rows))

    # Labels wider than their column stand upright, so that they never run into each other.
    widest = dpi * _text_width(column_labels)
    upright = widest > width
    below = 0.0 if not column_labels else widest if upright else dpi * _TEXT / 72
    figure, axes = _canvas((lefts[-1] + width, tops[-1] + height), (dpi * beside, below), dpi)
    for top, images in zip(tops, rows, strict=True):
        for left, image in zip(lefts, images, strict=False):  # the last row may be shorter
            _draw(axes, image, (left, left + width, top + height, top))
    axes.set_xticks(lefts + width / 2 if column_labels else [], column_labels)
    axes.set_yticks(tops + height / 2 if row_labels else [], row_labels)
    axes.tick_params(length=0, pad=72 * _PADDING, labelsize=_TEXT)
    axes.tick_params(axis="x", rotation=90 if upright else 0)
    return figure


def _canvas(
    size: tuple[float, float], labels: tuple[float, float], dpi: float
) -> tuple[Figure, Axes]:
    """A figure around axes of exactly that size, with room for labels at the left and below."""
    padding = dpi * _PADDING
    left, below = (math.ceil(padding + (room + padding if room else 0)) for room in labels)
    width, height = left + size[0] + math.ceil(padding), below + size[1] + math.ceil(padding)
    figure = _figure(width / dpi, height / dpi, dpi)
    axes = figure.add_axes((left / width, below / height, size[0] / width, size[1] / height))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    axes.spines[:].set_visible(False)
    return figure, axes


def _draw(axes: Axes, image: Pixels, extent: tuple[float, float, float, float]) -> None:
    """Draws one image, [H, W, C], between these left, right, lower and upper edges."""
    axes.imshow(
        image[..., 0] if image.shape[-1] == 1 else image,
        extent=extent,
        aspect="auto",
        interpolation="nearest",
        cmap="gray",
        vmin=0.0,
        vmax=1.0,
    )


def _scale(width: int, height: int, side: int, beside: float) -> tuple[int, float]:
    """How many pixels wide to draw an image's pixel, and the resolution that fits the page."""
    most = min((_PAGE_WIDTH - beside) / width, _PAGE_HEIGHT / height, _LARGEST_IMAGE / side)
    scale = math.ceil(_DPI * most)
    return scale, scale / most


def _text_width(labels: Sequence[str]) -> float:
    """The width of the widest label, in inches."""
    text_path = _matplotlib("textpath").TextPath
    paths = [text_path((0, 0), label, size=_TEXT) for label in labels if label.strip()]
    return max((path.get_extents().x1 / 72 for path in paths), default=0.0)


def _figure(width: float, height: float, dpi: float, layout: str = "none") -> Figure:
    """An empty figure, its sides in inches."""
    figure: Figure = _matplotlib("figure").Figure((width, height), dpi=dpi, layout=layout)
    figure.set_facecolor("white")
    return figure


def _matplotlib(module: str) -> Any:
    """One of matplotlib's modules, imported no earlier than a figure is asked for."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ImportError(
            'figures: wanted matplotlib, got none installed; pip install "tfpvae[figures]".'
        ) from error


def _checked(name: str, images: npt.ArrayLike, *, ranks: tuple[int, ...] = (4,)) -> Pixels:
    """The images as floats in [0, 1], or an error that says what is wrong with them."""
    array = np.asarray(images)
    if array.ndim not in ranks or array.shape[-1] not in (1, 3) or array.size == 0:
        wanted = " or ".join(["[N, H, W, C]", "[R, S, H, W, C]"][: len(ranks)])
        raise ValueError(
            f"{name}: wanted {wanted} with C 1 or 3 and nothing empty, got {list(array.shape)}."
        )
    if array.dtype == np.uint8:
        return array / 255.0
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name}: wanted floats or uint8, got {array.dtype}.")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # so written, it holds for NaN as well
        raise ValueError(f"{name}: wanted numbers in [0, 1], got numbers in [{low}, {high}].")
    return array


def _check_count(name: str, count: int) -> None:
    """Refuses what is not a whole number of at least 1."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name}: wanted a whole number of at least 1, got {count!r}.")
