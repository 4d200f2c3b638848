"""Figures of a training run as curves, and of errors as bars."""

from __future__ import annotations

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


def history(history: Mapping[str, Sequence[float]] | tf_keras.callbacks.History) -> Figure:
    """Curves of the loss and its two terms over the epochs, one panel each.

    Args:
      history: The `History` that `fit` returns. Or lists of one number an epoch, in nats an image,
        under any of the keys "loss", "nll" and "kl" for training and "val_loss", "val_nll" and
        "val_kl" for validation. Keys of other quantities are left out.

    Returns:
      A figure with a panel for each of the quantities present.

    Raises:
      ValueError: If none of the quantities is there, if the lists differ in length or are empty,
        or if a number is not finite.
      TypeError: For something that is neither a `History` nor such lists.

    Example:
      >>> figure = history({"loss": [210.0, 180.0], "val_loss": [205.0, 178.0]})
      >>> [axes.get_title() for axes in figure.axes]
      ['loss']
    """
    curves = _curves(history)
    names = [name for name in _TITLES if name in curves or f"val_{name}" in curves]
    epochs = np.arange(1, 1 + len(next(iter(curves.values()))))
    figure = page.blank(2.1 * len(names) + 0.5, 2.2, page.DPI, layout="constrained")
    panels = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _panel(axes, epochs, curves, name)
    panels[0].set_ylabel("nats an image", fontsize=page.TEXT)
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
    errors: npt.ArrayLike, labels: npt.ArrayLike, *, class_names: Sequence[str] | None = None
) -> Figure:
    """Draws the mean error of each class as a bar, with its standard error as a whisker.

    Args:
      errors: error of each image, such as its mean squared error, at least 0, [N].
      labels: class of each image, integers from 0, [N].
      class_names: name of each class, or None for their numbers.

    Returns:
      A figure with a bar for each class among the labels, and no whisker for a class of one image.

    Raises:
      ValueError: if an array has another shape or type or is empty, if the lengths differ, if an
        error is negative or not finite, or if a label is negative or has no name.

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
    width = min(page.WIDTH, max(2.5, max(0.42, text + 0.1) * len(names) + 0.8))
    # Names wider than the distance of two bars are upright, so that they never overlap.
    is_upright = text > (width - 0.8) / len(names)
    figure = page.blank(width, 2.4 + is_upright * text, page.DPI, layout="constrained")
    axes = figure.subplots()
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
    axes.set_ylabel("mean error", fontsize=page.TEXT)
    page.quiet(axes)
    axes.tick_params(axis="x", length=0, rotation=90 if is_upright else 0)
    return figure


def _curves(history: Any) -> dict[str, np.ndarray]:
    """The curves to draw, checked."""
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
    """The dict of lists that a `History` has, or that came in its place."""
    lists = getattr(history, "history", history)
    if hasattr(lists, "keys") and hasattr(lists, "__getitem__"):  # a DataFrame is no Mapping
        return lists
    wanted = "history: wanted the History that fit returns, or its dict of lists, got"
    if isinstance(history, (list, tuple)) and history:
        if all(isinstance(part, Mapping) for part in history):
            fix = "{name: [epoch[name] for epoch in history] for name in history[0]}"
            raise TypeError(f"{wanted} {len(history)} dicts. If they are an epoch each: {fix}.")
        if all(hasattr(part, "history") for part in history):
            fix = "{'loss': sum((part.history['loss'] for part in history), [])}"
            raise TypeError(f"{wanted} {len(history)} of them. One after the other: {fix}.")
    raise TypeError(f"{wanted} {type(history).__name__}.")


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
