"""Figures of a training run as curves, and of errors as bars."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfpvae.figures import checks, page

if TYPE_CHECKING:
    import tf_keras
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {"loss": "loss", "nll": "negative log-likelihood", "kl": "KL divergence"}


def history(
    history: Mapping[str, Sequence[float]] | tf_keras.callbacks.History,
    *,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Draws curves of the loss and its two terms over the epochs, one panel each.

    Args:
      history: the `History` that `fit` returns; or lists of one number per epoch, in nats per
        image, under any of the keys "loss", "nll" and "kl" for training and "val_loss", "val_nll"
        and "val_kl" for validation. Other keys are left out.
      size: (width, height) of the figure in inches, or None to fit the panels.

    Returns:
      A figure with a panel for each of the quantities present.

    Raises:
      ValueError: if none of the quantities is there, if the lists differ in length or are empty,
        if a number is not finite, or if the size is not two numbers above 0.
      TypeError: if `history` is neither a `History` nor such lists.

    >>> figure = history({"loss": [210.0, 180.0], "val_loss": [205.0, 178.0]})
    >>> [axes.get_title() for axes in figure.axes]
    ['loss']
    """
    curves = _curves(history)
    names = [name for name in _TITLES if name in curves or f"val_{name}" in curves]
    epochs = np.arange(1, 1 + len(next(iter(curves.values()))))
    if size is not None:
        checks.size(size)
    width, height = size or (2.1 * len(names) + 0.5, 2.2)
    figure = page.blank(width, height, page.DPI, layout="constrained")
    panels = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _panel(axes, epochs, curves, name)
    panels[0].set_ylabel("nats per image", fontsize=page.TEXT)
    handles = {str(line.get_label()): line for axes in panels for line in axes.lines}
    figure.legend(
        handles=list(handles.values()),
        loc="outside upper center",
        ncols=2,
        frameon=False,
        fontsize=page.TEXT,
    )
    return figure


