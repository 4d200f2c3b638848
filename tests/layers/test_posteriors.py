"""Posteriors of full and of low-rank covariance, and those that are given to the builder."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfpvae
from tests import reference
from tfpvae import layers
from tfpvae.distributions.divergences import exact_kl
from tfpvae.networks.initialization import START_SCALE

tfd, tfb = tfp.distributions, tfp.bijectors

DTYPES = pytest.mark.parametrize(
    # Float32 as it is asked of a KL; float64 has only its own rounding to lose.
    ("dtype", "tolerance"),
    [("float32", 1e-5), ("float64", 1e-10)],
)


def low_rank(size, rank, dtype="float64", batch=4, **options):
    """The layer's distribution of random parameters, with its mean and covariance by NumPy."""
    layer = layers.MultivariateNormalLowRank(size, rank=rank, dtype=dtype, **options)
    params = np.random.default_rng(0).normal(size=(batch, layer.num_params))
    params[:, 2 * size :] *= 10
    factors = params[:, 2 * size :].reshape(batch, size, rank)
    covariance = reference.low_rank_covariance(params[:, size : 2 * size], factors, 1e-5)
    return layer(params.astype(dtype)), params[:, :size], covariance


@pytest.mark.parametrize("size", [1, 4])
@DTYPES
def test_a_full_covariance_is_the_scale_times_its_transpose(size, dtype, tolerance):
    layer = layers.MultivariateNormalTriL(size, dtype=dtype)
    params = np.random.default_rng(0).normal(size=(3, layer.num_params))
    posterior = layer(params.astype(dtype))
    scale = posterior.scale_tril.numpy()
    np.testing.assert_array_equal(scale, np.tril(scale))
    raw = np.sort(np.log(np.expm1(np.diagonal(scale, axis1=1, axis2=2) - 1e-5)))
    below = np.sort(scale[:, np.tri(size, k=-1, dtype=bool)])
    # All parameters after the means are there, whichever order TensorFlow Probability has them in.
    result = np.sort(np.concatenate([raw, below], axis=1))
    np.testing.assert_allclose(result, np.sort(params[:, size:]), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(posterior.mean(), params[:, :size], rtol=tolerance)
    stddev = np.sqrt(np.diagonal(scale @ scale.transpose(0, 2, 1), axis1=1, axis2=2))
    np.testing.assert_allclose(posterior.stddev(), stddev, rtol=tolerance)


@pytest.mark.parametrize(("size", "rank"), [(2, 1), (5, 2), (3, 4), (1, 1)])
@DTYPES
def test_low_rank_is_the_normal_of_that_covariance(size, rank, dtype, tolerance):
    posterior, mean, covariance = low_rank(size, rank, dtype)
    np.testing.assert_allclose(posterior.mean(), mean, rtol=tolerance)
    np.testing.assert_allclose(posterior.covariance(), covariance, rtol=tolerance, atol=tolerance)
    stddev = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    np.testing.assert_allclose(posterior.stddev(), stddev, rtol=tolerance)
    z = mean + np.random.default_rng(1).normal(size=mean.shape) * stddev
    expected = [
        reference.gaussian_log_density(row[None], m, c)[0]
        for row, m, c in zip(z, mean, covariance, strict=True)
    ]
    np.testing.assert_allclose(posterior.log_prob(z.astype(dtype)), expected, rtol=10 * tolerance)


def test_low_rank_draws_have_that_covariance():
    posterior, mean, covariance = low_rank(4, 2, batch=1)
    draws = posterior.sample(50_000, seed=(1, 2)).numpy()[:, 0]
    scale = np.sqrt(np.diag(covariance[0]))
    # An element of the covariance of draws of scale 1 has a standard error of at most sqrt(2 / N).
    result = np.cov(draws.T) / np.outer(scale, scale)
    expected = covariance[0] / np.outer(scale, scale)
    np.testing.assert_allclose(result, expected, atol=4 * np.sqrt(2 / 50_000))
    np.testing.assert_allclose(
        (draws.mean(axis=0) - mean[0]) / scale, 0, atol=4 * np.sqrt(1 / 50_000)
    )


@pytest.mark.parametrize("prior", ["standard", "tril"])
@DTYPES
def test_low_rank_kl_is_the_textbook_formula(prior, dtype, tolerance):
    posterior, mean, covariance = low_rank(5, 2, dtype)
    scale = np.eye(5) if prior == "standard" else np.eye(5) + 0.3 * np.tri(5)
    p = tfd.MultivariateNormalTriL(np.full(5, 0.2, dtype), scale.astype(dtype))
    if prior == "standard":
        p = tfd.Independent(tfd.Normal(np.full(5, 0.2, dtype), np.ones(5, dtype)), 1)
    expected = [
        reference.gaussian_kl(m, c, np.full(5, 0.2), scale @ scale.T)
        for m, c in zip(mean, covariance, strict=True)
    ]
    np.testing.assert_allclose(exact_kl(posterior, p), expected, rtol=tolerance)


@pytest.mark.parametrize("size", [3, 128])
@pytest.mark.parametrize("raw_scale", [0.0, -1000.0])  # the second: softplus underflows
@pytest.mark.parametrize("raw_factor", [0.0, 1e6, -1e6])
def test_low_rank_of_extreme_parameters_is_finite_with_its_gradients(size, raw_scale, raw_factor):
    layer = layers.MultivariateNormalLowRank(size, rank=4)
    params = np.zeros([2, layer.num_params], "float32")
    params[:, size : 2 * size] = raw_scale
    params[:, 2 * size :] = raw_factor  # columns all alike: the worst conditioned
    params = tf.constant(params)
    with tf.GradientTape() as tape:
        tape.watch(params)
        posterior = layer(params)
        log_prob = posterior.log_prob(posterior.sample(10, seed=(1, 2)))
        values = [log_prob, exact_kl(posterior, tfpvae.build_prior(latent_dim=size))]
        total = sum(tf.reduce_sum(value) for value in values)
    assert all(np.isfinite(value).all() for value in values)
    assert np.isfinite(tape.gradient(total, params)).all()


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_low_rank_diagonal_is_softplus_plus_the_floor(floor):
    layer = layers.MultivariateNormalLowRank(3, rank=1, scale_floor=floor)
    params = np.zeros([1, 9], "float32")
    params[:, 3:6] = -0.7
    expected = [[reference.softplus(-0.7) + floor] * 3]
    np.testing.assert_allclose(layer(params).stddev(), expected, rtol=1e-6)


def test_low_rank_under_xla_is_the_same():
    layer = layers.MultivariateNormalLowRank(5, rank=2)
    params = np.random.default_rng(0).normal(size=(4, layer.num_params)).astype("float32")
    z = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")

    def answers(params, z):
        posterior = layer(params)
        kl = exact_kl(posterior, tfpvae.build_prior(latent_dim=5))
        return posterior.log_prob(z), posterior.stddev(), kl

    compiled = tf.function(answers, jit_compile=True)(params, z)
    for result, expected in zip(compiled, answers(params, z), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_starts_near_a_multiple_of_the_identity_with_columns_that_differ(rank):
    layer = layers.MultivariateNormalLowRank(5, rank=rank, scale_floor=0.0)
    posterior = layer(np.concatenate([np.zeros(5), layer.start_params(0.3)])[None])
    np.testing.assert_allclose(posterior.covariance()[0], 0.09 * np.eye(5), atol=0.09 * 4e-4)
    factors = posterior.tensor_distribution.cov_perturb_factor[0].numpy()
    gram = factors.T @ factors
    assert (np.diag(gram) > 0).all()
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-8)


# As a layer

SHAPE = (6, 5, 1)
GOOD = {"image_shape": SHAPE, "latent_dim": 3, "backbone": "dense"}


def pictures(count=12):
    return np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype("float32")


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("deterministic", lambda: layers.Deterministic(3)),
        ("iaf", lambda: layers.InverseAutoregressiveFlow(3)),
        ("independent_normal", lambda: layers.IndependentNormal((3,))),
        ("low_rank", lambda: layers.MultivariateNormalLowRank(3)),
        ("multivariate_normal_tril", lambda: layers.MultivariateNormalTriL(3)),
    ],
)
def test_a_layer_is_what_its_name_is(name, build):
    encoders = [tfpvae.build_encoder(**GOOD, posterior=given) for given in (name, build())]
    assert encoders[0].count_params() == encoders[1].count_params()
    encoders[1].set_weights(encoders[0].get_weights())
    means = [encoder(pictures()).mean() for encoder in encoders]
    np.testing.assert_array_equal(*means)
    terms = [encoder.layers[-1].activity_regularizer for encoder in encoders]
    configs = [term and term.get_config() for term in terms]
    assert configs[0] == configs[1]


