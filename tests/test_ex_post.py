"""A prior fitted after training, against the exact marginal and on test images."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests import reference
from tests.evaluation import linear
from tests.models.test_probabilistic import as_images, linear_gaussian
from tests.models.test_vae import pictures, small_vae
from tests.pairs import once
from tfpvae import evaluation, ex_post

SHAPE = (4, 4, 1)


def clusters(count: int, seed: int) -> np.ndarray:
    """Returns dark and bright images, so that q(z) is not normal."""
    rng = np.random.default_rng(seed)
    bright = np.where(rng.uniform(size=(count, 1, 1, 1)) < 0.5, 0.1, 0.9)
    return np.clip(bright + 0.05 * rng.normal(size=(count, *SHAPE)), 0, 1).astype("float32")


@pytest.fixture(scope="module")
def trained():
    tf_keras.utils.set_random_seed(0)
    likelihood = tfpvae.layers.NormalLikelihood(SHAPE, scale=0.1)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, likelihood=likelihood)
    vae.compile(tf_keras.optimizers.Adam(0.01), steps_per_execution=16)
    vae.fit(clusters(512, 0), batch_size=32, epochs=20, verbose=0)
    return vae


def on_a_parabola(count: int, seed: int) -> np.ndarray:
    """Returns data [count, 8] along a parabola in two directions."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=count)
    factors = np.stack([t, (t**2 - 1) / 2**0.5 + 0.2 * rng.normal(size=count)], axis=1)
    directions = np.linalg.qr(np.random.default_rng(9).normal(size=(8, 2)))[0] * [0.11, 0.1]
    return 0.5 + factors @ directions.T + 0.02 * rng.normal(size=(count, 8))


def gain(before, after, images) -> float:
    """Returns the mean gain in log likelihood, less three standard errors."""
    gains = after.log_likelihood(images, 200, seed=0) - before.log_likelihood(images, 200, seed=0)
    return np.mean(gains) - 3 * np.std(gains) / np.sqrt(len(gains))


def marginal_kl(vae, images) -> float:
    return evaluation.aggregate_posterior(vae, images, 2000, seed=0).marginal_kl[0]


def test_a_fitted_mixture_learns_clusters_and_lowers_the_marginal_kl(trained):
    unseen, weights = clusters(200, 1), trained.get_weights()
    fitted = ex_post.fit_prior(trained, clusters(512, 0), epochs=5, num_components=4)
    for before, after in zip(weights, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert gain(trained, fitted, unseen) > 0.3
    assert marginal_kl(fitted, unseen) < marginal_kl(trained, unseen) - 0.3
    assert fitted.encoder is trained.encoder and fitted.decoder is trained.decoder
    assert trained.prior is not fitted.prior


def test_a_fitted_flow_learns_a_curve_and_lowers_the_marginal_kl():
    data = on_a_parabola(1000, 0)
    vae, _, _ = linear_gaussian(data, "tril", rotation=np.eye(2))
    unseen = as_images(on_a_parabola(300, 1))
    options = {"num_layers": 2, "hidden_units": (16,), "learning_rate": 0.01}
    fitted = ex_post.fit_prior(vae, as_images(data), "flow", epochs=20, **options)
    assert gain(vae, fitted, unseen) > 0.3
    assert marginal_kl(fitted, unseen) < marginal_kl(vae, unseen) - 0.3


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("kind", "options"), [("normal", {}), ("flow", {"num_layers": 1, "hidden_units": (8,)})]
)
def test_fitting_corrects_a_wrong_prior(kind, options):
    """The latents of probabilistic PCA follow N(0, I), with which log p(x) is Gaussian."""
    x = linear.images(400)
    right = linear.vae()
    wrong_prior = tfpvae.build_prior("normal", latent_dim=3)
    wrong_prior.distribution.loc.assign([1.0, -1.0, 0.5])
    wrong = tfpvae.VAE(right.encoder, right.decoder, prior=wrong_prior)
    truth = linear.log_likelihood(x).mean()
    assert np.mean(wrong.log_likelihood(x, 200, seed=0)) < truth - 0.5
    fitted = ex_post.fit_prior(wrong, x, kind, epochs=60, learning_rate=0.02, **options)
    # Possibly above, since the prior is fitted to these images.
    assert -0.05 < np.mean(fitted.log_likelihood(x, 200, seed=0)) - truth < 0.3


