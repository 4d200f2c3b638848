"""What latents say of images, as figures: rate against distortion, and the active units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfpvae.figures import classes, page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST_VARIANCE = 1e-6  # what is below stands at the foot of the figure


def rate_distortion(
    rates: npt.ArrayLike, distortions: npt.ArrayLike, *, names: Sequence[str] | None = None
) -> Figure:
    """Models as points of rate and distortion, and thin lines of one ELBO each.

    Args:
      rates: [N], the mean KL(q(z|x) || p(z)) of each model in nats, at least 0.
      distortions: [N], the mean -log p(x|z) of each model in nats.
      names: What is written beside each point, such as its kl_weight.

    Returns:
      A figure of one panel, in which the points are joined in the order of their rates. Along a
      thin line ELBO = -rate - distortion is the same.

    Raises:
      ValueError: If an array is empty, or not of finite numbers, if the two differ in length or
        there is not a name for each, or if a rate is negative.

    Example:
      >>> figure = rate_distortion([2.0, 10.0], [150.0, 110.0], names=["4", "1"])
      >>> [text.get_text() for text in figure.axes[0].texts]
      ['4', '1']
    """
    x, y = (
        classes.numbers("rates", rates, "[N]"),
        classes.numbers("distortions", distortions, "[N]"),
    )
    if len(x) != len(y):
        raise ValueError(f"distortions: wanted {len(x)} as there are rates, got {len(y)}.")
    if x.min() < 0:
        raise ValueError(f"rates: wanted numbers of at least 0, got {x.min()}.")
    if names is not None and len(names) != len(x):
        raise ValueError(f"names: wanted {len(x)}, one a model, got {len(names)}.")
    figure = page.blank(4.2, 3.4, page.DPI, layout="constrained")
    axes = figure.subplots()
    order = np.argsort(x, kind="stable")
    axes.plot(x[order], y[order], "o-", color=page.BLUE, markersize=4, linewidth=1.5, zorder=3)
    for place, name in zip(order, [] if names is None else [names[i] for i in order], strict=False):
        axes.annotate(
            name, (x[place], y[place]), (4, 4), textcoords="offset points", fontsize=page.TEXT - 1
        )
    axes.margins(0.15)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    locator = page.matplotlib("ticker").MaxNLocator(nbins=7)
    for level in locator.tick_values(left + low, right + high):
        axes.axline((left, level - left), slope=-1, color=page.GREY, linewidth=0.4, zorder=1)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.set_xlabel("rate, KL(q(z|x) || p(z)), nats", fontsize=page.TEXT)
    axes.set_ylabel("distortion, \N{MINUS SIGN}log p(x|z), nats", fontsize=page.TEXT)
    page.quiet(axes)
    return figure


def active_units(variances: npt.ArrayLike, *, threshold: float = 0.01) -> Figure:
    """The variance of each latent unit's posterior mean, from the largest to the smallest.

    Args:
      variances: [D], at least 0 each, as of `tfpvae.evaluation.unit_variances`.
      threshold: What an active unit's variance is over, above 0.

    Returns:
      A figure of one panel with a logarithmic scale: a bar for each unit, active ones in colour,
      and a line at the threshold.

    Raises:
      ValueError: If the array is empty or not of finite numbers, if one is negative, or if the
        threshold is not above 0.

    Example:
      >>> figure = active_units([0.9, 1e-4, 0.2])
      >>> figure.axes[0].get_title()
      '2 of 3 units active'
    """
    values = np.sort(classes.numbers("variances", variances, "[D]"))[::-1]
    if values.min() < 0:
        raise ValueError(f"variances: wanted numbers of at least 0, got {values.min()}.")
    if not (np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold: wanted a number above 0, got {threshold}.")
    foot = min(_LEAST_VARIANCE, threshold / 10)
    active = values > threshold
    figure = page.blank(4.2, 2.8, page.DPI, layout="constrained")
    axes = figure.subplots()
    places = np.arange(1, 1 + len(values))
    colours = [page.BLUE if is_active else page.GREY for is_active in active]
    heights = np.maximum(values, foot * 1.3) - foot  # so that none is without a bar
    axes.bar(places, heights, 0.8, bottom=foot, color=colours)
    axes.axhline(threshold, color=page.ORANGE, linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(foot, 2 * max(values.max(), threshold))
    axes.set_xlim(0.3, len(values) + 0.7)
    axes.xaxis.set_major_locator(
        page.matplotlib("ticker").MaxNLocator(nbins=8, integer=True, min_n_ticks=1)
    )
    axes.set_title(f"{active.sum()} of {len(values)} units active", fontsize=page.TEXT)
    axes.set_xlabel("latent unit, by its variance", fontsize=page.TEXT)
    axes.set_ylabel("variance of the posterior mean", fontsize=page.TEXT)
    page.quiet(axes)
    axes.tick_params(axis="y", which="minor", length=0)
    return figure
