"""What the figures share: the page, its text and colours, and a canvas of exact size."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The least resolution; and, in inches, about the most that a figure takes.
DPI = 200
WIDTH, HEIGHT = 7.0, 9.0
PADDING = 0.05
TEXT = 9  # points
GREY = "0.6"  # of axes and ticks

# Two of the Okabe-Ito colours: told apart by colour-blind readers and in grey print.
BLUE, ORANGE = "#0072B2", "#E69F00"


def blank(width: float, height: float, dpi: float, layout: str = "none") -> Figure:
    """An empty figure, its sides in inches."""
    figure: Figure = matplotlib("figure").Figure((width, height), dpi=dpi, layout=layout)
    figure.set_facecolor("white")
    return figure


def canvas(
    size: tuple[float, float], labels: tuple[float, float], dpi: float
) -> tuple[Figure, Axes]:
    """A figure around axes of exactly that size, with room for labels at the left and below."""
    padding = dpi * PADDING
    left, below = (math.ceil(padding + (room + padding if room else 0)) for room in labels)
    width, height = left + size[0] + math.ceil(padding), below + size[1] + math.ceil(padding)
    figure = blank(width / dpi, height / dpi, dpi)
    axes = figure.add_axes((left / width, below / height, size[0] / width, size[1] / height))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    axes.spines[:].set_visible(False)
    return figure, axes


def quiet(axes: Axes) -> None:
    """Makes ticks and the two axes thin and grey, and takes the frame's other two sides away."""
    axes.tick_params(labelsize=TEXT - 1, color=GREY, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)


def text_width(labels: Sequence[str]) -> float:
    """The width of the widest label, in inches."""
    text_path = matplotlib("textpath").TextPath
    paths = [text_path((0, 0), label, size=TEXT) for label in labels if label.strip()]
    return max((path.get_extents().x1 / 72 for path in paths), default=0.0)


def number(value: float, digits: int = 8) -> str:
    """A number to so many digits as it is written in a figure, with a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def matplotlib(module: str) -> Any:
    """One of matplotlib's modules, imported no earlier than a figure is asked for."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ImportError(
            'figures: wanted matplotlib, got none installed; pip install "tfpvae[figures]".'
        ) from error
