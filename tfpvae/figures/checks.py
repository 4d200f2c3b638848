"""Checks of arguments that figures alone have; `tfpvae._checks` has the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfpvae import _checks

Pixels = npt.NDArray[Any]  # checked images, floats in [0, 1]


def images(argument: str, values: npt.ArrayLike, *shapes: str) -> Pixels:
    """Returns images as floats in [0, 1].

    Args:
      argument: name of the argument, for messages.
      values: images, float in [0, 1] or uint8, of one of the shapes.
      *shapes: shapes to accept, by their number of axes; [N, H, W, C] without any.

    Returns:
      The images as an array, uint8 ones divided by 255.

    Raises:
      TypeError: if the images are neither floats nor uint8.
      ValueError: if the images have another shape, are empty, or have pixels outside of [0, 1].

    >>> images("images", np.full([1, 2, 2, 1], 51, np.uint8))[0, ..., 0].tolist()
    [[0.2, 0.2], [0.2, 0.2]]
    """
    array = np.asarray(_checks.as_dense(argument, values))
    shapes = shapes or ("[N, H, W, C]",)
    ranks = [len(shape.split(",")) for shape in shapes]
    if array.ndim not in ranks or array.shape[-1] not in (1, 3) or array.size == 0:
        raise ValueError(
            f"{argument}: wanted {' or '.join(shapes)} with C 1 or 3 and nothing empty, "
            f"got {list(array.shape)}."
        )
    image_shape = array.shape[-3:]
    _checks.array(argument, array.reshape(-1, *image_shape), _checks.DataSpec(image_shape))
    return array / 255.0 if array.dtype == np.uint8 else array


def finite_numbers(argument: str, values: npt.ArrayLike, shape: str) -> np.ndarray:
    """Returns finite numbers as an array of floats.

    Args:
      argument: name of the argument, for messages.
      values: integers or floats.
      shape: shape to accept, by its number of axes, such as "[N, D]".

    Returns:
      The numbers, float64.

    Raises:
      ValueError: if the values have another number of axes, are empty, or are not finite numbers.

    >>> finite_numbers("errors", [1, 2], "[N]").tolist()
    [1.0, 2.0]
    """
    array = np.asarray(_checks.as_dense(argument, values))
    if array.ndim != len(shape.split(",")) or array.size == 0:
        raise ValueError(f"{argument}: wanted {shape} with nothing empty, got {list(array.shape)}.")
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{argument}: wanted numbers, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{argument}: wanted finite numbers, got NaN or infinity among them.")
    return array.astype(float)


def positive_number(argument: str, value: Any) -> None:
    """Checks that a value is a finite number above 0.

    Raises:
      ValueError: if it is not.

    >>> positive_number("limit", 3.0)
    """
    if not (isinstance(value, (int, float, np.number)) and 0 < value < math.inf):
        raise ValueError(f"{argument}: wanted a finite number above 0, got {value!r}.")


def size(value: Any) -> None:
    """Checks that a value is a width and a height, in inches.

    Raises:
      ValueError: if it is not two finite numbers above 0.

    >>> size((4.0, 3.0))
    """
    try:
        width, height = value
        positive_number("size", width)
        positive_number("size", height)
    except (TypeError, ValueError):
        raise ValueError(
            f"size: wanted (width, height) in inches, above 0, got {value!r}."
        ) from None


def labels(
    values: npt.ArrayLike, count: int, class_names: Sequence[str] | None
) -> tuple[np.ndarray, dict[int, str]]:
    """Returns the labels as an array, and the name of each class among them.

    Args:
      values: class of each point, integers of at least 0, [count].
      count: number of points.
      class_names: name of each class, or None for their numbers.

    Returns:
      The labels, and a dict from each class among them to its name, in the order of the classes.

    Raises:
      ValueError: if the labels have another shape or type, or one of them is negative or has no
        name.

    >>> labels([2, 0, 2], 3, ["daisy", "rose", "tulip"])[1]
    {0: 'daisy', 2: 'tulip'}
    """
    array = np.asarray(_checks.as_dense("labels", values))
    if array.shape != (count,):
        raise ValueError(f"labels: wanted [{count}], one for each point, got {list(array.shape)}.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels: wanted whole numbers, got {array.dtype}.")
    if array.min() < 0:
        raise ValueError(f"labels: wanted whole numbers of at least 0, got {array.min()}.")
    classes = [int(label) for label in np.unique(array)]
    if class_names is None:
        return array, {label: str(label) for label in classes}
    if isinstance(class_names, str):
        raise ValueError(f"class_names: wanted a list of names, got the text {class_names!r}.")
    if classes[-1] >= len(class_names):
        raise ValueError(
            f"labels: wanted whole numbers below {len(class_names)}, one for each of class_names, "
            f"got {classes[-1]}."
        )
    return array, {label: str(class_names[label]) for label in classes}


def quantity(
    values: npt.ArrayLike | None, count: int, class_names: Sequence[str] | None
) -> np.ndarray | None:
    """Returns labels that are a quantity, floats [count], as an array; None for any others.

    Raises:
      ValueError: if there are more or fewer floats, one is not finite, or classes are named.

    >>> quantity([0.5, 2.0], 2, None).tolist(), quantity([0, 2], 2, None)
    ([0.5, 2.0], None)
    """
    if values is None or np.asarray(_checks.as_dense("labels", values)).dtype.kind != "f":
        return None
    numbers = finite_numbers("labels", values, "[N]")
    if len(numbers) != count:
        raise ValueError(f"labels: wanted [{count}], one for each point, got {[len(numbers)]}.")
    if class_names is not None:
        raise ValueError("labels: wanted whole numbers beside class_names, got floats.")
    return numbers


def texts(argument: str, values: Sequence[object] | None, count: int, owner: str) -> list[str]:
    """Returns one text for each of several things.

    Args:
      argument: name of the argument, for messages.
      values: values to write as text, or None for no texts.
      count: number of values.
      owner: what each value belongs to, for messages, such as "step".

    Returns:
      The texts, none for None.

    Raises:
      ValueError: if there are more or fewer values, or they are a text themselves.

    >>> texts("labels", [0.5, "end"], 2, "step")
    ['0.5', 'end']
    """
    if values is None:
        return []
    if isinstance(values, str):
        raise ValueError(
            f"{argument}: wanted {count}, one for each {owner}, got the text {values!r}."
        )
    result = [str(value) for value in values]
    if len(result) != count:
        raise ValueError(f"{argument}: wanted {count}, one for each {owner}, got {len(result)}.")
    return result
