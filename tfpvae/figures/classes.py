"""Classes in figures: their labels, checked, with a colour, a marker and a name each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Ten that stay apart for those who see no red or no green; their distances are tested.
COLOURS = (
    "#5FA2CE",
    "#FC7D0B",
    "#332288",
    "#EECC66",
    "#BD1F01",
    "#92DADD",
    "#AA4499",
    "#000000",
    "#CC6677",
    "#785EF0",
)
MARKERS = ("o", "^", "s", "D", "v")  # the next one after every ten classes


def colour(label: int) -> str:
    """The colour of a class."""
    return COLOURS[label % len(COLOURS)]


def marker(label: int) -> str:
    """The marker of a class."""
    return MARKERS[label // len(COLOURS) % len(MARKERS)]


def checked(
    labels: npt.ArrayLike, count: int, class_names: Sequence[str] | None
) -> tuple[np.ndarray, dict[int, str]]:
    """The labels, and the name of each class that is among them, in their order."""
    array = np.asarray(labels)
    if array.shape != (count,):
        raise ValueError(f"labels: wanted [{count}], one for each, got {list(array.shape)}.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels: wanted whole numbers, got {array.dtype}.")
    if array.min() < 0:
        raise ValueError(f"labels: wanted whole numbers of at least 0, got {array.min()}.")
    found = [int(label) for label in np.unique(array)]
    if class_names is None:
        return array, {label: str(label) for label in found}
    if isinstance(class_names, str):
        raise ValueError(f"class_names: wanted a list of names, got the text {class_names!r}.")
    if found[-1] >= len(class_names):
        raise ValueError(
            f"labels: wanted whole numbers below {len(class_names)}, one for each of class_names, "
            f"got {found[-1]}."
        )
    return array, {label: str(class_names[label]) for label in found}


def numbers(argument: str, values: npt.ArrayLike, shape: str) -> np.ndarray:
    """The values as floats; raises unless they are finite and of that shape, and some."""
    array = np.asarray(values)
    if array.ndim != len(shape.split(",")) or array.size == 0:
        raise ValueError(f"{argument}: wanted {shape} with nothing empty, got {list(array.shape)}.")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{argument}: wanted numbers, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{argument}: wanted finite numbers, got NaN or infinity among them.")
    return array.astype(float)
