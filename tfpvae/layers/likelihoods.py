"""Layers that end a decoder: p(x|z)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability.python.layers.internal import distribution_tensor_coercible

from tfpvae import _checks
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
      has_bounds: whether draws lie in [0, 1].
    """

    scores: str
    locations = 1
    has_bounds = True

    @property
    def event_shape(self) -> tuple[int, ...]:
        return shape_of(self._event_shape)

    def call(self, inputs, *args, **kwargs):
        outputs = super().call(inputs, *args, **kwargs)
        distribution = outputs[0] if isinstance(outputs, tuple) else outputs
        distribution.__class__ = _CoerciblePixels
        return outputs


class _CoerciblePixels(distribution_tensor_coercible._TensorCoercible):
    """Distribution of tfp.layers that keeps uint8 pixels, of which its base makes floats."""

    def _call_log_prob(self, value, name, **kwargs):
        return super()._call_log_prob(_keep_bytes(value), name, **kwargs)

    def _call_prob(self, value, name, **kwargs):
        return super()._call_prob(_keep_bytes(value), name, **kwargs)


def _keep_bytes(value: Any) -> Any:
    is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8
    return tf.convert_to_tensor(value) if is_bytes else value


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


class PixelDistribution(tfd.Independent):
    """Independent distributions of pixels in [0, 1], whose log_prob takes images as a VAE does.

    uint8 pixels are divided by 255. Images of another shape, which would be broadcast, raise an
    error, and so do pixels outside [0, 1]; inside a graph these are not looked at.
    """

    has_bounds = True  # whether pixels outside [0, 1] are impossible

    def _log_prob(self, x, **kwargs):
        return super()._log_prob(self._pixels(x), **kwargs)

    def _prob(self, x, **kwargs):  # which the coercible distribution of tfp.layers asks for
        return tf.exp(self._log_prob(x, **kwargs))

    def _pixels(self, x: tf.Tensor) -> tf.Tensor:
        """Returns images as floats; raises unless they are what this distribution is of."""
        self._check_shape(x.shape)
        if x.dtype == tf.uint8 and self.dtype != tf.uint8:
            return tf.cast(x, _float_of(self.dtype)) / 255
        if self.has_bounds and not tf.is_symbolic_tensor(x) and tf.size(x) > 0:
            low, high = tf.reduce_min(x).numpy(), tf.reduce_max(x).numpy()
            if not (low >= 0 and high <= 1):
                raise ValueError(_checks.out_of_range("value", low, high))
        return x

    def _check_shape(self, shape: tf.TensorShape) -> None:
        event = self.event_shape
        if not event.rank or not shape.rank:  # one number stands for all pixels
            return
        if not shape[-event.rank :].is_compatible_with(event):
            hint = " Add the channel axis: images[..., None]." if event[-1] == 1 else ""
            raise ValueError(
                f"value: wanted images [..., {', '.join(map(str, event))}], got shape "
                f"{tuple(shape)}.{hint}"
            )


class UnboundedPixelDistribution(PixelDistribution):
    """The same of distributions whose draws may lie outside [0, 1]."""

    has_bounds = False


def _float_of(dtype: tf.DType) -> tf.DType:
    return dtype if dtype.is_floating else tf.as_dtype(tf_keras.backend.floatx())


class Bernoullis(PixelDistribution):
    """Independent Bernoullis, given by finite logits, whose log_prob takes a third of the time.

    More than half of the time of a dense VAE goes into the logarithms and exponentials of that of
    TensorFlow Probability, two of each a value. Here it is one sigmoid:
    log p(x) = sum [x l - max(l, 0)] + log prod sigmoid(|l|).
    """

    def _log_prob(self, x, **kwargs):
        del kwargs  # of other distributions
        logits = self.distribution.logits
        x = tf.cast(self._pixels(x), logits.dtype)
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
            return PixelDistribution(bernoulli, len(shape_of(event_shape)))

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of logits an example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))
