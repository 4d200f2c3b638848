"""Latent space: where the images lie in it, and what the decoder makes of its points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfpvae.figures import classes, page, projections, scatters, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 3.6  # inches
_BETWEEN = 0.12
_DIRECT = "latents"  # the title of a panel that is latent space itself


def latent_scatter(
    latents: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Two-dimensional codes as points, coloured by class.

    Args:
      latents: [N, 2], such as the means of q(z|x).
      labels: [N], the class of each, whole numbers from 0.
      class_names: The name of each class; without them its number is its name.
      limits: (low, high) of both axes, points beyond them being left out; without it, all points
        are in view.

    Returns:
      A figure of one square panel, the name of each class at the median of its points or, beside
      another, near it; names that would hide the points are in the legend alone.

    Raises:
      ValueError: If an array has another shape or type, is empty or holds NaN or infinity; if the
        two differ in length; if a label is negative or has no name; or if limits are not two
        finite numbers that rise.

    Example:
      >>> figure = latent_scatter([[0.0, 1.0], [2.0, -1.0]], [0, 1], class_names=["rose", "tulip"])
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['rose', 'tulip']
    """
    points = classes.numbers("latents", latents, "[N, 2]")
    if points.shape[1] != 2:
        raise ValueError(f"latents: wanted [N, 2], got {list(points.shape)}.")
    classified, names = classes.checked(labels, len(points), class_names)
    bounds = scatters.square(points) if limits is None else (_limits(limits),) * 2
    columns = math.ceil(len(names) / 15)
    ticks = [_ticks(*limits) for limits in bounds]
    left, below = _room(ticks[1])
    width = left + _PANEL + 0.1 + columns * (page.text_width([*names.values()]) + 0.4)
    height = below + _PANEL + 0.1  # half a tick's label stands out at the top
    figure = page.blank(width, height, page.DPI)
    axes = figure.add_axes((left / width, below / height, _PANEL / width, _PANEL / height))
    axes.set(xlim=bounds[0], ylim=bounds[1])
    scatters.scatter(axes, points, classified, names, _PANEL)
    _axis_names(axes, *ticks)
    middle = (below + _PANEL / 2) / height
    scatters.legend(figure, names, columns, "center left", ((left + _PANEL + 0.1) / width, middle))
    return figure


def embeddings(
    images: npt.ArrayLike,
    latents: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
) -> Figure:
    """Codes beside what PCA and t-SNE make of the pixels alone, coloured by class.

    The first panel has the codes themselves where there are two dimensions, else their t-SNE. Each
    t-SNE starts from at most 50 principal components. Ten thousand images take minutes.

    Args:
      images: [N, H, W, C], at least 10, C being 1 or 3; floats in [0, 1] or uint8.
      latents: [N, D], the code of each image, D being at least 2.
      labels: [N], the class of each, whole numbers from 0.
      class_names: The name of each class; without them its number is its name.
      seed: At least 0; the same seed gives the same figure.

    Returns:
      A figure of three panels and one legend.

    Raises:
      ImportError: If scikit-learn is not installed.
      ValueError: If an array has another shape or type, is empty, too short or out of range; if
        the three differ in length; if the images, or codes of more than two dimensions, are all
        the same; or if a label is negative or has no name.

    Example:
      >>> import numpy as np
      >>> draw = np.random.default_rng(0)
      >>> images, latents = draw.uniform(size=[12, 4, 4, 1]), draw.normal(size=[12, 2])
      >>> figure = embeddings(images, latents, np.arange(12) % 3)
      >>> [axes.get_title() for axes in figure.axes]
      ['latents', 'PCA of the pixels', 't-SNE of the pixels']
    """
    pixels, points = _pixels(images), classes.numbers("latents", latents, "[N, D]")
    if points.shape[0] != len(pixels) or points.shape[1] < 2:
        raise ValueError(
            f"latents: wanted [{len(pixels)}, D], D at least 2, got {list(points.shape)}."
        )
    classified, names = classes.checked(labels, len(points), class_names)
    tiles.check_count("seed", seed, 0)
    direct = points.shape[1] == 2
    _check_spread("images", pixels)
    if not direct:
        _check_spread("latents", points)
        if points.shape[1] > 50:
            points = projections.principal_components(points, seed)
        points = projections.t_sne(points, seed)
    components = projections.principal_components(pixels, seed)
    panels = {
        _DIRECT if direct else "t-SNE of the latents": points,
        "PCA of the pixels": components[:, :2],
        "t-SNE of the pixels": projections.t_sne(components, seed),
    }

    return _side_by_side(panels, classified, names)


def latent_square(size: int, limit: float) -> np.ndarray:
    """The points of a square grid over [-limit, limit]^2, row by row from the top.

    Args:
      size: Points along a side, at least 2.
      limit: Above 0.

    Returns:
      [size * size, 2]: in a row z1 rises, and from row to row z2 falls.

    Raises:
      ValueError: If one of the two is too small.

    Example:
      >>> latent_square(2, 3.0).tolist()
      [[-3.0, 3.0], [3.0, 3.0], [-3.0, -3.0], [3.0, -3.0]]
    """
    tiles.check_count("size", size, 2)
    _check_limit(limit)
    steps = np.linspace(-limit, limit, size)
    rising, falling = np.meshgrid(steps, steps[::-1])
    return np.stack([rising.ravel(), falling.ravel()], axis=-1)


