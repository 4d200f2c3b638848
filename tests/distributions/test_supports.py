"""The values of a distribution, found without being told."""

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae._checks import Support
from tfpvae.distributions.supports import support_of

tfd, tfb = tfp.distributions, tfp.bijectors

SUPPORTS = {
    "normal": (lambda: tfd.Normal([0.0, 1.0], 1.0), _checks.REAL),
    "Student's t": (lambda: tfd.StudentT(3.0, [0.0, 1.0], 1.0), _checks.REAL),
    "small normal": (
        lambda: tfd.TransformedDistribution(tfd.Normal([0.0], 1.0), tfb.Scale(0.01)),
        _checks.REAL,
    ),
    "multivariate normal": (lambda: tfd.MultivariateNormalDiag([0.0, 0.0]), _checks.REAL),
    "mixture of normals": (
        lambda: tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), tfd.Normal([0.0, 1.0], 1.0)),
        _checks.REAL,
    ),
    "gamma": (lambda: tfd.Gamma([1.0, 2.0], 1.0), _checks.NONNEGATIVE),
    "log normal": (lambda: tfd.LogNormal([0.0], 1.0), _checks.NONNEGATIVE),
    "Bernoulli": (lambda: tfd.Bernoulli([0.0, 1.0]), _checks.UNIT_INTERVAL),
    "continuous Bernoulli": (lambda: tfd.ContinuousBernoulli([0.0]), _checks.UNIT_INTERVAL),
    "beta": (lambda: tfd.Beta([1.0], 1.0), _checks.UNIT_INTERVAL),
    "logit normal": (lambda: tfd.LogitNormal([0.0], 1.0), _checks.UNIT_INTERVAL),
    "truncated normal": (lambda: tfd.TruncatedNormal([0.0], 1.0, -1.0, 1.0), Support(-1.0, 1.0)),
    "Poisson": (lambda: tfd.Poisson([1.0]), _checks.COUNTS),
    "negative binomial": (lambda: tfd.NegativeBinomial([1.0], 0.0), _checks.COUNTS),
    "zero-inflated Poisson": (
        lambda: tfd.Inflated(tfd.Poisson([1.0]), inflated_loc_logits=[0.0]),
        _checks.COUNTS,
    ),
    "masked Poisson": (lambda: tfd.Masked(tfd.Poisson([1.0]), [True]), _checks.COUNTS),
    "categorical": (lambda: tfd.Categorical([[0.0] * 4]), Support(0.0, 3.0, is_whole=True)),
    "one-hot categorical": (lambda: tfd.OneHotCategorical([[0.0] * 4]), _checks.ONE_HOT),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_the_values_of_a_distribution_are_inferred(name):
    make, support = SUPPORTS[name]
    assert support_of(make()) == support
    if make().batch_shape.rank:
        assert support_of(tfd.Independent(make(), 1)) == support


def test_any_number_is_a_value_of_a_distribution_of_ones_own():
    class Own(tfd.Distribution):
        def __init__(self):
            super().__init__(
                tf.float32, tfd.NOT_REPARAMETERIZED, validate_args=False, allow_nan_stats=True
            )

        def _event_shape(self):
            return tf.TensorShape([])

    assert support_of(Own()) == _checks.REAL
