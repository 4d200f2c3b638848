"""Images side by side, each pixel of them a whole number of the figure's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfpvae.figures import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = npt.NDArray[Any]  # checked images: floats in [0, 1]

# In inches: the most for one image, one mosaic and one picture alone, and the room that a mosaic's
# title and what is between two mosaics take.
_LARGEST_IMAGE, _LARGEST_MOSAIC = 1.4, 2.2
_SQUARE = 5.0
_TITLE, _BETWEEN = 0.24, 0.15


def grid(
    rows: Sequence[Pixels] | Pixels,
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Figure:
    """Rows of images, each image's pixel drawn as a whole number of the figure's pixels."""
    columns, height, width, _ = rows[0].shape
    beside = page.text_width(row_labels)
    scale, dpi = _scale(columns * width, len(rows) * height, max(width, height), beside)
    width, height = scale * width, scale * height
    gap = max(2, max(width, height) // 40)
    lefts, tops = (width + gap) * np.arange(columns), (height + gap) * np.arange(len(rows))

    # Labels wider than their column stand upright, so that they never run into each other.
    widest = dpi * page.text_width(column_labels)
    upright = widest > width
    below = 0.0 if not column_labels else widest if upright else dpi * page.TEXT / 72
    figure, axes = page.canvas((lefts[-1] + width, tops[-1] + height), (dpi * beside, below), dpi)
    for top, images in zip(tops, rows, strict=True):
        for left, image in zip(lefts, images, strict=False):  # the last row may be shorter
            draw(axes, image, (left, left + width, top + height, top))
    axes.set_xticks(lefts + width / 2 if column_labels else [], column_labels)
    axes.set_yticks(tops + height / 2 if row_labels else [], row_labels)
    axes.tick_params(length=0, pad=72 * page.PADDING, labelsize=page.TEXT)
    axes.tick_params(axis="x", rotation=90 if upright else 0)
    return figure


def titled(pictures: Sequence[Pixels], titles: Sequence[str]) -> Figure:
    """Pictures of one size row by row, each under its title."""
    height, width, _ = pictures[0].shape
    text = page.text_width(titles)
    columns, inches = _columns(len(pictures), width, height, text)
    scale = math.ceil(page.DPI * inches)
    dpi = scale / inches
    width, height = scale * width, scale * height
    across = math.ceil(max(width, dpi * text) + dpi * _BETWEEN)
    down = math.ceil(height + dpi * _TITLE)
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


def single(picture: Pixels, room: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure and axes of just the picture's size, with so many inches at the left and below."""
    height, width, _ = picture.shape
    most = min((_SQUARE - room[0]) / width, _SQUARE / height)
    scale = math.ceil(page.DPI * most)
    dpi = scale / most
    return page.canvas((scale * width, scale * height), (dpi * room[0], dpi * room[1]), dpi)


def assembled(images: Pixels, columns: int, gap: int, colour: float) -> Pixels:
    """One picture of all the images, row by row, with gaps of so many pixels in that colour."""
    count, height, width, channels = images.shape
    rows, columns = math.ceil(count / columns), min(columns, count)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    picture = np.full(shape, colour, images.dtype)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = image
    return picture


def square_columns(shape: Sequence[int]) -> int:
    """In how many columns images [S, H, W, C] make a grid that is nearly a square."""
    count, height, width, _ = shape
    return min(count, math.ceil(math.sqrt(count * height / width)))


def _columns(count: int, width: int, height: int, text: float) -> tuple[int, float]:
    """In how many columns titled pictures fit the page well; and the inches a pixel then has."""
    inches = {}
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        across = page.WIDTH / columns - _BETWEEN
        down = page.HEIGHT / rows - _TITLE
        if columns == 1 or across >= text:
            inches[columns] = min(across / width, down / height, _LARGEST_MOSAIC / width)
    # Nearly as large as can be is large enough, where it takes fewer rows.
    columns = max(c for c in inches if inches[c] >= 0.9 * max(inches.values()))
    return columns, inches[columns]


def draw(axes: Axes, image: Pixels, extent: tuple[float, float, float, float]) -> None:
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
    most = min((page.WIDTH - beside) / width, page.HEIGHT / height, _LARGEST_IMAGE / side)
    scale = math.ceil(page.DPI * most)
    return scale, scale / most


def checked(name: str, images: npt.ArrayLike, *shapes: str) -> Pixels:
    """The images as floats in [0, 1], or an error that says what is wrong with them."""
    array = np.asarray(images)
    shapes = shapes or ("[N, H, W, C]",)
    ranks = [len(shape.split(",")) for shape in shapes]
    if array.ndim not in ranks or array.shape[-1] not in (1, 3) or array.size == 0:
        raise ValueError(
            f"{name}: wanted {' or '.join(shapes)} with C 1 or 3 and nothing empty, "
            f"got {list(array.shape)}."
        )
    if array.dtype == np.uint8:
        return array / 255.0
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name}: wanted floats or uint8, got {array.dtype}.")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # so written, it holds for NaN as well
        raise ValueError(f"{name}: wanted numbers in [0, 1], got numbers in [{low}, {high}].")
    return array


def names(argument: str, given: Sequence[object] | None, count: int, of: str) -> list[str]:
    """The names as text, none of them for None; raises unless there is one for each."""
    if given is None:
        return []
    if isinstance(given, str):
        raise ValueError(f"{argument}: wanted {count}, one for each {of}, got the text {given!r}.")
    texts = [str(name) for name in given]
    if len(texts) != count:
        raise ValueError(f"{argument}: wanted {count}, one for each {of}, got {len(texts)}.")
    return texts


def check_count(argument: str, count: int, minimum: int = 1) -> None:
    """Refuses what is not a whole number of at least the minimum."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < minimum:
        raise ValueError(f"{argument}: wanted a whole number of at least {minimum}, got {count!r}.")
