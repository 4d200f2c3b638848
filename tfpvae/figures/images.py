"""Figures of images in rows and grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfpvae import _checks
from tfpvae.figures import checks, page, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reconstructions(
    images: npt.ArrayLike,
    reconstructions: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    max_images: int = 10,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws images in one row and their reconstructions in the rows below.

    Args:
      images: float in [0, 1] or uint8, [N, H, W, C], C 1 or 3.
      reconstructions: reconstruction of each image, in the same form. To compare several models,
        a mapping from the label of each row to such an array.
      max_images: number of images to draw at most, from the first on, at least 1.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      A figure of labeled rows.

    Raises:
      TypeError: if an array is neither float nor uint8, `max_images` is not an integer, or `ax` is
        not a `matplotlib.axes.Axes`.
      ValueError: if an array has another shape, is empty, or has pixels outside of [0, 1]; if the
        shapes differ; or if `max_images` is below 1.

    >>> figure = reconstructions(np.zeros([3, 8, 8, 1]), np.ones([3, 8, 8, 1]))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['original', 'reconstruction']
    """
    if not isinstance(reconstructions, Mapping):
        reconstructions = {"reconstruction": reconstructions}
    _checks.whole_number("max_images", max_images)
    originals = checks.images("images", images)
    rows = {"original": originals[:max_images]}
    for label, row in reconstructions.items():
        copies = checks.images("reconstructions", row)
        if originals.shape != copies.shape:
            raise ValueError(
                f"reconstructions: wanted the images' shape {originals.shape}, got {copies.shape}."
            )
        rows[str(label)] = copies[:max_images]
    return tiles.grid([*rows.values()], row_labels=[*rows], ax=ax, size=size, title=title)


def mosaic(
    images: npt.ArrayLike,
    *,
    columns: int | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws images in a grid, row by row.

    Args:
      images: float in [0, 1] or uint8, [S, H, W, C], C 1 or 3.
      columns: number of columns, at least 1; None for a grid close to a square.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      A figure of the images with thin gaps between them.

    Raises:
      TypeError: if the array is neither float nor uint8, `columns` is not an integer, or `ax` is
        not a `matplotlib.axes.Axes`.
      ValueError: if the array has another shape, is empty, or has pixels outside of [0, 1]; or if
        `columns` is below 1.

    >>> figure = mosaic(np.zeros([9, 8, 8, 3]))
    >>> len(figure.axes[0].images)
    9
    """
    pixels = checks.images("images", images)
    if columns is None:
        columns = tiles.square_columns(pixels.shape)
    _checks.whole_number("columns", columns)
    starts = range(0, len(pixels), columns)
    rows = [pixels[start : start + columns] for start in starts]
    return tiles.grid(rows, ax=ax, size=size, title=title)


def interpolation(
    images: npt.ArrayLike,
    *,
    labels: Sequence[object] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the images decoded along a path through latent space as a filmstrip.

    Args:
      images: float in [0, 1] or uint8, C 1 or 3: one strip of S steps, [S, H, W, C], or R strips,
        [R, S, H, W, C].
      labels: label of each step, below its column, or None.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      A figure of the strips, one below the other.

    Raises:
      TypeError: if the array is neither float nor uint8.
      ValueError: if the array has another shape, is empty, or has pixels outside of [0, 1]; or if
        there are more or fewer labels than steps.

    >>> steps = np.linspace(0.0, 1.0, 5)
    >>> figure = interpolation(np.ones([5, 8, 8, 1]) * steps[:, None, None, None], labels=steps)
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['0.0', '0.25', '0.5', '0.75', '1.0']
    """
    strips = checks.images("images", images, "[N, H, W, C]", "[R, S, H, W, C]")
    if strips.ndim == 4:
        strips = strips[np.newaxis]
    texts = checks.texts("labels", labels, strips.shape[1], "step")
    return tiles.grid(strips, column_labels=texts, ax=ax, size=size, title=title)


def traversal(
    images: npt.ArrayLike,
    *,
    values: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the images decoded along each of several latent dimensions, one row per dimension.

    Args:
      images: float in [0, 1] or uint8, S steps along each of D dimensions, [D, S, H, W, C], C 1
        or 3.
      values: value of the dimension at each step, below its column, [S], or None.
      names: name of each dimension, D of them; None for "z1", "z2" and so on.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      A figure of D labeled rows.

    Raises:
      TypeError: if the array is neither float nor uint8.
      ValueError: if the array has another shape, is empty, or has pixels outside of [0, 1]; if
        there are more or fewer values than steps, or names than dimensions; or if a value is not
        finite.

    >>> figure = traversal(np.zeros([2, 3, 8, 8, 1]), values=[-1, 0, 1])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['z1', 'z2']
    """
    rows = checks.images("images", images, "[D, S, H, W, C]")
    dimensions, steps = rows.shape[:2]
    if names is None:
        names = [f"z{dimension + 1}" for dimension in range(dimensions)]
    return tiles.grid(
        rows,
        row_labels=checks.texts("names", names, dimensions, "dimension"),
        column_labels=checks.texts("values", _number_texts(values), steps, "step"),
        ax=ax,
        size=size,
        title=title,
    )


def mosaics(images: npt.ArrayLike, *, labels: Sequence[object]) -> Figure:
    """Draws several mosaics, each below its label, such as samples over the course of training.

    Takes no `ax`: mosaics and labels fill a page together. For axes of a figure, call `mosaic` once
    for each.

    Args:
      images: float in [0, 1] or uint8, the S images of each of T mosaics, [T, S, H, W, C], C 1
        or 3.
      labels: label of each mosaic, such as "step 100", T of them.

    Returns:
      A figure of the mosaics, row by row.

    Raises:
      TypeError: if the array is neither float nor uint8.
      ValueError: if the array has another shape, is empty, or has pixels outside of [0, 1]; or if
        there are more or fewer labels than mosaics.

    >>> figure = mosaics(np.zeros([2, 9, 8, 8, 1]), labels=["epoch 1", "epoch 2"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['epoch 1', 'epoch 2']
    """
    stacks = checks.images("images", images, "[T, S, H, W, C]")
    titles = checks.texts("labels", labels, len(stacks), "mosaic")
    columns = tiles.square_columns(stacks.shape[1:])
    gap = max(1, max(stacks.shape[2:4]) // 20)
    return tiles.titled([tiles.assembled(stack, columns, gap, 1.0) for stack in stacks], titles)


def _number_texts(values: Sequence[float] | None) -> list[str] | None:
    """Returns finite numbers [S] as text, and None for None."""
    if values is None:
        return None
    numbers = np.asarray(values)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ValueError(f"values: wanted finite numbers [S], got {values!r}.")
    return [page.number(value, 3) for value in numbers]