def test_a_fitted_normal_has_the_moments_of_the_draws(trained):
    x = clusters(512, 0)
    fitted = ex_post.fit_prior(trained, x, "normal", epochs=60, learning_rate=0.01, batch_size=512)
    posterior = trained.encoder(x)
    means, variances = posterior.mean().numpy(), posterior.variance().numpy()
    np.testing.assert_allclose(fitted.prior.mean(), means.mean(axis=0), atol=0.1)
    expected = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    np.testing.assert_allclose(fitted.prior.stddev(), expected, rtol=0.1)


def test_a_mixture_starts_from_expectation_maximization(trained):
    x = clusters(512, 0)
    fitted = ex_post.fit_prior(trained, x, epochs=0, num_components=2)
    weights = fitted.prior.mixture_distribution.probs_parameter().numpy()
    np.testing.assert_allclose(weights, 0.5, atol=0.08)  # two groups of about 256
    normal = fitted.prior.components_distribution
    z = np.array([[0.3, -0.2], [1.0, 2.0]], "float32")
    expected = reference.normal_mixture_log_density(
        z, weights, normal.mean().numpy(), normal.stddev().numpy()
    )
    np.testing.assert_allclose(fitted.prior.log_prob(z), expected, rtol=1e-4)


@pytest.mark.spread(1)
@pytest.mark.parametrize(
    ("kind", "written_as"), once(["mixture", "flow"], ["fitted", "fitted.keras"])
)
def test_a_fitted_vae_is_reproducible_and_saved(kind, written_as, tmp_path):
    options = {"num_layers": 1, "hidden_units": (4,)} if kind == "flow" else {}
    vae, x = small_vae(), pictures(40)
    fitted, repeated = (
        ex_post.fit_prior(vae, x, kind, epochs=1, seed=3, **options) for _ in range(2)
    )
    scores = fitted.log_likelihood(x, 20, seed=0)
    np.testing.assert_allclose(repeated.log_likelihood(x, 20, seed=0), scores, rtol=1e-5)
    assert not np.allclose(vae.log_likelihood(x, 20, seed=0), scores, rtol=1e-4)
    fitted.compile()
    fitted.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    np.testing.assert_allclose(loaded.log_likelihood(x, 20, seed=0), scores, rtol=1e-5)
    np.testing.assert_allclose(loaded.sample(3, seed=1), fitted.sample(3, seed=1), atol=1e-5)
    loaded.run_eagerly = True
    history = loaded.fit(x, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    "options",
    [
        {"prior": "mixture"},
        {"posterior": "multivariate_normal_tril", "use_exact_kl": True},
        {"posterior": "iaf", "objective": "iwae", "num_samples": 2},
        {"kl_weight": 0.5, "free_bits": 0.1},
    ],
    ids=str,
)
def test_any_vae_gets_a_new_prior_and_keeps_its_settings(options):
    vae = small_vae(**options)
    fitted = ex_post.fit_prior(vae, pictures(20), epochs=1)
    assert fitted.kl_method == "monte_carlo" and vae.prior is not fitted.prior
    for name in ("objective", "num_samples", "free_bits", "kl_weight", "dequantize"):
        assert getattr(fitted, name) == getattr(vae, name)


def test_a_prior_that_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="fit_prior: wanted a VAE with a prior"):
        ex_post.fit_prior(small_vae(posterior="deterministic"), pictures())
    with pytest.raises(ValueError, match="kind: wanted one of 'flow', 'mixture', 'normal'"):
        ex_post.fit_prior(small_vae(), pictures(), "vampprior")
    with pytest.raises(ValueError, match="images: wanted at least num_components=10"):
        ex_post.fit_prior(small_vae(), pictures(4))
