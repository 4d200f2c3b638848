"""The values that a distribution is of."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae._checks import Support

tfd = tfp.distributions

_FAR, _NEAR = 1e6, 1e3  # what is unbounded goes far from numbers that are far from 0


def support_of(distribution: tfd.Distribution) -> Support:
    """Returns the values that a distribution gives a probability or a density.

    >>> support_of(tfd.Independent(tfd.Poisson([1.0, 2.0]), 1)) == _checks.COUNTS
    True
    >>> support_of(tfd.Categorical(logits=tf.zeros([5, 4]))).high
    3.0
    """
    distribution = _innermost(distribution)
    if isinstance(distribution, (tfd.Bernoulli, tfd.ContinuousBernoulli, tfd.Beta)):
        return _checks.UNIT_INTERVAL
    if isinstance(distribution, tfd.Categorical):
        classes = int(distribution.logits_parameter().shape[-1])
        return Support(0.0, classes - 1.0, is_whole=True)
    if isinstance(distribution, tfd.OneHotCategorical):
        return _checks.ONE_HOT
    if distribution.event_shape.rank:
        return _checks.REAL
    bijector = _event_space_bijector(distribution)
    if bijector is None:  # of a discrete distribution
        return _checks.COUNTS
    low = float(tf.reduce_min(bijector.forward(tf.constant(-_FAR, distribution.dtype))))
    high = float(tf.reduce_max(bijector.forward(tf.constant(_FAR, distribution.dtype))))
    if (low, high) == (0.0, 1.0):
        return _checks.UNIT_INTERVAL
    real = _checks.REAL
    return Support(low if low > -_NEAR else real.low, high if high < _NEAR else real.high)


def _innermost(distribution: Any) -> tfd.Distribution:
    """Returns the distribution of single values that others are made of."""
    while True:
        inner = getattr(distribution, "tensor_distribution", distribution)
        if isinstance(inner, (tfd.Independent, tfd.Sample, tfd.BatchReshape, tfd.Masked)):
            inner = inner.distribution
        elif isinstance(inner, tfd.MixtureSameFamily):
            inner = inner.components_distribution
        elif isinstance(inner, tfd.Mixture):  # zero-inflated ones, too
            inner = inner.components[-1]
        if inner is distribution:
            return inner
        distribution = inner


def _event_space_bijector(distribution: tfd.Distribution) -> Any:
    try:
        return distribution.experimental_default_event_space_bijector()
    except (NotImplementedError, TypeError):  # a user's own; TypeErrors come with NumPy 2.4
        return tfp.bijectors.Identity()
