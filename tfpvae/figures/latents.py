"""Figures of latent space: the codes of images, and the images decoded from its points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfpvae import _checks
from tfpvae.figures import checks, page, projections, scatters, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 3.6  # inches
_BETWEEN = 0.12  # inches
_DIRECT = "latents"  # title of the panel whose axes are the latent dimensions


def latent_scatter(
    latents: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws two-dimensional codes as points, colored by class or by a quantity.

    Args:
      latents: code of each image, such as the mean of q(z|x), [N, 2].
      labels: class of each image, integers from 0, [N]; or a quantity, floats [N], for continuous
        colors and a color bar; or None for one color.
      class_names: name of each class, or None for their numbers.
      limits: (low, high) of both axes; points outside are not drawn, and the figure says how many.
        None for all points.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for a square panel.
      title: text above the axes, or None.

    Returns:
      A figure of one panel, with a legend or a color bar beside it. The panel has the name of each
      class at or near the median of its points, unless the names would hide the points.

    Raises:
      TypeError: if `ax` is not a `matplotlib.axes.Axes`.
      ValueError: if an array has another shape or type, is empty, or has NaN or infinity; if the
        lengths differ; if a label is negative or has no name; or if the limits are not two finite
        numbers in increasing order, or the size not two numbers above 0.

    >>> figure = latent_scatter([[0.0, 1.0], [2.0, -1.0]], [0, 1], class_names=["rose", "tulip"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['rose', 'tulip']
    """
    points = checks.finite_numbers("latents", latents, "[N, 2]")
    if points.shape[1] != 2:
        raise ValueError(f"latents: wanted [N, 2], got {list(points.shape)}.")
    values = checks.quantity(labels, len(points), class_names)
    is_by_class = values is None and labels is not None
    classes, names = (
        checks.labels(labels, len(points), class_names)
        if labels is not None and is_by_class
        else (np.zeros(len(points), int), {0: ""})
    )
    bounds = scatters.square(points) if limits is None else (_limits(limits),) * 2
    page.check_panel(ax, size)
    if ax is None:
        columns = math.ceil(len(names) / 15) if is_by_class else 0
        beside = columns * (page.text_width([*names.values()]) + 0.4) if is_by_class else 0.0
        axes = _panel(bounds, size, title, beside if values is None else 0.7)
    else:
        axes, columns = ax, 1
        axes.set(xlim=bounds[0], ylim=bounds[1])
    if title is not None:
        axes.set_title(title, fontsize=page.TEXT)
    _axis_names(axes, *(_ticks(*pair) for pair in bounds))
    inches = page.inches_across(axes)
    if values is None:
        scatters.scatter(axes, points, classes, names, inches)
    else:
        scatters.colored(axes, points, values)
    _count_outside(axes, points)
    figure: Figure = page.root(axes)
    if is_by_class and ax is None:
        box, gap = axes.get_position(), 0.1 / figure.get_size_inches()[0]
        place = (box.x1 + gap, (box.y0 + box.y1) / 2)
        scatters.legend(figure, names, columns, "center left", place)
    elif is_by_class:
        scatters.legend(axes, names, columns, "center left", (1 + 0.1 / inches, 0.5))
    return figure


def embeddings(
    images: npt.ArrayLike,
    latents: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
) -> Figure:
    """Draws codes beside the PCA and the t-SNE of the pixels, colored by class.

    The first panel has the codes themselves if they have two dimensions, and their t-SNE if they
    have more. Each t-SNE starts from at most 50 principal components. Ten thousand images take
    minutes.

    Args:
      images: float in [0, 1] or uint8, [N, H, W, C], N at least 10, C 1 or 3.
      latents: code of each image, [N, D], D at least 2.
      labels: class of each image, integers from 0, [N].
      class_names: name of each class, or None for their numbers.
      seed: an int, at least 0; the same seed gives the same figure.

    Returns:
      A figure of three panels and one legend.

    Raises:
      ImportError: if scikit-learn is not installed.
      TypeError: if the images are neither float nor uint8, or the seed is not an integer.
      ValueError: if an array has another shape or type, is empty, too short or out of range; if
        the lengths differ; if all images, or all codes of more than two dimensions, are equal; if
        a label is negative or has no name; or if the seed is negative.

    >>> rng = np.random.default_rng(0)
    >>> images, latents = rng.uniform(size=[12, 4, 4, 1]), rng.normal(size=[12, 2])
    >>> figure = embeddings(images, latents, np.arange(12) % 3)
    >>> [axes.get_title() for axes in figure.axes]
    ['latents', 'PCA of the pixels', 't-SNE of the pixels']
    """
    pixels, points = _pixels(images), checks.finite_numbers("latents", latents, "[N, D]")
    if points.shape[0] != len(pixels) or points.shape[1] < 2:
        raise ValueError(
            f"latents: wanted [{len(pixels)}, D], D at least 2, got {list(points.shape)}."
        )
    classes, names = checks.labels(labels, len(points), class_names)
    _checks.whole_number("seed", seed, minimum=0)
    is_direct = points.shape[1] == 2
    _check_spread("images", pixels)
    if not is_direct:
        _check_spread("latents", points)
        if points.shape[1] > 50:
            points = projections.principal_components(points, seed)
        points = projections.t_sne(points, seed)
    components = projections.principal_components(pixels, seed)
    panels = {
        _DIRECT if is_direct else "t-SNE of the latents": points,
        "PCA of the pixels": components[:, :2],
        "t-SNE of the pixels": projections.t_sne(components, seed),
    }
    return _side_by_side(panels, classes, names)


