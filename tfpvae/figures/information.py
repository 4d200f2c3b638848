"""Figures of the information in the latents: rate against distortion, and the active units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfpvae.figures import checks, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MIN_VARIANCE = 1e-6  # smaller variances are drawn at the bottom of the figure


def rate_distortion(
    rates: npt.ArrayLike,
    distortions: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws models by their rate and distortion, with thin lines of constant ELBO.

    ELBO = -rate - distortion   (Alemi et al. 2018)

    Args:
      rates: mean KL(q(z|x) || p(z)) of each model in nats, at least 0, [N].
      distortions: mean -log p(x|z) of each model in nats, [N].
      names: text beside each point, such as the kl_weight of its model, or None.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None to fit the contents.
      title: text above the axes, or None.

    Returns:
      A figure of one panel, in which a curve joins the points in the order of their rates.

    Raises:
      ValueError: if an array is empty or has values that are not finite numbers, if the rates,
        the distortions or the names differ in length, if a rate is negative, or if the size is
        not two numbers above 0.
      TypeError: if `ax` is not a `matplotlib.axes.Axes`.

    >>> figure = rate_distortion([2.0, 10.0], [150.0, 110.0], names=["4", "1"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['4', '1']
    """
    x = checks.finite_numbers("rates", rates, "[N]")
    y = checks.finite_numbers("distortions", distortions, "[N]")
    if len(x) != len(y):
        raise ValueError(f"distortions: wanted {len(x)}, one for each rate, got {len(y)}.")
    if x.min() < 0:
        raise ValueError(f"rates: wanted numbers of at least 0, got {x.min()}.")
    if names is not None and len(names) != len(x):
        raise ValueError(f"names: wanted {len(x)}, one for each model, got {len(names)}.")
    figure, axes = page.panel((4.2, 3.4), ax, size, title)
    order = np.argsort(x, kind="stable")
    axes.plot(x[order], y[order], "o-", color=page.BLUE, markersize=4, linewidth=1.5, zorder=3)
    if names is not None:
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": page.TEXT - 1}
        for i in order:
            axes.annotate(names[i], (x[i], y[i]), (4, 4), **style)
    axes.margins(0.15)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    locator = page.matplotlib("ticker").MaxNLocator(nbins=7)
    for level in locator.tick_values(left + low, right + high):
        axes.axline((left, level - left), slope=-1, color=page.GRAY, linewidth=0.4, zorder=1)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.set_xlabel("rate, KL(q(z|x) || p(z)), nats", fontsize=page.TEXT)
    axes.set_ylabel("distortion, \N{MINUS SIGN}log p(x|z), nats", fontsize=page.TEXT)
    page.quiet(axes)
    return figure


def active_units(
    variances: npt.ArrayLike,
    *,
    threshold: float = 0.01,
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the variances of the posterior means of all latent units, in decreasing order.

    Args:
      variances: variance of each unit over images, at least 0, [D], such as the result of
        `tfpvae.evaluation.unit_variances`.
      threshold: variance above which a unit is active, above 0.
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None to fit the contents.
      title: text above the axes; None for the number of active units.

    Returns:
      A figure of one panel with a logarithmic scale: a bar for each unit, active ones in color,
      and a line at the threshold.

    Raises:
      ValueError: if the array is empty or has values that are negative or not finite, or if the
        threshold or the size are not finite numbers above 0.
      TypeError: if `ax` is not a `matplotlib.axes.Axes`.

    >>> figure = active_units([0.9, 1e-4, 0.2])
    >>> figure.axes[0].get_title()
    '2 of 3 units active'
    """
    values = np.sort(checks.finite_numbers("variances", variances, "[D]"))[::-1]
    if values.min() < 0:
        raise ValueError(f"variances: wanted numbers of at least 0, got {values.min()}.")
    checks.positive_number("threshold", threshold)
    bottom = min(_MIN_VARIANCE, threshold / 10)
    active = values > threshold
    figure, axes = page.panel((4.2, 2.8), ax, size, title)
    places = np.arange(1, 1 + len(values))
    colors = [page.BLUE if is_active else page.GRAY for is_active in active]
    heights = np.maximum(values, bottom * 1.3) - bottom  # every unit has a visible bar
    axes.bar(places, heights, 0.8, bottom=bottom, color=colors)
    axes.axhline(threshold, color=page.ORANGE, linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(bottom, 2 * max(values.max(), threshold))
    axes.set_xlim(0.3, len(values) + 0.7)
    axes.xaxis.set_major_locator(
        page.matplotlib("ticker").MaxNLocator(nbins=8, integer=True, min_n_ticks=1)
    )
    if title is None:
        axes.set_title(f"{active.sum()} of {len(values)} units active", fontsize=page.TEXT)
    axes.set_xlabel("latent unit, by its variance", fontsize=page.TEXT)
    axes.set_ylabel("variance of the posterior mean", fontsize=page.TEXT)
    page.quiet(axes)
    axes.tick_params(axis="y", which="minor", length=0)
    return figure
