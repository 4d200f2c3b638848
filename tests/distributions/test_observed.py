"""The log probability of observed values: that of the others is left out, and has no gradient."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfpvae import _checks
from tfpvae._checks import DataSpec
from tfpvae.distributions.observed import observed

tfd = tfp.distributions
NAN = np.nan
SPEC = DataSpec((3,), _checks.REAL, allows_missing=True)

LIKELIHOODS = {
    "normal": (lambda p: tfd.Normal(p, 0.5), lambda p, x: stats.norm.logpdf(x, p, 0.5)),
    "Poisson": (lambda p: tfd.Poisson(tf.exp(p)), lambda p, x: stats.poisson.logpmf(x, np.exp(p))),
    "Bernoulli": (
        lambda p: tfd.Bernoulli(logits=p),
        lambda p, x: stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-p))),
    ),
    "gamma": (lambda p: tfd.Gamma(tf.exp(p), 1.0), lambda p, x: stats.gamma.logpdf(x, np.exp(p))),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_is_the_sum_over_observed_values_and_has_no_gradient_elsewhere(name):
    make, log_prob = LIKELIHOODS[name]
    parameters = np.array([[0.3, -0.2, 0.9], [0.1, 0.5, -0.4]], np.float32)
    examples = np.array([[1.0, NAN, 1.0], [NAN, NAN, 1.0]], np.float32)
    variable = tf.Variable(parameters)
    with tf.GradientTape() as tape:
        likelihood = tfd.Independent(make(tf.convert_to_tensor(variable)), 1)
        values, of_observed = observed(tf.constant(examples), likelihood, SPEC)
        actual = of_observed.log_prob(values)
    expected = np.where(np.isnan(examples), 0, log_prob(parameters, np.nan_to_num(examples, nan=1)))
    np.testing.assert_allclose(actual, expected.sum(axis=1), rtol=1e-5)
    gradient = tape.gradient(actual, variable).numpy()
    np.testing.assert_array_equal(gradient == 0, np.isnan(examples))


def test_one_hot_vectors_are_missing_as_a_whole():
    logits = tf.math.log([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]])
    likelihood = tfd.Independent(tfd.OneHotCategorical(logits, dtype=tf.float32), 1)
    spec = DataSpec((2, 3), _checks.ONE_HOT, allows_missing=True)
    examples = tf.constant([[[0.0, 1.0, 0.0], [NAN, NAN, NAN]]])
    values, of_observed = observed(examples, likelihood, spec)
    np.testing.assert_allclose(of_observed.log_prob(values), [np.log(0.25)], rtol=1e-6)


@pytest.mark.parametrize(
    "likelihood",
    [
        tfd.MultivariateNormalDiag(tf.zeros([1, 3])),
        tfd.Independent(tfd.MultivariateNormalDiag(tf.zeros([1, 1, 3])), 1),
    ],
)
def test_values_that_depend_on_one_another_are_refused(likelihood):
    with pytest.raises(ValueError, match=r"missing: wanted a likelihood of independent values"):
        observed(tf.zeros([1, 3]), likelihood, SPEC)
