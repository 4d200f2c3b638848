"""Points in the plane, colored by class, with the names of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfpvae.figures import classes, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL = page.TEXT - 1.5  # points
_LINE = 1.1 * page.TEXT / 72  # inches
_MAX_NAMED = 0.2  # fraction of a panel that names may hide; else only the legend has them


def scatter(
    axes: Axes, points: np.ndarray, labels: np.ndarray, names: Mapping[int, str], inches: float
) -> None:
    """Draws points and the names of their classes.

    Args:
      axes: axes to draw on, with their limits set.
      points: [N, 2].
      labels: class of each point, [N].
      names: name of each class.
      inches: width and height of the axes.

    >>> axes = page.blank(2.0, 2.0, dpi=100).add_axes((0, 0, 1, 1), xlim=(-1, 1), ylim=(-1, 1))
    >>> points = np.array([[-0.5, 0.0], [0.5, 0.0]])
    >>> scatter(axes, points, np.array([0, 1]), {0: "rose", 1: "tulip"}, inches=2.0)
    >>> [text.get_text() for text in axes.texts]
    ['rose', 'tulip']
    """
    # A random order keeps any class from covering the others.
    order = np.random.default_rng(0).permutation(len(points))
    points, labels = points[order], labels[order]
    size, alpha = _style(len(points))
    markers = np.array([classes.marker(label) for label in labels])
    for marker in classes.MARKERS:
        has_marker = markers == marker
        if has_marker.any():
            axes.scatter(
                points[has_marker, 0],
                points[has_marker, 1],
                s=size,
                c=[classes.color(label) for label in labels[has_marker]],
                marker=marker,
                alpha=alpha,
                linewidths=0,
                rasterized=True,
            )
    _name(axes, points, labels, names, inches)
    axes.spines[:].set_color(page.GRAY)


def colored(axes: Axes, points: np.ndarray, values: np.ndarray) -> None:
    """Draws points colored by a quantity, with a color bar.

    Args:
      axes: axes to draw on, with their limits set.
      points: [N, 2].
      values: quantity of each point, [N].

    >>> axes = page.blank(2.0, 2.0, dpi=100).subplots()
    >>> colored(axes, np.zeros([3, 2]), np.arange(3.0))
    >>> axes.collections[0].get_array().tolist()
    [0.0, 1.0, 2.0]
    """
    size, alpha = _style(len(points))
    x, y = points.T
    style: dict[str, Any] = {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": True}
    drawn = axes.scatter(x, y, c=values, cmap="viridis", **style)
    bar = axes.inset_axes((1.03, 0.0, 0.04, 1.0))
    page.root(axes).colorbar(drawn, cax=bar)
    bar.tick_params(labelsize=page.TEXT - 1, color=page.GRAY, length=3)
    axes.spines[:].set_color(page.GRAY)


def _style(count: int) -> tuple[float, float]:
    """Returns the size of points, in square points of print, and their opacity."""
    return (3.0, 0.5) if count > 3000 else (8.0, 0.7) if count > 500 else (16.0, 1.0)


def _name(
    axes: Axes, points: np.ndarray, labels: np.ndarray, names: Mapping[int, str], inches: float
) -> None:
    """Writes the name of each class at or near the median of its visible points."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    inside = ((points >= low) & (points <= high)).all(axis=1)
    visible = [label for label in names if (inside & (labels == label)).any()]
    widths = np.array([1.2 * page.text_width([names[label]]) for label in visible])  # in bold
    if not visible or widths.sum() * _LINE > _MAX_NAMED * inches**2:
        return
    medians = np.array([np.median(points[inside & (labels == label)], axis=0) for label in visible])
    scale = inches / (high - low)
    edges = np.stack([widths, np.full(len(visible), _LINE)], axis=-1) / 2
    places = np.clip((medians - low) * scale, edges, inches - edges)
    places = low + np.clip(_apart(places, widths), edges, inches - edges) / scale
    outline = page.matplotlib("patheffects").withStroke(linewidth=2.2, foreground="white")
    style: dict[str, Any] = {"fontsize": page.TEXT, "fontweight": "bold"}
    style |= {"ha": "center", "va": "center", "path_effects": [outline]}
    for (x, y), label in zip(places, visible, strict=True):
        axes.text(x, y, names[label], **style)


def _apart(places: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Returns the places of texts, moved up and down in small steps until none overlap."""
    places = places.copy()
    close = np.abs(np.subtract.outer(places[:, 0], places[:, 0])) < np.add.outer(widths, widths) / 2
    rank = np.lexsort([places[:, 0], places[:, 1]]).argsort()  # which of two texts moves up
    above = np.sign(np.subtract.outer(rank, rank))
    for _ in range(100):
        overlap = _LINE - np.abs(np.subtract.outer(places[:, 1], places[:, 1]))
        places[:, 1] += 0.25 * (above * close * np.maximum(overlap, 0.0)).sum(axis=1)
    return places


def legend(
    owner: Figure | Axes,
    names: Mapping[int, str],
    columns: int,
    corner: str,
    place: tuple[float, float],
) -> None:
    """Draws a legend with one entry for each class.

    Args:
      owner: figure or axes to draw on.
      names: name of each class.
      columns: number of columns.
      corner: corner of the legend at the place, such as "center left".
      place: x and y in the figure or the axes, as fractions of them.

    >>> figure = page.blank(2.0, 2.0, dpi=100)
    >>> legend(figure, {0: "rose", 1: "tulip"}, 1, "center left", (0.0, 0.5))
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['rose', 'tulip']
    """
    line = page.matplotlib("lines").Line2D
    style: dict[str, Any] = {"loc": corner, "bbox_to_anchor": place, "ncols": columns}
    owner.legend(
        handles=[
            line(
                [],
                [],
                linestyle="",
                marker=classes.marker(label),
                markersize=5,
                markeredgewidth=0,
                color=classes.color(label),
                label=name,
            )
            for label, name in names.items()
        ],
        **style,
        borderpad=0,
        borderaxespad=0,
        frameon=False,
        fontsize=_SMALL,
        handletextpad=0.1,
        columnspacing=1.0,
    )


def square(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns limits of x and of y, equally far apart, around all points [N, 2].

    >>> square(np.array([[0.0, 0.0], [10.0, 5.0]]))
    ((-0.4..., 10.4...), (-2.9..., 7.9...))
    """
    low, high = points.min(axis=0), points.max(axis=0)
    center, half = (low + high) / 2, 0.54 * (high - low).max()
    half = half if half > 0 else 1.0  # all points are equal
    x, y = ((float(c - half), float(c + half)) for c in center)
    return x, y
