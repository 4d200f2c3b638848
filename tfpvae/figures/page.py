"""Page, text and colors of all figures, and a canvas of exact size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfpvae import _imports

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200  # the lowest resolution
WIDTH, HEIGHT = 7.0, 9.0  # inches, about the largest size
PADDING = 0.05  # inches
TEXT = 9  # points
GRAY = "0.6"  # of axes and ticks

# Two of the Okabe-Ito colors, which color-blind readers and gray prints keep apart.
BLUE, ORANGE = "#0072B2", "#E69F00"


def blank(width: float, height: float, dpi: float, layout: Any = "none") -> Figure:
    """Returns an empty white figure of a size in inches.

    >>> blank(2.0, 1.0, dpi=100).get_size_inches().tolist()
    [2.0, 1.0]
    """
    matplotlib("figure")  # says how to install matplotlib where it is missing
    from tfpvae.figures.shown import Figure

    figure = Figure((width, height), dpi=dpi, layout=layout)
    figure.set_facecolor("white")
    return figure


def canvas(
    size: tuple[float, float], labels: tuple[float, float], dpi: float
) -> tuple[Figure, Axes]:
    """Returns a figure around axes of exactly a size in pixels, with no frame.

    Args:
      size: width and height of the axes, in pixels.
      labels: width of the labels on the left and height of those below, in pixels; 0 without any.
      dpi: resolution in pixels per inch.

    Returns:
      The figure and its axes, with x to the right and y down in pixels.

    >>> figure, axes = canvas((100, 50), (0, 0), dpi=100)
    >>> [float(edge) for edge in (*axes.get_xlim(), *axes.get_ylim())]
    [0.0, 100.0, 50.0, 0.0]
    """
    padding = dpi * PADDING
    left, below = (math.ceil(padding + (room + padding if room else 0)) for room in labels)
    width, height = left + size[0] + math.ceil(padding), below + size[1] + math.ceil(padding)
    figure = blank(width / dpi, height / dpi, dpi)
    axes = figure.add_axes((left / width, below / height, size[0] / width, size[1] / height))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    axes.spines[:].set_visible(False)
    return figure, axes


def quiet(axes: Axes) -> None:
    """Makes the ticks and the left and lower spines gray, and hides the other two spines.

    >>> axes = blank(2.0, 1.0, dpi=100).subplots()
    >>> quiet(axes)
    >>> axes.spines["top"].get_visible()
    False
    """
    axes.tick_params(labelsize=TEXT - 1, color=GRAY, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)


def text_width(labels: Sequence[str]) -> float:
    """Returns the width of the widest label in inches, 0 without labels.

    >>> text_width([]), bool(0.5 < text_width(["rose", "sunflower"]) < 1.0)
    (0.0, True)
    """
    text_path = matplotlib("textpath").TextPath
    paths = [text_path((0, 0), label, size=TEXT) for label in labels if label.strip()]
    return max((path.get_extents().x1 / 72 for path in paths), default=0.0)


def number(value: float, digits: int = 8) -> str:
    """Returns a number as text, with at most `digits` digits and a typographic minus sign.

    >>> number(-0.125, digits=2) == "\N{MINUS SIGN}0.12"
    True
    """
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def matplotlib(module: str) -> Any:
    """Imports a module of matplotlib when a figure first needs it.

    Args:
      module: name of the module in matplotlib, such as "figure".

    Returns:
      The module.

    Raises:
      ImportError: if matplotlib is not installed; the message says how to install it.

    >>> matplotlib("figure").Figure.__name__
    'Figure'
    """
    return _imports.load(f"matplotlib.{module}", "figures")
