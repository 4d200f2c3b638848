"""Schedules of the weight of the KL over the steps of the optimizer.

Any `tf_keras.optimizers.schedules.LearningRateSchedule` can be a kl_weight. These two are common
for VAEs, and know at which step the warm-up ends.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks
from tfpvae.saving.constructor_call import constructor_call

_register = tf_keras.saving.register_keras_serializable(package="tfpvae")


@_register
class LinearWarmup(tf_keras.optimizers.schedules.LearningRateSchedule):
    """Schedule that rises linearly from 0 to `weight` and stays there.

    weight * min(step / num_steps, 1) (Bowman et al. 2016, section 3.1; linear: Soenderby et al.
    2016, section 2.1). It keeps the posterior from collapsing to the prior before the decoder has
    learned to use z.

    Args:
      num_steps: steps of the optimizer until the weight is reached, at least 1.
      weight: final weight, at least 0.

    Raises:
      TypeError, ValueError: for other arguments.

    >>> warmup = LinearWarmup(4)
    >>> [float(warmup(step)) for step in (0, 1, 4, 5)]
    [0.0, 0.25, 1.0, 1.0]
    """

    def __init__(self, num_steps: int, weight: float = 1.0):
        self.num_steps = _checks.whole_number("num_steps", num_steps)
        self.weight = _checks.finite_number("weight", weight, minimum=0)

    @property
    def warmup_steps(self) -> int:
        """The first step with the final weight."""
        return self.num_steps

    def __call__(self, step: Any) -> tf.Tensor:
        return self.weight * tf.minimum(_float(step) / self.num_steps, 1.0)

    def __repr__(self) -> str:
        return constructor_call(self, self.get_config())

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"num_steps": self.num_steps, "weight": self.weight}


@_register
class CyclicalWarmup(tf_keras.optimizers.schedules.LearningRateSchedule):
    """Schedule that rises from 0 to `weight` several times, and stays there after the last cycle.

    In each cycle the weight rises through the first `ramp` of the steps and stays for the rest (Fu
    et al. 2019, equation 6).

    Args:
      num_steps: steps of the optimizer in a cycle, at least 1.
      num_cycles: number of cycles, at least 1.
      weight: weight at the end of each cycle, at least 0.
      ramp: fraction of a cycle in which the weight rises, above 0 and at most 1.

    Raises:
      TypeError, ValueError: for other arguments.

    >>> warmup = CyclicalWarmup(4, num_cycles=2)
    >>> [float(warmup(step)) for step in (0, 1, 2, 3, 4, 5, 8)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]
    """

    def __init__(self, num_steps: int, num_cycles: int = 4, weight: float = 1.0, ramp: float = 0.5):
        self.num_steps = _checks.whole_number("num_steps", num_steps)
        self.num_cycles = _checks.whole_number("num_cycles", num_cycles)
        self.weight = _checks.finite_number("weight", weight, minimum=0)
        self.ramp = _checks.finite_number("ramp", ramp, minimum=0)
        if not 0 < self.ramp <= 1:
            raise ValueError(f"ramp: wanted a number above 0 and at most 1, got {ramp!r}.")

    @property
    def warmup_steps(self) -> int:
        """The first step with the final weight."""
        return round(self.num_steps * (self.num_cycles - 1 + self.ramp))

    def __call__(self, step: Any) -> tf.Tensor:
        cycles = _float(step) / self.num_steps
        place = tf.where(cycles < self.num_cycles, cycles % 1.0, 1.0)
        return self.weight * tf.minimum(place / self.ramp, 1.0)

    def __repr__(self) -> str:
        return constructor_call(self, self.get_config())

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "num_steps": self.num_steps,
            "num_cycles": self.num_cycles,
            "weight": self.weight,
            "ramp": self.ramp,
        }


def is_schedule(weight: Any) -> bool:
    """Returns whether a weight is a schedule.

    >>> is_schedule(LinearWarmup(5)), is_schedule(0.5)
    (True, False)
    """
    return isinstance(weight, tf_keras.optimizers.schedules.LearningRateSchedule)


def _float(step: Any) -> tf.Tensor:
    return tf.cast(step, tf_keras.backend.floatx())
