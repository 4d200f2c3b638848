"""Distributions of images whose log_prob takes pixels as a VAE does."""

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks

tfd = tfp.distributions


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