def latent_grid(images: npt.ArrayLike, *, limit: float) -> Figure:
    """What the decoder makes of a square of latent space: the manifold that it has learned.

    Args:
      images: [size * size, H, W, C], what the points of `latent_square(size, limit)` are decoded
        to, in their order; C being 1 or 3; floats in [0, 1] or uint8.
      limit: That of the square, above 0.

    Returns:
      A figure of the images without gaps, the middle of each at its z1 and z2.

    Raises:
      ValueError: If the array has another shape or type, is empty, or leaves [0, 1]; if the number
        of images is no square of at least 4; or if the limit is not above 0.

    Example:
      >>> points = latent_square(5, 2.0)
      >>> pixels = (points.sum(axis=1) + 4.0) / 8.0  # a decoder would stand here
      >>> figure = latent_grid(pixels.reshape([25, 1, 1, 1]), limit=2.0)
      >>> figure.axes[0].get_xticks().tolist()
      [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    decoded = tiles.checked("images", images)
    size = math.isqrt(len(decoded))
    if size < 2 or size * size != len(decoded):
        raise ValueError(f"images: wanted size * size of them, size >= 2, got {len(decoded)}.")
    _check_limit(limit)
    picture = tiles.assembled(decoded, size, 0, 1.0)
    edge = limit * size / (size - 1)  # half an image beyond the middle of the outermost
    ticks = _ticks(-limit, limit)
    figure, axes = tiles.single(picture, _room(ticks))
    axes.set(xlim=(-edge, edge), ylim=(-edge, edge))
    tiles.draw(axes, picture, (-edge, edge, -edge, edge))
    _axis_names(axes, ticks, ticks)
    return figure


def _side_by_side(
    panels: Mapping[str, np.ndarray], labels: np.ndarray, names: Mapping[int, str]
) -> Figure:
    """Scatters of points [N, 2] under their titles, over one legend."""
    bounds = {title: scatters.square(points) for title, points in panels.items()}
    ticks = [_ticks(*limits) for limits in bounds.get(_DIRECT, ())]
    left, below = _room(ticks[1]) if ticks else (page.PADDING, page.PADDING)
    side = (page.WIDTH - left - page.PADDING - (len(panels) - 1) * _BETWEEN) / len(panels)
    columns = int(page.WIDTH / (page.text_width([*names.values()]) + 0.4))
    columns = max(1, min(len(names), columns))
    below += page.PADDING + 0.165 * math.ceil(len(names) / columns)
    height = below + side + 0.25  # for the titles
    figure = page.blank(page.WIDTH, height, page.DPI)
    for title, points in panels.items():
        place = (left / page.WIDTH, below / height, side / page.WIDTH, side / height)
        axes = figure.add_axes(place, title=title)
        left += side + _BETWEEN
        axes.title.set_fontsize(page.TEXT)
        axes.set(xlim=bounds[title][0], ylim=bounds[title][1], xticks=[], yticks=[])
        scatters.scatter(axes, points, labels, names, side)
        if title == _DIRECT:  # the numbers of the others mean nothing
            _axis_names(axes, *ticks)
    scatters.legend(figure, names, columns, "lower center", (0.5, page.PADDING / height))
    return figure


def _axis_names(axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    """Names the axes z1 and z2, with ticks at these values."""
    axes.set_xlabel("z1", fontsize=page.TEXT)
    axes.set_ylabel("z2", fontsize=page.TEXT)
    axes.set_xticks(across, [page.number(value) for value in across])
    axes.set_yticks(up, [page.number(value) for value in up])
    axes.tick_params(labelsize=page.TEXT - 1, color=page.GREY, length=3)


def _ticks(low: float, high: float) -> list[float]:
    """Some round numbers from low to high."""
    locator = page.matplotlib("ticker").MaxNLocator(7, steps=[1, 2, 2.5, 5, 10])
    margin = 1e-9 * (high - low)
    return [t for t in locator.tick_values(low, high) if low - margin <= t <= high + margin]


def _room(ticks: Sequence[float]) -> tuple[float, float]:
    """The inches that axis names and tick labels take at the left and below."""
    line = 2.2 * page.TEXT / 72
    return line + page.text_width([page.number(t) for t in ticks]), line + page.TEXT / 72


def _limits(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits, checked."""
    pair = classes.numbers("limits", limits, "[2]")
    if len(pair) != 2 or pair[0] >= pair[1]:
        raise ValueError(f"limits: wanted (low, high), low below high, got {limits!r}.")
    return float(pair[0]), float(pair[1])


def _check_limit(limit: float) -> None:
    if not (isinstance(limit, (int, float, np.number)) and 0 < limit < math.inf):
        raise ValueError(f"limit: wanted a finite number above 0, got {limit!r}.")


def _pixels(images: npt.ArrayLike) -> np.ndarray:
    """The images as [N, H * W * C], enough of them."""
    array = tiles.checked("images", images)
    if len(array) < projections.FEWEST_POINTS or array[0].size < 2:
        raise ValueError(
            f"images: wanted at least {projections.FEWEST_POINTS}, of 2 pixels or more, "
            f"got {list(array.shape)}."
        )
    return array.reshape(len(array), -1)


def _check_spread(argument: str, points: np.ndarray) -> None:
    """Refuses points that are all one, which t-SNE cannot spread."""
    if (points == points[0]).all():
        raise ValueError(f"{argument}: wanted some that differ, got {len(points)} times the same.")
