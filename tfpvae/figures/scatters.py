"""Points in the plane, coloured by class, with the names of the classes beside them."""

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
_MOST_NAMED = 0.2  # how much of a panel the names may hide; with more, only the legend has them


def scatter(
    axes: Axes, points: np.ndarray, labels: np.ndarray, names: Mapping[int, str], inches: float
) -> None:
    """Draws the points and the names of their classes, on axes so many inches wide."""
    # In a mixed order, so that no class lies on top of the others.
    order = np.random.default_rng(0).permutation(len(points))
    points, labels = points[order], labels[order]
    size, alpha = (3.0, 0.5) if len(points) > 3000 else (8.0, 0.7) if len(points) > 500 else (16, 1)
    markers = np.array([classes.marker(label) for label in labels])
    for marker in classes.MARKERS:
        drawn = markers == marker
        if drawn.any():
            axes.scatter(
                points[drawn, 0],
                points[drawn, 1],
                s=size,
                c=[classes.colour(label) for label in labels[drawn]],
                marker=marker,
                alpha=alpha,
                linewidths=0,
                rasterized=True,
            )
    _name(axes, points, labels, names, inches)
    axes.spines[:].set_color(page.GREY)


def _name(
    axes: Axes, points: np.ndarray, labels: np.ndarray, names: Mapping[int, str], inches: float
) -> None:
    """Writes the name of each class at the median of its points in view, or near it."""
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    inside = ((points >= low) & (points <= high)).all(axis=1)
    seen = [label for label in names if (inside & (labels == label)).any()]
    widths = np.array([1.2 * page.text_width([names[label]]) for label in seen])  # in bold
    if not seen or widths.sum() * _LINE > _MOST_NAMED * inches**2:
        return
    medians = np.array([np.median(points[inside & (labels == label)], axis=0) for label in seen])
    scale = inches / (high - low)
    edges = np.stack([widths, np.full(len(seen), _LINE)], axis=-1) / 2
    places = np.clip((medians - low) * scale, edges, inches - edges)
    places = low + np.clip(_apart(places, widths), edges, inches - edges) / scale
    outline = page.matplotlib("patheffects").withStroke(linewidth=2.2, foreground="white")
    style: dict[str, Any] = {"fontsize": page.TEXT, "fontweight": "bold"}
    style |= {"ha": "center", "va": "center", "path_effects": [outline]}
    for (x, y), label in zip(places, seen, strict=True):
        axes.text(x, y, names[label], **style)


def _apart(places: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Moves texts of these widths up and down, a little at a time, until they hide none other."""
    places = places.copy()
    close = np.abs(np.subtract.outer(places[:, 0], places[:, 0])) < np.add.outer(widths, widths) / 2
    rank = np.lexsort([places[:, 0], places[:, 1]]).argsort()  # who goes up, of two at one height
    above = np.sign(np.subtract.outer(rank, rank))
    for _ in range(100):
        overlap = _LINE - np.abs(np.subtract.outer(places[:, 1], places[:, 1]))
        places[:, 1] += 0.25 * (above * close * np.maximum(overlap, 0.0)).sum(axis=1)
    return places


def legend(
    figure: Figure, names: Mapping[int, str], columns: int, corner: str, place: tuple[float, float]
) -> None:
    """Draws one entry for each class, opaque and large enough to tell."""
    line = page.matplotlib("lines").Line2D
    style: dict[str, Any] = {"loc": corner, "bbox_to_anchor": place, "ncols": columns}
    figure.legend(
        handles=[
            line(
                [],
                [],
                linestyle="",
                marker=classes.marker(label),
                markersize=5,
                markeredgewidth=0,
                color=classes.colour(label),
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
    """Limits of x and of y, equally far apart, with all points well inside."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.54 * (high - low).max()
    half = half if half > 0 else 1.0  # all points are one
    x, y = ((float(m - half), float(m + half)) for m in middle)
    return x, y