def test_a_layer_keeps_its_options_and_is_given_the_kl_term():
    prior = tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.5, 1.0], name="loc"))
    given = layers.MultivariateNormalLowRank(3, rank=8, scale_floor=0.01, name="mine")
    encoder = tfpvae.build_encoder(**GOOD, posterior=given, prior=prior, kl_weight=0.5)
    head = encoder.layers[-1]
    assert head is not given and given.activity_regularizer is None
    assert encoder.get_layer("posterior_parameters").units == 3 * (2 + 8)
    expected = {"rank": 8, "scale_floor": 0.01, "name": "mine"}
    assert {key: head.get_config()[key] for key in expected} == expected
    assert head.activity_regularizer.distribution_b is prior
    assert head.activity_regularizer.weight == 0.5
    encoder(pictures())
    assert len(encoder.losses) == 1


def test_a_layer_with_a_kl_term_is_taken_as_it_is():
    prior = tfpvae.build_prior(latent_dim=3)
    term = layers.KLDivergenceRegularizer(prior, weight=0.25)
    given = layers.IndependentNormal(3, activity_regularizer=term)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, latent_dim=3, posterior=given)
    assert vae.encoder.layers[-1] is given
    assert vae.prior is prior and vae.kl_weight == 0.25


def test_a_layer_starts_from_images():
    x = np.random.default_rng(0).uniform(size=(50, *SHAPE)).astype("float32")
    given = layers.MultivariateNormalLowRank(3, rank=4)
    posterior = tfpvae.build_encoder(**GOOD, posterior=given, start_images=x)(x)
    np.testing.assert_allclose(np.cov(posterior.mean().numpy().T, bias=True), np.eye(3), atol=1e-3)
    expected = np.broadcast_to(START_SCALE**2 * np.eye(3), (50, 3, 3))
    # The small factors of the start are on top: rank * 0.01^2 at the most.
    np.testing.assert_allclose(posterior.covariance(), expected, atol=START_SCALE**2 * 5e-4)


