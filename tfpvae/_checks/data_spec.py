"""The shape of an example, and the values that a likelihood is of."""

from typing import NamedTuple

import numpy as np

_LARGEST = float(np.finfo(np.float32).max)  # infinity is no number to train on


class Support(NamedTuple):
    """Values of data.

    Attributes:
      low: the least value.
      high: the largest value.
      is_whole: whether values are whole numbers.
      is_one_hot: whether the last axis holds one 1, or probabilities.
      divides_bytes: whether uint8 are pixels of 8 bits, which are divided by 255.
    """

    low: float = -_LARGEST
    high: float = _LARGEST
    is_whole: bool = False
    is_one_hot: bool = False
    divides_bytes: bool = False


UNIT_INTERVAL = Support(0.0, 1.0, divides_bytes=True)
# Draws of a normal lie outside [0, 1]; pixels of 0 to 255 lie far outside.
NEAR_UNIT_INTERVAL = Support(-10.0, 11.0, divides_bytes=True)
REAL = Support()
NONNEGATIVE = Support(low=0.0)
COUNTS = Support(low=0.0, is_whole=True)
ONE_HOT = Support(0.0, 1.0, is_one_hot=True)


class DataSpec(NamedTuple):
    """The shape and the values of the examples that a VAE takes.

    Attributes:
      shape: of one example, such as (H, W, C) of an image or (F,) of the row of a table.
      support: the values.
      allows_missing: whether NaN stands for a value that is missing.

    >>> DataSpec((28, 28, 1)).noun, DataSpec((30,), REAL).values
    ('images', 'finite numbers')
    """

    shape: tuple[int, ...]
    support: Support = UNIT_INTERVAL
    allows_missing: bool = False

    @property
    def is_of_images(self) -> bool:
        """Whether an example has the shape of an image, (H, W, C)."""
        return len(self.shape) == 3

    def shape_of(self, rank: int | None, is_floating: bool) -> tuple[int, ...]:
        """Returns the shape of one example of an array; that of ids where they stand for one-hot.

        Args:
          rank: of the array [B, ...], None if unknown.
          is_floating: whether its dtype is.

        >>> DataSpec((7, 4), ONE_HOT).shape_of(rank=2, is_floating=False)
        (7,)
        """
        are_ids = self.support.is_one_hot and not is_floating and rank == len(self.shape)
        return self.shape[:-1] if are_ids else self.shape

    def ids(self) -> "DataSpec":
        """Returns the spec of the ids that may stand for one-hot vectors.

        >>> DataSpec((7, 4), ONE_HOT).ids().values
        'whole numbers from 0 to 3'
        """
        return self._replace(
            shape=self.shape[:-1], support=Support(0.0, self.shape[-1] - 1.0, is_whole=True)
        )

    @property
    def noun(self) -> str:
        """The word for the examples in messages."""
        return "images" if self.is_of_images else "examples"

    @property
    def sides(self) -> str:
        """The sides of an example as text, such as "28, 28, 1"."""
        return ", ".join(map(str, self.shape))

    @property
    def values(self) -> str:
        """The words for the values in messages."""
        support = self.support
        if support.is_one_hot:
            return "one-hot vectors"
        if support.is_whole:
            has_end = support.high < _LARGEST
            return f"whole numbers{f' from 0 to {support.high:.0f}' if has_end else ', 0 or more'}"
        if support == NONNEGATIVE:
            return "finite numbers, 0 or more"
        if support == REAL:
            return "finite numbers"
        noun = "pixels" if self.is_of_images else "numbers"
        low, high = (0, 1) if support == NEAR_UNIT_INTERVAL else support[:2]
        return f"{noun} in [{low:g}, {high:g}]"
