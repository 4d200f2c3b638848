"""Missing values: the exact answers of probabilistic PCA, and where NaN is refused."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy import stats

import tfpvae
from tests.pairs import once
from tests.small_vae import RUNS

tfd = tfp.distributions
RNG = np.random.default_rng(0)
LATENTS, VALUES, SCALE = 2, 5, 0.5
LOADINGS = RNG.normal(size=(LATENTS, VALUES))
OFFSET = RNG.normal(size=VALUES)


def exact_posterior(x):
    """q(z|x) of probabilistic PCA, given the values that are not 0 (which stands for missing)."""
    loadings, is_observed = tf.constant(LOADINGS, x.dtype), tf.cast(x != 0, x.dtype)
    observed = is_observed[:, tf.newaxis] * loadings  # [B, D, F]
    precision = tf.eye(LATENTS, dtype=x.dtype) + tf.einsum("bdf,ef->bde", observed, loadings) / (
        SCALE**2
    )
    covariance = tf.linalg.inv(precision)
    centered = is_observed * (x - tf.constant(OFFSET, x.dtype))
    mean = tf.linalg.matvec(covariance, tf.linalg.matvec(observed, centered)) / SCALE**2
    return tfd.MultivariateNormalTriL(mean, tf.linalg.cholesky(covariance))


def probabilistic_pca():
    encoder = tf_keras.Sequential(
        [tf_keras.Input((VALUES,)), tfp.layers.DistributionLambda(exact_posterior)]
    )
    head = tfpvae.layers.NormalLikelihood(VALUES, scale=SCALE, support="real")
    decoder = tf_keras.Sequential([tf_keras.Input((LATENTS,)), tf_keras.layers.Dense(VALUES), head])
    decoder.layers[0].set_weights([LOADINGS, OFFSET])
    prior = tfd.MultivariateNormalDiag(tf.zeros(LATENTS, tf_keras.backend.floatx()))
    return tfpvae.VAE(encoder, decoder, prior, missing="mask")


def with_missing(count=8):
    z = RNG.normal(size=(count, LATENTS))
    x = z @ LOADINGS + OFFSET + SCALE * RNG.normal(size=(count, VALUES))
    is_missing = RNG.uniform(size=x.shape) < 0.4
    is_missing[0], is_missing[1] = True, False  # all missing, and none
    return np.where(is_missing, np.nan, x)


def test_log_likelihood_of_observed_values_is_that_of_probabilistic_pca(floatx):
    x, vae = with_missing(), probabilistic_pca()
    covariance = LOADINGS.T @ LOADINGS + SCALE**2 * np.eye(VALUES)
    exact = [
        stats.multivariate_normal.logpdf(row[seen], OFFSET[seen], covariance[np.ix_(seen, seen)])
        if seen.any()
        else 0.0
        for row, seen in zip(x, ~np.isnan(x), strict=True)
    ]
    # The posterior is exact, so that every importance weight is p(x).
    np.testing.assert_allclose(vae.log_likelihood(x, 3, seed=0), exact, atol=1e-4)
    # And the mean of the ELBO is p(x) but for the noise of the draws; on no image it is above.
    elbo = vae.elbo(x, 4000, seed=0)
    np.testing.assert_allclose(elbo, exact, atol=0.2)


def test_imputed_values_are_the_conditional_means_of_probabilistic_pca():
    x, vae = with_missing(), probabilistic_pca()
    draws = 20_000
    imputed = vae.impute(x, draws, seed=0).numpy()
    covariance = LOADINGS.T @ LOADINGS + SCALE**2 * np.eye(VALUES)
    for row, filled in zip(x, imputed, strict=True):
        seen = ~np.isnan(row)
        gain = covariance[:, seen] @ np.linalg.pinv(covariance[np.ix_(seen, seen)])
        exact = OFFSET + gain @ (row[seen] - OFFSET[seen])
        np.testing.assert_allclose(filled[seen], row[seen], rtol=1e-6)
        # Five standard errors of the mean of W z, whose deviation is at most that of the prior.
        error = 5 * np.linalg.norm(LOADINGS, axis=0).max() / np.sqrt(draws)
        np.testing.assert_allclose(filled, np.where(seen, row, exact), atol=error)
    np.testing.assert_array_equal(imputed, vae.impute(x, draws, seed=0))


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("likelihood", "run"),
    once(["normal", "student_t", "poisson"], [run for run in RUNS if "metrics" not in RUNS[run]]),
)
def test_table_with_a_fifth_missing_trains_scores_saves_and_is_imputed(likelihood, run, tmp_path):
    data = RNG.poisson(3.0, size=(30, 6)).astype("float32")
    data[RNG.uniform(size=data.shape) < 0.2] = np.nan
    vae = tfpvae.build_vae("dense", event_shape=(6,), likelihood=likelihood, missing="mask")
    vae.compile(**RUNS[run])
    history = vae.fit(data, batch_size=8, epochs=2, verbose=0, validation_data=data[:9])
    assert np.isfinite([*history.history["loss"], *history.history["val_loss"]]).all()
    elbo, imputed = vae.elbo(data, seed=0), vae.impute(data, 20, seed=0)
    assert np.isfinite(elbo).all() and np.isfinite(imputed).all()
    assert np.isfinite(vae.reconstruct(data)).all()
    vae.save(tmp_path / "vae.keras")
    loaded = tf_keras.models.load_model(tmp_path / "vae.keras")
    assert loaded.missing == "mask"
    np.testing.assert_allclose(loaded.elbo(data, seed=0), elbo, rtol=1e-5)
    report = tfpvae.evaluation.report(vae, data, num_samples=5, seed=0)
    assert np.isfinite(report["squared_error"]["mean"])


@pytest.mark.parametrize("objective", ["iwae", "dreg"])
def test_missing_values_give_no_gradient(objective):
    data = np.full([4, 3], np.nan, np.float32)
    vae = tfpvae.build_vae(
        "dense",
        event_shape=(3,),
        likelihood="normal",
        missing="mask",
        objective=objective,
        num_samples=2,
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(vae.loss_terms(data, seed=0).loss)
    gradients = tape.gradient(loss, vae.decoder.trainable_variables)
    for gradient in gradients:
        np.testing.assert_array_equal(tf.convert_to_tensor(gradient), 0.0)


def test_where_nothing_is_missing_the_loss_is_that_of_a_plain_vae():
    data = RNG.normal(size=(8, 6)).astype("float32")
    losses = []
    for missing in (None, "mask"):
        tf_keras.utils.set_random_seed(0)
        vae = tfpvae.build_vae("dense", event_shape=(6,), likelihood="normal", missing=missing)
        losses.append(vae.loss_terms(data, seed=0).loss)
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_settings_that_do_not_fit_missing_values_are_refused():
    with pytest.raises(ValueError, match="missing: wanted one of 'mask'"):
        tfpvae.build_vae("dense", missing="drop")
    with pytest.raises(ValueError, match="missing: wanted a likelihood of independent values"):
        tfpvae.build_vae("dense", likelihood="mixture_of_logistics", missing="mask")
    vae = tfpvae.build_vae("dense", event_shape=(6,), likelihood="normal", missing="mask")
    with pytest.raises(ValueError, match="loss: wanted None for a VAE with missing='mask'"):
        vae.compile(loss=lambda x, p: -p.log_prob(x))
    with pytest.raises(ValueError, match="metrics: wanted none"):
        vae.compile(metrics=["mse"])
    plain = tfpvae.build_vae("dense", event_shape=(6,), likelihood="normal")
    with pytest.raises(ValueError, match="impute: wanted a VAE with missing='mask'"):
        plain.impute(np.zeros([1, 6]))
