"""Page, text and colors of all figures, and a canvas of exact size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfpvae import _imports
from tfpvae.figures import checks

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


def panel(
    default_size: tuple[float, float],
    ax: Axes | None,
    size: tuple[float, float] | None,
    title: str | None,
) -> tuple[Figure, Axes]:
    """Returns the figure and the axes of a figure that has one panel.

    Args:
      default_size: width and height of a new figure, in inches.
      ax: axes to draw on, or None for those of a new figure.
      size: width and height of the new figure, in inches, or None for the default.
      title: text above the axes, or None.

    Raises:
      TypeError: if `ax` is not a `matplotlib.axes.Axes`.
      ValueError: if the size is not two numbers above 0, or is given with `ax`.

    >>> figure, axes = panel((2.0, 1.0), None, None, "digits")
    >>> figure.get_size_inches().tolist(), axes.get_title()
    ([2.0, 1.0], 'digits')
    """
    check_panel(ax, size)
    if ax is None:
        figure = blank(*(size or default_size), DPI, layout="constrained")
        axes = figure.subplots()
    else:
        figure, axes = root(ax), ax
    if title is not None:
        axes.set_title(title, fontsize=TEXT)
    return figure, axes


def check_panel(ax: Any, size: Any) -> None:
    """Checks the arguments `ax` and `size` of a figure that has one panel."""
    if ax is None:
        if size is not None:
            checks.size(size)
        return
    if not isinstance(ax, matplotlib("axes").Axes):
        raise TypeError(f"ax: wanted a matplotlib.axes.Axes, got {ax!r}.")
    if size is not None:
        raise ValueError(f"size: wanted None beside ax, whose figure has a size, got {size!r}.")


def root(axes: Axes) -> Any:
    """Returns the figure that axes are in, that of a subfigure too."""
    figure: Any = axes.figure
    while getattr(figure, "figure", figure) is not figure:
        figure = figure.figure
    return figure


def inches_across(axes: Axes) -> float:
    """Returns the width of axes in inches.

    >>> axes = blank(2.0, 1.0, dpi=100).add_axes((0, 0, 0.5, 1))
    >>> round(inches_across(axes), 6)
    1.0
    """
    return float(axes.get_window_extent().width / root(axes).dpi)


def canvas(
    size: tuple[float, float], labels: tuple[float, float], dpi: float, title: str | None = None
) -> tuple[Figure, Axes]:
    """Returns a figure around axes of exactly a size in pixels, with no frame.

    Args:
      size: width and height of the axes, in pixels.
      labels: width of the labels on the left and height of those below, in pixels; 0 without any.
      dpi: resolution in pixels per inch.
      title: text above the axes, or None.

    Returns:
      The figure and its axes, with x to the right and y down in pixels.

    >>> figure, axes = canvas((100, 50), (0, 0), dpi=100)
    >>> [float(edge) for edge in (*axes.get_xlim(), *axes.get_ylim())]
    [0.0, 100.0, 50.0, 0.0]
    """
    padding = dpi * PADDING
    left, below = (math.ceil(padding + (room + padding if room else 0)) for room in labels)
    above = math.ceil(padding if title is None else 0.3 * dpi)
    width, height = left + size[0] + math.ceil(padding), below + size[1] + above
    figure = blank(width / dpi, height / dpi, dpi)
    axes = figure.add_axes((left / width, below / height, size[0] / width, size[1] / height))
    _frame(axes, size, title)
    return figure, axes


def pixels(
    canvas_size: tuple[float, float],
    labels: tuple[float, float],
    dpi: float,
    ax: Axes | None,
    size: tuple[float, float] | None,
    title: str | None,
) -> tuple[Figure, Axes]:
    """Returns a figure and axes for pixels: a `canvas`, or a `panel` if `ax` or `size` is set.

    Args:
      canvas_size: width and height of the pixels.
      labels: see `canvas`.
      dpi: see `canvas`.
      ax: see `panel`.
      size: see `panel`.
      title: text above the axes, or None.

    >>> figure, axes = pixels((100, 50), (0, 0), 100, None, (3.0, 2.0), None)
    >>> figure.get_size_inches().tolist(), [float(edge) for edge in axes.get_xlim()]
    ([3.0, 2.0], [0.0, 100.0])
    """
    if ax is None and size is None:
        return canvas(canvas_size, labels, dpi, title)
    figure, axes = panel((1.0, 1.0), ax, size, None)
    _frame(axes, canvas_size, title)
    return figure, axes


def _frame(axes: Axes, size: tuple[float, float], title: str | None) -> None:
    """Sets the limits of axes of pixels, hides their frame, and adds a title."""
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    axes.spines[:].set_visible(False)
    if title is not None:
        axes.set_title(title, fontsize=TEXT)


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
