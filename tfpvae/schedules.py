"""Schedules of the weight of the KL over the steps of the optimizer.

Any `tf_keras.optimizers.schedules.LearningRateSchedule` can be a kl_weight. These two are common
for VAEs, know at which step the warm-up ends, and take its length in steps or in epochs.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.saving.constructor_call import constructor_call

_register = tf_keras.saving.register_keras_serializable(package="tfpvae")


class Warmup(tf_keras.optimizers.schedules.LearningRateSchedule):
    """Schedule whose length is in steps, or in epochs of the first `fit`.

    Attributes:
      num_steps: steps of the optimizer; None until the first `fit` says how long an epoch is.
      num_epochs: the same length in epochs; None if it was given in steps.
      weight: the final weight.
    """

    def __init__(self, num_steps: int | None, num_epochs: int | None, weight: float):
        if (num_steps is None) is (num_epochs is None):
            raise ValueError(
                f"num_steps: wanted a number of steps, or num_epochs in its place, got {num_steps} "
                f"and num_epochs {num_epochs}."
            )
        self.num_steps, self.num_epochs = num_steps, num_epochs
        if num_epochs is None:
            self.num_steps = _checks.whole_number("num_steps", num_steps)
        else:
            self.num_epochs = _checks.whole_number("num_epochs", num_epochs)
        self.weight = _checks.finite_number("weight", weight, minimum=0)

    def begin(self, steps_per_epoch: int | None) -> bool:
        """Converts epochs to steps; returns whether the number of steps changed.

        Args:
          steps_per_epoch: of the data; None if unknown.

        Raises:
          ValueError: if epochs cannot be converted.

        >>> warmup = LinearWarmup(num_epochs=3)
        >>> warmup.begin(steps_per_epoch=50), warmup.num_steps
        (True, 150)
        """
        if self.num_epochs is None:
            return False
        if steps_per_epoch is None:
            raise ValueError(
                f"kl_weight: wanted num_steps for data of unknown length, got {self!r}. "
                "fit(steps_per_epoch=...) makes epochs of a known length."
            )
        before, self.num_steps = self.num_steps, self.num_epochs * steps_per_epoch
        return self.num_steps != before

    def __call__(self, step: Any) -> tf.Tensor:
        if self.num_steps is not None:
            return self.weight * self._share(_float(step), self.num_steps)
        # Epochs have no length before `fit`: NaN rather than a weight that nobody asked for.
        is_last = _float(step) >= float(tf.int32.max)
        return tf.where(is_last, self.weight, tf.where(_float(step) == 0, 0.0, float("nan")))

    def _share(self, step: tf.Tensor, num_steps: int) -> tf.Tensor:
        """Returns the fraction of the weight at a step."""
        raise NotImplementedError

    def __repr__(self) -> str:
        config = self.get_config()
        if self.num_epochs is not None:
            del config["num_steps"]
        return constructor_call(self, config)

    def get_config(self) -> dict:
        """Returns the constructor's arguments, and the steps that epochs have become."""
        epochs = {} if self.num_epochs is None else {"num_epochs": self.num_epochs}
        return {"num_steps": self.num_steps, "weight": self.weight, **epochs}

    @classmethod
    def from_config(cls, config: dict) -> "Warmup":
        """Makes the schedule that `get_config` described."""
        if config.get("num_epochs") is None:
            return cls(**config)
        schedule = cls(**config | {"num_steps": None})
        schedule.num_steps = config.get("num_steps")
        return schedule


@_register
class LinearWarmup(Warmup):
    """Schedule that rises linearly from 0 to `weight` and stays there.

    weight * min(step / num_steps, 1) (Bowman et al. 2016, section 3.1; linear: Soenderby et al.
    2016, section 2.1). It keeps the posterior from collapsing to the prior before the decoder has
    learned to use z.

    Args:
      num_steps: steps of the optimizer until the weight is reached, at least 1; None with
        `num_epochs`.
      weight: final weight, at least 0.
      num_epochs: epochs until the weight is reached, at least 1, in place of `num_steps`. The first
        `fit` with an optimizer converts them to steps.

    Raises:
      TypeError, ValueError: for other arguments.

    >>> warmup = LinearWarmup(4)
    >>> [float(warmup(step)) for step in (0, 1, 4, 5)]
    [0.0, 0.25, 1.0, 1.0]
    >>> LinearWarmup(num_epochs=10)
    LinearWarmup(num_epochs=10)
    """

    def __init__(
        self, num_steps: int | None = None, weight: float = 1.0, *, num_epochs: int | None = None
    ):
        super().__init__(num_steps, num_epochs, weight)

    @property
    def warmup_steps(self) -> int:
        """The first step with the final weight; 0 until epochs are converted to steps."""
        return self.num_steps or 0

    def _share(self, step: tf.Tensor, num_steps: int) -> tf.Tensor:
        return tf.minimum(step / num_steps, 1.0)


@_register
class CyclicalWarmup(Warmup):
    """Schedule that rises from 0 to `weight` several times, and stays there after the last cycle.

    In each cycle the weight rises through the first `ramp` of the steps and stays for the rest (Fu
    et al. 2019, equation 6).

    Args:
      num_steps: steps of the optimizer in a cycle, at least 1; None with `num_epochs`.
      num_cycles: number of cycles, at least 1.
      weight: weight at the end of each cycle, at least 0.
      ramp: fraction of a cycle in which the weight rises, above 0 and at most 1.
      num_epochs: epochs in a cycle, at least 1, in place of `num_steps`. The first `fit` with an
        optimizer converts them to steps.

    Raises:
      TypeError, ValueError: for other arguments.

    >>> warmup = CyclicalWarmup(4, num_cycles=2)
    >>> [float(warmup(step)) for step in (0, 1, 2, 3, 4, 5, 8)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]
    """

    def __init__(
        self,
        num_steps: int | None = None,
        num_cycles: int = 4,
        weight: float = 1.0,
        ramp: float = 0.5,
        *,
        num_epochs: int | None = None,
    ):
        super().__init__(num_steps, num_epochs, weight)
        self.num_cycles = _checks.whole_number("num_cycles", num_cycles)
        self.ramp = _checks.finite_number("ramp", ramp, minimum=0)
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp: wanted a number above 0 and at most 1, got {ramp!r}.")

    @property
    def warmup_steps(self) -> int:
        """The first step with the final weight; 0 until epochs are converted to steps."""
        return round((self.num_steps or 0) * (self.num_cycles - 1 + self.ramp))

    def _share(self, step: tf.Tensor, num_steps: int) -> tf.Tensor:
        cycles = step / num_steps
        place = tf.where(cycles < self.num_cycles, cycles % 1.0, 1.0)
        return tf.minimum(place / self.ramp, 1.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments, and the steps that epochs have become."""
        config = super().get_config()
        own = {"num_cycles": self.num_cycles, "weight": self.weight, "ramp": self.ramp}
        return {"num_steps": config.pop("num_steps"), **own, **config}


def is_schedule(weight: Any) -> bool:
    """Returns whether a weight is a schedule.

    >>> is_schedule(LinearWarmup(5)), is_schedule(0.5)
    (True, False)
    """
    return isinstance(weight, tf_keras.optimizers.schedules.LearningRateSchedule)


def _float(step: Any) -> tf.Tensor:
    return tf.cast(step, tf_keras.backend.floatx())