def error_by_class(
    errors: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    name: str = "error",
    ax: Axes | None = None,
    size: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the mean error of each class as a bar, with its standard error as a whisker.

    Args:
      errors: error of each image, such as its mean squared error, at least 0, [N].
      labels: class of each image, integers from 0, [N].
      class_names: name of each class, or None for their numbers.
      name: of the error, with its unit, such as "squared error of a pixel".
      ax: axes to draw on, or None for a figure of its own.
      size: (width, height) of that figure in inches, or None to fit the contents.
      title: text above the axes, or None.

    Returns:
      A figure with a bar for each class among the labels, and no whisker for a class of one image.
      Below the classes it has how many images they have.

    Raises:
      TypeError: if `ax` is not a `matplotlib.axes.Axes`.
      ValueError: if an array has another shape or type or is empty, if the lengths differ, if an
        error is negative or not finite, if a label is negative or has no name, or if the size is
        not two numbers above 0.

    >>> figure = error_by_class([1.0, 3.0, 4.0], [0, 0, 1], class_names=["rose", "tulip"])
    >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
    [2.0, 4.0]
    """
    values = checks.finite_numbers("errors", errors, "[N]")
    if values.min() < 0:
        raise ValueError(f"errors: wanted numbers of at least 0, got {values.min()}.")
    classes, names = checks.labels(labels, len(values), class_names)
    groups = [values[classes == label] for label in names]
    means = [group.mean() for group in groups]
    whiskers = [
        group.std(ddof=1) / np.sqrt(group.size) if group.size > 1 else 0.0 for group in groups
    ]
    text = page.text_width([*names.values()])
    page.check_panel(ax, size)
    default = min(page.WIDTH, max(2.5, max(0.42, text + 0.1) * len(names) + 0.8))
    width = page.inches_across(ax) if ax is not None else (size[0] if size else default) - 0.8
    # Names wider than the distance of two bars are upright, so that they never overlap.
    is_upright = text > width / len(names)
    figure, axes = page.panel((default, 2.55 + is_upright * text), ax, size, title)
    places = np.arange(len(names))
    axes.bar(places, means, 0.7, color=page.BLUE)
    several = [place for place in places if groups[place].size > 1]
    axes.errorbar(
        several,
        [means[place] for place in several],
        yerr=[whiskers[place] for place in several],
        fmt="none",
        ecolor="0.15",
        elinewidth=0.8,
        capsize=2,
        capthick=0.8,
    )
    axes.set_xticks(places, list(names.values()))
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(bottom=0.0)
    label = textwrap.fill(f"mean {name} \N{PLUS-MINUS SIGN} standard error", 30)
    axes.set_ylabel(label, fontsize=page.TEXT)
    axes.set_xlabel(_counts([group.size for group in groups]), fontsize=page.TEXT - 1)
    page.quiet(axes)
    axes.tick_params(axis="x", length=0, rotation=90 if is_upright else 0)
    return figure


def _counts(counts: Sequence[int]) -> str:
    """Returns how many images the classes have, as text.

    >>> _counts([8, 8]), _counts([1, 1]), _counts([3, 8])
    ('8 images per class', '1 image per class', '3 to 8 images per class')
    """
    low, high = min(counts), max(counts)
    span = str(low) if low == high else f"{low} to {high}"
    return f"{span} image{'' if high == 1 else 's'} per class"


def _curves(history: Any) -> dict[str, np.ndarray]:
    """Returns the curves to draw, checked."""
    lists = _lists(history)
    keys = [prefix + name for name in _TITLES for prefix in ("", "val_")]
    curves = {key: _numbers(key, lists[key]) for key in keys if key in lists}
    if not curves:
        raise ValueError(f"history: wanted some of {keys}, got {list(lists)}.")
    first, epochs = next((key, curve.size) for key, curve in curves.items())
    for key, curve in curves.items():
        if curve.ndim != 1 or curve.size == 0:
            raise ValueError(
                f"history[{key!r}]: wanted one number for each of 1 or more epochs, "
                f"got the shape {curve.shape}."
            )
        if curve.size != epochs:
            raise ValueError(
                f"history[{key!r}]: wanted {epochs} epochs as in {first!r}, got {curve.size}."
            )
        if not np.isfinite(curve).all():
            epoch = int(np.argmin(np.isfinite(curve)))
            raise ValueError(
                f"history[{key!r}]: wanted finite numbers, got {curve[epoch]} in epoch {epoch + 1}."
            )
    return curves


def _lists(history: Any) -> Mapping[str, Any]:
    """Returns the lists of a `History`, or the lists themselves."""
    lists = getattr(history, "history", history)
    if hasattr(lists, "keys") and hasattr(lists, "__getitem__"):  # a DataFrame is no Mapping
        return lists
    prefix = "history: wanted the History that fit returns, or its dict of lists, got"
    if isinstance(history, (list, tuple)) and history:
        if all(isinstance(part, Mapping) for part in history):
            fix = "{name: [epoch[name] for epoch in history] for name in history[0]}"
            raise TypeError(f"{prefix} {len(history)} dicts. If they are an epoch each: {fix}.")
        if all(hasattr(part, "history") for part in history):
            fix = "{'loss': sum((part.history['loss'] for part in history), [])}"
            raise TypeError(f"{prefix} {len(history)} of them. One after the other: {fix}.")
    raise TypeError(f"{prefix} {type(history).__name__}.")


def _numbers(key: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(
            f"history[{key!r}]: wanted one number for each epoch, got {str(values)[:50]}."
        ) from None


def _panel(axes: Axes, epochs: np.ndarray, curves: Mapping[str, np.ndarray], name: str) -> None:
    """Draws one quantity's training and validation curves."""
    locator = page.matplotlib("ticker").MaxNLocator
    # Few epochs have a marker each; many are only a line.
    style: dict[str, Any] = {"marker": "o" if epochs.size <= 12 else "", "markersize": 3.5}
    for key, label, color in (
        (name, "training", page.BLUE),
        (f"val_{name}", "validation", page.ORANGE),
    ):
        if key in curves:
            axes.plot(epochs, curves[key], color=color, label=label, linewidth=1.5, **style)
    axes.set_title(_TITLES[name], fontsize=page.TEXT)
    axes.set_xlabel("epoch", fontsize=page.TEXT)
    steps = [1, 2, 5, 10]
    axes.set_xlim(0.5, epochs.size + 0.5)
    axes.xaxis.set_major_locator(locator(nbins=5, steps=steps, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(locator(nbins=5, steps=steps))
    axes.ticklabel_format(axis="y", useOffset=False)
    page.quiet(axes)