@pytest.mark.spread(1)
@pytest.mark.parametrize("name", ["iaf", "low_rank"])
def test_a_model_with_options_of_its_posterior_is_saved(name, tmp_path):
    given = {
        "iaf": lambda: layers.InverseAutoregressiveFlow(
            3, num_flows=3, hidden_units=[5], context_size=2
        ),
        "low_rank": lambda: layers.MultivariateNormalLowRank(3, rank=4),
    }[name]()
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, latent_dim=3, posterior=given)
    copy = tfpvae.VAE.from_config(vae.get_config())
    copy.set_weights(vae.get_weights())
    np.testing.assert_array_equal(copy.elbo(pictures(), seed=1), vae.elbo(pictures(), seed=1))
    assert copy.get_config() == vae.get_config()


def _with_term(cls=layers.IndependentNormal):
    prior = tfpvae.build_prior(latent_dim=3)
    return cls(3, activity_regularizer=layers.KLDivergenceRegularizer(prior))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"posterior": 3}, TypeError, "posterior: wanted a name or .*, got 3"),
        (
            {"posterior": layers.IndependentBernoulli(3)},
            TypeError,
            "posterior: .*IndependentBernoulli",
        ),
        (
            {"posterior": tfp.layers.IndependentNormal(3)},
            TypeError,
            r"posterior: .*layer of tfpvae\.layers",
        ),
        (
            {"posterior": layers.IndependentNormal(2)},
            ValueError,
            r"posterior: wanted .*\(3,\) \(latent_dim\), got \(2,\)",
        ),
        (
            {"posterior": layers.IndependentNormal((3, 1))},
            ValueError,
            r"posterior: .*\(3, 1\)",
        ),
        (
            {"posterior": layers.IndependentNormal(3), "scale_floor": 0.1},
            ValueError,
            "scale_floor: .*layer.*0.1",
        ),
        ({"posterior": _with_term(), "kl_weight": 0.5}, ValueError, "kl_weight: .*0.5"),
        ({"posterior": _with_term(), "kl_samples": 2}, ValueError, "kl_samples: .*2"),
        ({"posterior": _with_term(), "use_exact_kl": True}, ValueError, "use_exact_kl: .*True"),
        (
            {"posterior": _with_term(), "prior": tfd.MultivariateNormalDiag(tf.zeros(3))},
            ValueError,
            "prior: wanted none besides a posterior with a KL term, which has its own",
        ),
        (
            {"posterior": "iaf", "use_exact_kl": True},
            NotImplementedError,
            "No closed form of KL.FlowDistribution",
        ),
        ({"posterior": "iaf", "latent_dim": 1}, ValueError, "latent_dim: .*at least 2, got 1"),
    ],
)
def test_posteriors_that_do_not_fit_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        tfpvae.build_encoder(**GOOD | change)


@pytest.mark.parametrize("rank", [0, 1.5, True])
def test_bad_ranks(rank):
    with pytest.raises((ValueError, TypeError), match="rank: wanted a whole number"):
        layers.MultivariateNormalLowRank(3, rank=rank)


@pytest.mark.parametrize(
    ("posterior", "use_exact_kl", "expected"),
    [
        ("independent_normal", None, "exact"),
        ("independent_normal", True, "exact"),
        ("independent_normal", False, "monte_carlo"),
        ("multivariate_normal_tril", None, "exact"),
        ("low_rank", None, "exact"),
        ("iaf", None, "monte_carlo"),
        ("iaf", False, "monte_carlo"),
    ],
)
def test_kl_method(posterior, use_exact_kl, expected):
    encoder = tfpvae.build_encoder(**GOOD, posterior=posterior, use_exact_kl=use_exact_kl)
    assert encoder.layers[-1].activity_regularizer.kl_method(encoder(pictures())) == expected


def test_kl_method_of_a_mixture_is_monte_carlo():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.MultivariateNormalDiag(tf.zeros([2, 3]))
    )
    encoder = tfpvae.build_encoder(**GOOD, prior=mixture)
    term = encoder.layers[-1].activity_regularizer
    assert term.kl_method(encoder(pictures())) == "monte_carlo"
