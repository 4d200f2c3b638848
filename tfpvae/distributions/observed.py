"""The distribution of the observed values of an example, of which others are missing."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae._checks import DataSpec

tfd = tfp.distributions


def observed(
    examples: tf.Tensor, likelihood: tfd.Distribution, spec: DataSpec
) -> tuple[tf.Tensor, tfd.Distribution]:
    """Returns examples and the distribution of their observed values, whose log_prob is finite.

    log p(x_observed|z) = sum over observed i of log p(x_i|z)

    Args:
      examples: [B, ...], NaN where a value is missing.
      likelihood: p(x|z), whose values are independent: a `tfd.Independent`.
      spec: of the examples; where none is missing, both are returned unchanged.

    Raises:
      ValueError: for a likelihood whose values are not known to be independent.

    >>> normal = tfd.Independent(tfd.Normal([[0.0, 0.0]], 1.0), 1)
    >>> spec = DataSpec((2,), allows_missing=True)
    >>> values, of_observed = observed(tf.constant([[1.0, float("nan")]]), normal, spec)
    >>> round(float(of_observed.log_prob(values)[0]), 4)  # -1/2 (log(2 pi) + 1)
    -1.4189
    """
    if not spec.allows_missing:
        return examples, likelihood
    inner: tfd.Distribution
    inner, axes = getattr(likelihood, "tensor_distribution", likelihood), 0
    while isinstance(inner, tfd.Independent):
        axes += len(inner.event_shape) - len(inner.distribution.event_shape)
        inner = inner.distribution
    is_one_hot = isinstance(inner, tfd.OneHotCategorical)
    if not axes or (inner.event_shape.rank and not is_one_hot):
        raise ValueError(
            "missing: wanted a likelihood of independent values, a tfd.Independent, got one of "
            f"{type(inner).__name__}, from which no single value can be left out."
        )
    is_missing = tf.math.is_nan(examples)
    mask = tf.reduce_any(is_missing, axis=-1) if is_one_hot else is_missing

    def any_value(distribution: tfd.Distribution) -> tf.Tensor:  # of finite log_prob
        shape = tf.concat([distribution.batch_shape_tensor(), distribution.event_shape_tensor()], 0)
        return tf.fill(shape, tf.constant(0.5, examples.dtype))

    masked = tfd.Masked(inner, ~mask, safe_sample_fn=any_value)
    zeros = tf.zeros_like(examples)
    return tf.where(is_missing, zeros, examples), tfd.Independent(masked, axes)
