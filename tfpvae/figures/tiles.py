"""Images side by side, with each of their pixels as a whole number of pixels of the figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfpvae.figures import page
from tfpvae.figures.checks import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_MAX_IMAGE, _MAX_MOSAIC, _MAX_SINGLE = 1.4, 2.2, 5.0
_TITLE_HEIGHT = 0.24
_BETWEEN = 0.15  # two mosaics


def grid(
    rows: Sequence[Pixels] | Pixels,
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws rows of images.

    Args:
      rows: images of each row, floats in [0, 1], [S, H, W, C]; the last row may be shorter.
      row_labels: label on the left of each row, or none.
      column_labels: label below each column, or none.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      The figure.

    >>> figure = grid(np.zeros([2, 3, 8, 8, 1]), row_labels=["original", "copy"])
    >>> len(figure.axes[0].images)
    6
    """
    page.check_panel(ax, size)
    columns, height, width, _ = rows[0].shape
    beside = page.text_width(row_labels)
    scale, dpi = _scale(columns * width, len(rows) * height, max(width, height), beside)
    width, height = scale * width, scale * height
    gap = max(2, max(width, height) // 40)
    lefts, tops = (width + gap) * np.arange(columns), (height + gap) * np.arange(len(rows))

    # Labels wider than their column are upright, so that they never overlap.
    widest = dpi * page.text_width(column_labels)
    across = page.inches_across(ax) if ax is not None else size[0] if size else None
    is_upright = widest > (width if across is None else dpi * across / columns)
    below = 0.0 if not column_labels else widest if is_upright else dpi * page.TEXT / 72
    whole, labels = (lefts[-1] + width, tops[-1] + height), (dpi * beside, below)
    figure, axes = page.pixels(whole, labels, dpi, ax, size, title)
    for top, images in zip(tops, rows, strict=True):
        for left, image in zip(lefts, images, strict=False):  # a short last row
            draw(axes, image, (left, left + width, top + height, top))
    axes.set_aspect("equal")
    axes.set_xticks(lefts + width / 2 if column_labels else [], column_labels)
    axes.set_yticks(tops + height / 2 if row_labels else [], row_labels)
    axes.tick_params(length=0, pad=72 * page.PADDING, labelsize=page.TEXT)
    axes.tick_params(axis="x", rotation=90 if is_upright else 0)
    return figure


def titled(pictures: Sequence[Pixels], titles: Sequence[str]) -> Figure:
    """Draws pictures of one size row by row, each below its title.

    Args:
      pictures: floats in [0, 1], [H, W, C] each.
      titles: title of each picture.

    Returns:
      The figure.

    >>> figure = titled([np.zeros([8, 8, 1])] * 2, ["epoch 1", "epoch 2"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['epoch 1', 'epoch 2']
    """
    height, width, _ = pictures[0].shape
    text = page.text_width(titles)
    columns, inches = _columns(len(pictures), width, height, text)
    scale = math.ceil(page.DPI * inches)
    dpi = scale / inches
    width, height = scale * width, scale * height
    across = math.ceil(max(width, dpi * text) + dpi * _BETWEEN)
    down = math.ceil(height + dpi * _TITLE_HEIGHT)
    rows = math.ceil(len(pictures) / columns)
    size = (columns * across - math.ceil(dpi * _BETWEEN), rows * down)
    figure, axes = page.canvas(size, (0.0, 0.0), dpi)
    axes.set(xticks=[], yticks=[])
    for i, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        row, column = divmod(i, columns)
        left, bottom = across * column, down * (row + 1)
        draw(axes, picture, (left, left + width, bottom, bottom - height))
        axes.text(left, bottom - height - 0.05 * dpi, title, fontsize=page.TEXT, va="baseline")
    return figure


def single(
    picture: Pixels,
    room: tuple[float, float],
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> tuple[Figure, Axes]:
    """Returns a figure and axes of the size of one picture, for the caller to draw on.

    Args:
      picture: [H, W, C].
      room: space for labels on the left and below, in inches.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the picture.
      title: text above the axes, or None.

    Returns:
      The figure and its axes, which have a whole number of pixels for each pixel of the picture.

    >>> figure, axes = single(np.zeros([10, 10, 1]), (0.0, 0.0))
    >>> float(axes.get_xlim()[1] % 10)
    0.0
    """
    height, width, _ = picture.shape
    inches = min((_MAX_SINGLE - room[0]) / width, _MAX_SINGLE / height)
    scale = math.ceil(page.DPI * inches)
    dpi = scale / inches
    whole, labels = (scale * width, scale * height), (dpi * room[0], dpi * room[1])
    return page.pixels(whole, labels, dpi, ax, size, title)


def assembled(images: Pixels, columns: int, gap: int, color: float) -> Pixels:
    """Assembles images into one picture, row by row.

    Args:
      images: [S, H, W, C].
      columns: number of columns, at least 1.
      gap: pixels between two images.
      color: value of the pixels in the gaps.

    Returns:
      The picture, of the type of the images.

    >>> assembled(np.zeros([2, 1, 2, 1]), columns=2, gap=1, color=0.5)[..., 0].tolist()
    [[0.0, 0.0, 0.5, 0.0, 0.0]]
    """
    count, height, width, channels = images.shape
    rows, columns = math.ceil(count / columns), min(columns, count)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    picture = np.full(shape, color, images.dtype)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture


def square_columns(shape: Sequence[int]) -> int:
    """Returns the number of columns in which images [S, H, W, C] make a grid close to a square.

    >>> square_columns([10, 8, 8, 1])
    4
    """
    count, height, width, _ = shape
    return min(count, math.ceil(math.sqrt(count * height / width)))


def _columns(count: int, width: int, height: int, text: float) -> tuple[int, float]:
    """Returns the number of columns of titled pictures, and the inches per pixel."""
    inches = {}
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        across = page.WIDTH / columns - _BETWEEN
        down = page.HEIGHT / rows - _TITLE_HEIGHT
        if columns == 1 or across >= text:
            inches[columns] = min(across / width, down / height, _MAX_MOSAIC / width)
    # Fewer rows are worth pictures that are up to 10% smaller.
    columns = max(c for c in inches if inches[c] >= 0.9 * max(inches.values()))
    return columns, inches[columns]


def draw(axes: Axes, image: Pixels, extent: tuple[float, float, float, float]) -> None:
    """Draws one image on axes.

    Args:
      axes: axes to draw on.
      image: floats in [0, 1], [H, W, C].
      extent: left, right, lower and upper edge of the image, in coordinates of the axes.

    >>> axes = page.blank(2.0, 2.0, dpi=100).subplots()
    >>> draw(axes, np.zeros([4, 4, 3]), (0, 1, 0, 1))
    >>> axes.images[0].get_extent()
    [0, 1, 0, 1]
    """
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
    """Returns the width of an image's pixel in the figure, and the resolution to fit the page."""
    inches = min((page.WIDTH - beside) / width, page.HEIGHT / height, _MAX_IMAGE / side)
    scale = math.ceil(page.DPI * inches)
    return scale, scale / inches
