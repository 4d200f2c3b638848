"""Images in rows and grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfpvae.figures import page, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reconstructions(
    images: npt.ArrayLike,
    reconstructions: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    max_images: int = 10,
) -> Figure:
    """Images in one row over their reconstructions in the row below, or the rows.

    Args:
      images: [N, H, W, C], C being 1 or 3; floats in [0, 1] or uint8.
      reconstructions: The same shape, one for each image; floats in [0, 1] or uint8. Or a mapping
        from the label of a row to such an array, to hold several models side by side.
      max_images: At most so many images are shown, the first ones; at least 1.

    Returns:
      A figure of labelled rows.

    Raises:
      ValueError: If an array has another shape or type, is empty, or leaves [0, 1]; if the two
        shapes differ; or if `max_images` is below 1.

    Example:
      >>> import numpy as np
      >>> figure = reconstructions(np.zeros([3, 8, 8, 1]), np.ones([3, 8, 8, 1]))
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['original', 'reconstruction']
    """
    if not isinstance(reconstructions, Mapping):
        reconstructions = {"reconstruction": reconstructions}
    tiles.check_count("max_images", max_images)
    originals = tiles.checked("images", images)
    rows = {"original": originals[:max_images]}
    for label, row in reconstructions.items():
        copies = tiles.checked("reconstructions", row)
        if originals.shape != copies.shape:
            raise ValueError(
                f"reconstructions: wanted the images' shape {originals.shape}, got {copies.shape}."
            )
        rows[str(label)] = copies[:max_images]
    return tiles.grid([*rows.values()], row_labels=[*rows])


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
    pictures = tiles.checked("images", images)
    if columns is None:
        columns = tiles.square_columns(pictures.shape)
    tiles.check_count("columns", columns)
    starts = range(0, len(pictures), columns)
    return tiles.grid([pictures[start : start + columns] for start in starts])


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
    strips = tiles.checked("images", images, "[N, H, W, C]", "[R, S, H, W, C]")
    if strips.ndim == 4:
        strips = strips[np.newaxis]
    names = tiles.names("labels", labels, strips.shape[1], "step")
    return tiles.grid(strips, column_labels=names)


def traversal(
    images: npt.ArrayLike,
    *,
    values: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """What the decoder makes of one latent dimension after the other, a row each.

    Args:
      images: [D, S, H, W, C], S steps along each of D dimensions, C being 1 or 3; floats in [0, 1]
        or uint8.
      values: [S], what the dimension was set to at each step, written below its column; nothing is
        without it.
      names: D of them, one for each row; "z1", "z2", ... without them.

    Returns:
      A figure of D labelled rows.

    Raises:
      ValueError: If the array has another shape or type, is empty, or leaves [0, 1]; if there are
        more or fewer values than steps, or names than dimensions; or if a value is not finite.

    Example:
      >>> import numpy as np
      >>> figure = traversal(np.zeros([2, 3, 8, 8, 1]), values=[-1, 0, 1])
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['z1', 'z2']
    """
    rows = tiles.checked("images", images, "[D, S, H, W, C]")
    dimensions, steps = rows.shape[:2]
    if names is None:
        names = [f"z{dimension + 1}" for dimension in range(dimensions)]
    return tiles.grid(
        rows,
        row_labels=tiles.names("names", names, dimensions, "dimension"),
        column_labels=tiles.names("values", _numbers(values), steps, "step"),
    )


def mosaics(images: npt.ArrayLike, *, labels: Sequence[object]) -> Figure:
    """Mosaics side by side, each under its label: samples over the course of training, say.

    Args:
      images: [T, S, H, W, C], the S images of each of T mosaics, C being 1 or 3; floats in [0, 1]
        or uint8.
      labels: T of them, one for each mosaic, such as "step 100".

    Returns:
      A figure of the mosaics, row by row.

    Raises:
      ValueError: If the array has another shape or type, is empty, or leaves [0, 1]; or if there
        are more or fewer labels than mosaics.

    Example:
      >>> import numpy as np
      >>> figure = mosaics(np.zeros([2, 9, 8, 8, 1]), labels=["epoch 1", "epoch 2"])
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['epoch 1', 'epoch 2']
    """
    stacks = tiles.checked("images", images, "[T, S, H, W, C]")
    titles = tiles.names("labels", labels, len(stacks), "mosaic")
    columns = tiles.square_columns(stacks.shape[1:])
    gap = max(1, max(stacks.shape[2:4]) // 20)
    return tiles.titled([tiles.assembled(stack, columns, gap, 1.0) for stack in stacks], titles)


def _numbers(values: Sequence[float] | None) -> list[str] | None:
    """The values as they are written in a figure."""
    if values is None:
        return None
    numbers = np.asarray(values)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf" or not np.isfinite(numbers).all():
        raise ValueError(f"values: wanted finite numbers [S], got {values!r}.")
    return [page.number(value, 3) for value in numbers]
