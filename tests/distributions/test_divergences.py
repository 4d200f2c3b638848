import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from tfpvae.distributions.divergences import exact_kl, has_exact_kl, sampled_kl

tfd = tfp.distributions

MEAN = np.array([0.3, -1.2, 0.5])
STDDEV = np.array([0.5, 1.5, 0.9])
TRIL = np.array([[0.8, 0, 0], [-0.4, 1.1, 0], [0.2, 0.6, 0.7]])
DIAGONAL = np.diag(STDDEV**2)
FULL = TRIL @ TRIL.T


def double(value):
    return tf.constant(value, "float64")


# Every way in which a user would write a Gaussian over vectors: (distribution, mean, covariance).
GAUSSIANS = {
    "independent": lambda t: (tfd.Independent(tfd.Normal(t(MEAN), t(STDDEV)), 1), MEAN, DIAGONAL),
    "sample": lambda t: (tfd.Sample(tfd.Normal(t(0.3), t(0.7)), 3), 0.3, 0.49 * np.eye(3)),
    "diag": lambda t: (tfd.MultivariateNormalDiag(t(MEAN), t(STDDEV)), MEAN, DIAGONAL),
    "standard": lambda t: (tfd.MultivariateNormalDiag(t(np.zeros(3))), 0.0, np.eye(3)),
    "tril": lambda t: (tfd.MultivariateNormalTriL(t(MEAN), t(TRIL)), MEAN, FULL),
    "full": lambda t: (tfd.MultivariateNormalFullCovariance(t(MEAN), t(FULL)), MEAN, FULL),
    "operator": lambda t: (
        tfd.MultivariateNormalLinearOperator(t(MEAN), tf.linalg.LinearOperatorDiag(t(STDDEV))),
        MEAN,
        DIAGONAL,
    ),
    "low_rank": lambda t: (
        tfd.MultivariateNormalDiagPlusLowRankCovariance(
            t(MEAN), t(STDDEV**2), t(np.array([[0.5], [0.1], [-0.3]]))
        ),
        MEAN,
        DIAGONAL + np.outer([0.5, 0.1, -0.3], [0.5, 0.1, -0.3]),
    ),
}


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # 1e-5 is what REFERENCE asks of float32; float64 has only its own rounding to lose.
    [("float32", 1e-5), ("float64", 1e-10)],
)
@pytest.mark.parametrize(("q", "p"), list(itertools.product(GAUSSIANS, GAUSSIANS)))
def test_kl_of_every_pair_of_gaussians_is_the_textbook_formula(q, p, dtype, tolerance):
    posterior, mean_q, covariance_q = GAUSSIANS[q](lambda value: tf.constant(value, dtype))
    prior, mean_p, covariance_p = GAUSSIANS[p](lambda value: tf.constant(value, dtype))
    expected = reference.gaussian_kl(mean_q + np.zeros(3), covariance_q, mean_p, covariance_p)
    np.testing.assert_allclose(exact_kl(posterior, prior), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-6), ("float64", 1e-12)],  # what is left of the log determinants' rounding
)
@pytest.mark.parametrize("name", GAUSSIANS)
def test_kl_of_a_gaussian_with_itself_is_zero(name, dtype, tolerance):
    q, _, _ = GAUSSIANS[name](lambda value: tf.constant(value, dtype))
    np.testing.assert_allclose(exact_kl(q, q), 0, atol=tolerance)


@pytest.mark.parametrize("prior", ["standard", "tril", "low_rank"])
def test_kl_of_a_batch_of_low_rank_gaussians(prior):
    rng = np.random.default_rng(0)
    means, variances = rng.normal(size=(4, 3)), rng.uniform(0.1, 2, size=(4, 3))
    factors = rng.normal(size=(4, 3, 2))
    posterior = tfd.MultivariateNormalDiagPlusLowRankCovariance(means, variances, factors)
    prior, mean, covariance = GAUSSIANS[prior](double)
    expected = [
        reference.gaussian_kl(m, np.diag(v) + f @ f.T, mean + np.zeros(3), covariance)
        for m, v, f in zip(means, variances, factors, strict=True)
    ]
    np.testing.assert_allclose(exact_kl(posterior, prior), expected, rtol=1e-10)


def test_kl_keeps_the_batch_of_the_posterior():
    means = np.arange(12.0).reshape(4, 3) / 10
    posterior = tfd.MultivariateNormalTriL(means, TRIL)
    prior = tfd.Independent(tfd.Normal(np.zeros(3), np.ones(3)), 1)
    expected = [reference.gaussian_kl(mean, FULL, np.zeros(3), np.eye(3)) for mean in means]
    np.testing.assert_allclose(exact_kl(posterior, prior), expected, rtol=1e-10)


@settings(max_examples=30)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    st.lists(st.floats(0.1, 3), min_size=2, max_size=2),
)
def test_kl_is_never_negative_and_zero_of_itself(mean, stddev):
    q = tfd.MultivariateNormalDiag(np.array(mean), np.array(stddev))
    standard = tfd.Independent(tfd.Normal(np.zeros(2), np.ones(2)), 1)
    assert exact_kl(q, standard) >= -1e-12
    assert abs(exact_kl(q, q)) < 1e-12


@pytest.mark.parametrize("posterior", GAUSSIANS)
def test_sampled_kl_is_within_four_standard_errors_of_the_exact_one(posterior):
    posterior, _, _ = GAUSSIANS[posterior](double)
    prior = tfd.MultivariateNormalTriL(MEAN[::-1], TRIL)
    estimates = sampled_kl(posterior, prior, posterior.sample(20_000, seed=(1, 2))).numpy()
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - exact_kl(posterior, prior)) < 4 * error


def test_no_closed_form_is_said_so():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.MultivariateNormalDiag(tf.zeros([2, 3]))
    )
    with pytest.raises(NotImplementedError, match=r"MultivariateNormalDiag.*MixtureSameFamily"):
        exact_kl(tfd.MultivariateNormalDiag(tf.zeros(3)), mixture)
    assert not has_exact_kl(tfd.MultivariateNormalDiag(tf.zeros(3)), mixture)


@pytest.mark.parametrize("p", GAUSSIANS)
def test_whether_there_is_a_closed_form_is_known_in_a_graph_too(p):
    prior, _, _ = GAUSSIANS[p](double)

    @tf.function
    def operations(means):
        posterior = tfd.MultivariateNormalTriL(means, TRIL)
        before = len(tf.compat.v1.get_default_graph().get_operations())
        assert has_exact_kl(posterior, prior)
        return len(tf.compat.v1.get_default_graph().get_operations()) - before

    assert operations(tf.zeros([4, 3], tf.float64)) == 0  # nothing of it is left behind


def test_gradient_of_tril_against_independent_is_finite():
    with tf.GradientTape() as tape:
        scale = tf.Variable(TRIL)
        posterior = tfd.MultivariateNormalTriL(MEAN, scale)
        kl = exact_kl(posterior, tfd.Independent(tfd.Normal(np.zeros(3), np.ones(3)), 1))
    assert np.isfinite(tape.gradient(kl, scale)).all()
