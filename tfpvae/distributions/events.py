"""Independent distributions of values, whose log_prob takes examples as a VAE does."""

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks

tfd = tfp.distributions


class EventDistribution(tfd.Independent):
    """Independent distributions of values, whose log_prob takes no examples of another shape.

    They would be broadcast.
    """

    def _log_prob(self, x, **kwargs):
        return super()._log_prob(self._values(x), **kwargs)

    def _prob(self, x, **kwargs):  # which the coercible distribution of tfp.layers asks for
        return tf.exp(self._log_prob(x, **kwargs))

    def _values(self, x: tf.Tensor) -> tf.Tensor:
        """Returns examples as floats; raises unless they are what this distribution is of."""
        self._check_shape(x.shape)
        return x if x.dtype.is_floating else tf.cast(x, _float_of(self.dtype))

    def _check_shape(self, shape: tf.TensorShape) -> None:
        event = self.event_shape
        if not event.rank or not shape.rank:  # one number stands for all values
            return
        if not shape[-event.rank :].is_compatible_with(event):
            is_gray = event.rank == 3 and event[-1] == 1
            hint = " Add the channel axis: images[..., None]." if is_gray else ""
            noun = "images" if event.rank == 3 else "examples"
            raise ValueError(
                f"value: wanted {noun} [..., {', '.join(map(str, event))}], got shape "
                f"{tuple(shape)}.{hint}"
            )


class PixelDistribution(EventDistribution):
    """Independent distributions of pixels in [0, 1].

    uint8 pixels are divided by 255. Pixels outside [0, 1] raise an error; inside a graph these are
    not looked at.
    """

    has_bounds = True  # whether pixels outside [0, 1] are impossible

    def _values(self, x: tf.Tensor) -> tf.Tensor:
        """Returns images as floats; raises unless they are what this distribution is of."""
        self._check_shape(x.shape)
        if x.dtype == tf.uint8 and self.dtype != tf.uint8:
            return tf.cast(x, _float_of(self.dtype)) / 255
        if self.has_bounds and not tf.is_symbolic_tensor(x) and tf.size(x) > 0:
            low, high = tf.reduce_min(x).numpy(), tf.reduce_max(x).numpy()
            if not (low >= 0 and high <= 1):
                spec = _checks.DataSpec(tuple(self.event_shape))
                raise ValueError(_checks.out_of_range("value", low, high, spec))
        return x


class UnboundedPixelDistribution(PixelDistribution):
    """The same of distributions whose draws may lie outside [0, 1]."""

    has_bounds = False


class LogitPixelDistribution(PixelDistribution):
    """The same of distributions given by logits, which it has, too."""

    @property
    def logits(self) -> tf.Tensor:
        """The logits of the pixels, batch shape + event shape."""
        return self.distribution.logits_parameter()

    @property
    def probs(self) -> tf.Tensor:
        """sigmoid(logits), batch shape + event shape."""
        return self.distribution.probs_parameter()

    # By which the properties of TensorFlow Probability's own class, such as
    # tfd.Bernoulli.logits, answer for this one.
    _logits, _probs = logits, probs


def _float_of(dtype: tf.DType) -> tf.DType:
    return dtype if dtype.is_floating else tf.as_dtype(tf_keras.backend.floatx())
