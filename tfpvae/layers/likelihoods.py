"""Layers that end a decoder: p(x|z)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.layers.distribution_layer import DistributionLayer, register, shape_of, to_events

tfd = tfp.distributions
tfpl = tfp.layers

# What log_prob is: see LikelihoodLayer.scores.
BINARY_MASS = "binary_mass"
DENSITY = "density"
MASS = "mass"


class LikelihoodLayer(DistributionLayer):
    """A layer that ends a decoder; what `build_decoder` and a VAE have to know of it.

    Its input is [B, H * W * V], flattened [H, W, V]: V values for each pixel, the locations (what
    the mean goes by) first, V = params_size(event_shape) / (H * W).

    Attributes:
      scores: what log_prob is the log of. "binary_mass": the probability of pixels that are 0 or 1.
        "density": a density of pixels in [0, 1], in units of that interval. "mass": the probability
        of pixels that have one of the 256 levels of 8 bits. Numbers of one kind compare with each
        other; a density and a mass of the same 8-bit pixels do after log 256 is taken off the
        density's, pixel for pixel and channel for channel.
      locations: how many locations a channel has: one, or one a component of a mixture.
      event_shape: of one draw, such as image_shape.
    """

    scores: str
    locations = 1

    @property
    def event_shape(self) -> tuple[int, ...]:
        return shape_of(self._event_shape)


def channels_last(event_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Returns an event shape as a tuple; raises unless it has an axis of channels."""
    shape = shape_of(event_shape)
    if not shape:
        raise ValueError(f"event_shape: wanted at least one side, got {event_shape!r}.")
    return shape


def positive(raw: tf.Tensor, start: float, floor: float) -> tf.Tensor:
    """Returns softplus(raw + c) + floor, with c such that raw = 0 gives start + floor."""
    return tf.math.softplus(raw + math.log(math.expm1(start))) + floor


@tf.custom_gradient
def _sum_log1p_exp(logits: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """Returns sum log(1 + e^-|l|) = -sum log sigmoid(|l|) over the last axis, by products.

    A factor is at least 1/2, so that 100 of them do not underflow.
    """
    size = logits.shape[-1]
    group = max(divisor for divisor in range(1, 101) if size % divisor == 0)
    factors = tf.sigmoid(tf.abs(logits))
    factors = tf.reshape(factors, tf.concat([tf.shape(logits)[:-1], [size // group, group]], 0))
    total = -tf.reduce_sum(tf.math.log(tf.reduce_prod(factors, axis=-1)), axis=-1)

    def gradient(upstream):  # TensorFlow's own of a product is slow; at 0 it is that of l < 0
        small = tf.sigmoid(-tf.abs(logits))
        return upstream[..., tf.newaxis] * tf.where(logits > 0, -small, small)

    return total, gradient


class Bernoullis(tfd.Independent):
    """Independent Bernoullis, given by finite logits, whose log_prob takes a third of the time.

    More than half of the time of a dense VAE goes into the logarithms and exponentials of that of
    TensorFlow Probability, two of each a value. Here it is one sigmoid:
    log p(x) = sum [x l - max(l, 0)] + log prod sigmoid(|l|).
    """

    def _log_prob(self, x):
        logits = self.distribution.logits
        x = tf.cast(x, logits.dtype)
        event = len(self.event_shape)
        flat = tf.concat([self.batch_shape_tensor(), [self.event_shape.num_elements()]], axis=0)
        logits = tf.reshape(logits, flat)
        if x.shape.num_elements() == logits.shape[-1]:  # one image for all: no product as large
            # And max(l, 0) = l / 2 + |l| / 2, of which |l| is there already.
            linear = tf.linalg.matvec(logits, tf.reshape(x, [-1]) - 0.5)
            linear -= 0.5 * tf.reduce_sum(tf.abs(logits), axis=-1)
        else:
            x = tf.reshape(x, tf.concat([tf.shape(x)[: len(x.shape) - event], flat[-1:]], axis=0))
            linear = tf.reduce_sum(x * logits - tf.nn.relu(logits), axis=-1)
        return linear - _sum_log1p_exp(logits)


@register
class IndependentBernoulli(LikelihoodLayer, tfpl.IndependentBernoulli):
    """Layer that turns prod(event_shape) logits an example into independent Bernoullis.

    For binary pixels a probability mass. With grey pixels in [0, 1] its log_prob is the
    cross-entropy, which is no density.

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape
    TensorShape([3, 2, 2, 1])
    """

    scores = BINARY_MASS

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        if sample_dtype is not None:
            sample_dtype = tf.as_dtype(sample_dtype).name
        super().__init__(
            lambda t: IndependentBernoulli.new(t, event_shape, sample_dtype, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._sample_dtype = sample_dtype

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        dtype: Any = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """Returns Independent(Bernoulli) from logits [..., prod(event_shape)]."""
        with tf.name_scope(name or "IndependentBernoulli"):
            logits = to_events(params, event_shape)
            dtype = dtype or logits.dtype
            bernoulli = tfd.Bernoulli(logits, dtype=dtype, validate_args=validate_args)
            return Bernoullis(bernoulli, len(shape_of(event_shape)))

    def get_config(self) -> dict:
        return {**super().get_config(), "sample_dtype": self._sample_dtype}


# The Bernoulli numbers B_2, B_4, ..., B_16.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


class ContinuousBernoulli(tfd.ContinuousBernoulli):
    """The distribution of TensorFlow Probability, with a variance that has a gradient.

    Theirs takes cosh(logit), which overflows: from |logit| = 89 on in float32, and 711 in float64,
    the gradient is NaN. In float64 their series about 0 also ends too early for where it is used.
    """

    def _variance(self):
        """1 / logit^2 - 1 / (4 sinh(logit / 2)^2), and its series where the two cancel."""
        logits = self._logits_parameter_no_checks()
        small = tf.abs(logits) < 1  # cancellation costs some 10 eps here; the series errs by 1e-13
        away = tf.where(small, tf.ones_like(logits), tf.abs(logits))
        exact = 1 / away**2 - tf.exp(-away) / tf.math.expm1(-away) ** 2
        terms = [b * (2 * k + 1) / math.factorial(2 * k + 2) for k, b in enumerate(_BERNOULLI)]
        near = tf.where(small, logits, tf.zeros_like(logits))
        series = tf.math.polyval([tf.constant(t, logits.dtype) for t in terms[::-1]], near**2)
        return tf.where(small, series, exact)


@register
class IndependentContinuousBernoulli(LikelihoodLayer):
    """Layer that turns prod(event_shape) logits an example into continuous Bernoullis.

    A density on [0, 1]: p(x) = C(l) l^x (1 - l)^(1 - x) with l = sigmoid(logit). Its mean is not l
    (Loaiza-Ganem and Cunningham 2019, equation 7).

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentContinuousBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> float(likelihood.mean()[0, 0, 0, 0])
    0.5
    """

    scores = DENSITY

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            lambda t: IndependentContinuousBernoulli.new(t, event_shape, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """Returns Independent(ContinuousBernoulli) from logits [..., prod(event_shape)]."""
        with tf.name_scope(name or "IndependentContinuousBernoulli"):
            logits = to_events(params, event_shape)
            bernoulli = ContinuousBernoulli(logits, dtype=logits.dtype, validate_args=validate_args)
            return tfd.Independent(bernoulli, len(shape_of(event_shape)))

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of logits an example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))