def latent_square(size: int, limit: float) -> np.ndarray:
    """Returns the points of a square grid over [-limit, limit]^2, row by row from the top.

    Args:
      size: number of points along a side, at least 2.
      limit: half the side of the square, above 0.

    Returns:
      The points, [size * size, 2]. z1 increases along a row, and z2 decreases from row to row.

    Raises:
      TypeError: if `size` is not an integer.
      ValueError: if `size` is below 2, or `limit` is not a finite number above 0.

    >>> latent_square(2, 3.0).tolist()
    [[-3.0, 3.0], [3.0, 3.0], [-3.0, -3.0], [3.0, -3.0]]
    """
    _checks.whole_number("size", size, minimum=2)
    checks.positive_number("limit", limit)
    steps = np.linspace(-limit, limit, size)
    z1, z2 = np.meshgrid(steps, steps[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=-1)


def latent_grid(
    images: npt.ArrayLike,
    *,
    limit: float,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the images decoded from a square of latent space: the learned manifold.

    Args:
      images: images decoded from the points of `latent_square(size, limit)`, float in [0, 1] or
        uint8, [size * size, H, W, C], C 1 or 3.
      limit: limit of the square, above 0.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None for whole pixels of the images.
      title: text above the images, or None.

    Returns:
      A figure of the images without gaps, with the center of each image at its z1 and z2.

    Raises:
      TypeError: if the images are neither float nor uint8.
      ValueError: if the array has another shape, is empty, or has pixels outside of [0, 1]; if the
        number of images is not a square number of at least 4; or if `limit` is not a finite number
        above 0.

    >>> points = latent_square(5, 2.0)
    >>> pixels = (points.sum(axis=1) + 4.0) / 8.0  # in place of a decoder
    >>> figure = latent_grid(pixels.reshape([25, 1, 1, 1]), limit=2.0)
    >>> figure.axes[0].get_xticks().tolist()
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    pixels = checks.images("images", images)
    side = math.isqrt(len(pixels))
    if side < 2 or side * side != len(pixels):
        raise ValueError(f"images: wanted size * size images, size at least 2, got {len(pixels)}.")
    checks.positive_number("limit", limit)
    page.check_panel(ax, size)
    picture = tiles.assembled(pixels, side, 0, 1.0)
    edge = limit * side / (side - 1)  # half an image outside of the outermost centers
    ticks = _ticks(-limit, limit)
    figure, axes = tiles.single(picture, _room(ticks), ax, size, title)
    axes.set(xlim=(-edge, edge), ylim=(-edge, edge))
    tiles.draw(axes, picture, (-edge, edge, -edge, edge))
    axes.set_box_aspect(picture.shape[0] / picture.shape[1])
    _axis_names(axes, ticks, ticks)
    return figure


def _panel(
    bounds: tuple[tuple[float, float], tuple[float, float]],
    size: tuple[float, float] | None,
    title: str | None,
    beside: float,
) -> Axes:
    """Returns the axes of a new figure, with space for a legend of some inches beside them."""
    left, below = _room(_ticks(*bounds[1]))
    above = 0.1 if title is None else 0.3  # the label of the top tick is half outside of the panel
    default = (left + _PANEL + 0.1 + beside, below + _PANEL + above)
    width, height = size or default
    across, up = width - left - 0.1 - beside, height - below - above
    if min(across, up) < 0.5:
        raise ValueError(f"size: wanted inches for a panel and its labels, got {size!r}.")
    figure = page.blank(width, height, page.DPI)
    place = (left / width, below / height, across / width, up / height)
    return figure.add_axes(place, xlim=bounds[0], ylim=bounds[1])


def _count_outside(axes: Axes, points: np.ndarray) -> None:
    """Adds to the label of z1 how many points [N, 2] are outside of the limits, if any."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    outside = int(((points < low) | (points > high)).any(axis=1).sum())
    if outside:
        axes.set_xlabel(f"z1 ({outside} of {len(points)} points outside)", fontsize=page.TEXT)


def _side_by_side(
    panels: Mapping[str, np.ndarray], labels: np.ndarray, names: Mapping[int, str]
) -> Figure:
    """Draws panels of points [N, 2], each below its title, and one legend."""
    bounds = {title: scatters.square(points) for title, points in panels.items()}
    ticks = [_ticks(*limits) for limits in bounds.get(_DIRECT, ())]
    left, below = _room(ticks[1]) if ticks else (page.PADDING, page.PADDING)
    side = (page.WIDTH - left - page.PADDING - (len(panels) - 1) * _BETWEEN) / len(panels)
    columns = int(page.WIDTH / (page.text_width([*names.values()]) + 0.4))
    columns = max(1, min(len(names), columns))
    below += page.PADDING + 0.165 * math.ceil(len(names) / columns)
    height = below + side + 0.25  # with the titles
    figure = page.blank(page.WIDTH, height, page.DPI)
    for title, points in panels.items():
        place = (left / page.WIDTH, below / height, side / page.WIDTH, side / height)
        axes = figure.add_axes(place, title=title)
        left += side + _BETWEEN
        axes.title.set_fontsize(page.TEXT)
        axes.set(xlim=bounds[title][0], ylim=bounds[title][1], xticks=[], yticks=[])
        scatters.scatter(axes, points, labels, names, side)
        if title == _DIRECT:  # the axes of the other panels have no meaning
            _axis_names(axes, *ticks)
    scatters.legend(figure, names, columns, "lower center", (0.5, page.PADDING / height))
    return figure


def _axis_names(axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    """Labels the axes z1 and z2, and sets their ticks."""
    axes.set_xlabel("z1", fontsize=page.TEXT)
    axes.set_ylabel("z2", fontsize=page.TEXT)
    axes.set_xticks(across, [page.number(value) for value in across])
    axes.set_yticks(up, [page.number(value) for value in up])
    axes.tick_params(labelsize=page.TEXT - 1, color=page.GRAY, length=3)


def _ticks(low: float, high: float) -> list[float]:
    """Returns up to eight round numbers from low to high."""
    locator = page.matplotlib("ticker").MaxNLocator(7, steps=[1, 2, 2.5, 5, 10])
    margin = 1e-9 * (high - low)
    return [t for t in locator.tick_values(low, high) if low - margin <= t <= high + margin]


def _room(ticks: Sequence[float]) -> tuple[float, float]:
    """Returns the space of axis and tick labels on the left and below, in inches."""
    line = 2.2 * page.TEXT / 72
    return line + page.text_width([page.number(t) for t in ticks]), line + page.TEXT / 72


def _limits(limits: tuple[float, float]) -> tuple[float, float]:
    """Returns the limits as floats, checked."""
    pair = checks.finite_numbers("limits", limits, "[2]")
    if len(pair) != 2 or pair[0] >= pair[1]:
        raise ValueError(f"limits: wanted (low, high), low below high, got {limits!r}.")
    return float(pair[0]), float(pair[1])


def _pixels(images: npt.ArrayLike) -> np.ndarray:
    """Returns the images as [N, H * W * C], checked."""
    array = checks.images("images", images)
    if len(array) < projections.MIN_POINTS or array[0].size < 2:
        raise ValueError(
            f"images: wanted at least {projections.MIN_POINTS}, of 2 pixels or more, "
            f"got {list(array.shape)}."
        )
    return array.reshape(len(array), -1)


def _check_spread(argument: str, points: np.ndarray) -> None:
    """Checks that not all points are equal, which t-SNE requires."""
    if (points == points[0]).all():
        raise ValueError(
            f"{argument}: wanted at least two that differ, got {len(points)} equal ones."
        )
