"""Beta distribution of 8-bit pixels."""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

_HALF_LEVEL = 1 / 512


class PixelBeta(tfd.Beta):
    """Beta distribution that is asked for 8-bit pixels, those of 0 and 1 among them.

    There its density is infinite or 0. A level of 8 bits stands for an interval of numbers, so
    log_prob takes pixels into [1/512, 1 - 1/512], the middles of the first and the last of 256
    equal ones. It is a density on [1/512, 1 - 1/512], and constant beyond.
    """

    def _log_prob(self, x):
        return super()._log_prob(tf.clip_by_value(x, _HALF_LEVEL, 1 - _HALF_LEVEL))
