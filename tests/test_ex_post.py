"""A prior fitted after training: against the marginal it should be, and on held-out images."""

import numpy as np
import pytest
import tf_keras

import tfpvae
from tests import reference
from tests.test_vae import pictures, small_vae
from tfpvae import evaluation, ex_post

SHAPE = (4, 4, 1)


def clusters(count: int, seed: int) -> np.ndarray:
    """Images whose brightness is in two groups, so that q(z) is no normal."""
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


@pytest.mark.parametrize(
    ("kind", "options"),
    [("mixture", {"num_components": 4}), ("flow", {"num_layers": 2, "hidden_units": (16,)})],
)
def test_it_raises_the_held_out_log_likelihood_and_lowers_the_marginal_kl(trained, kind, options):
    held_out = clusters(200, 1)
    weights = trained.get_weights()
    fitted = ex_post.fit_prior(
        trained, clusters(512, 0), kind, epochs=10, learning_rate=0.01, **options
    )
    for before, after in zip(weights, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    gain = fitted.log_likelihood(held_out, 200, seed=0) - trained.log_likelihood(
        held_out, 200, seed=0
    )
    error = np.std(gain) / np.sqrt(len(gain))
    assert np.mean(gain) > 0.3 + 3 * error
    old, new = (
        evaluation.aggregate_posterior(vae, held_out, 2000, seed=0).marginal_kl[0]
        for vae in (trained, fitted)
    )
    assert new < old - 0.3
    assert fitted.encoder is trained.encoder and fitted.decoder is trained.decoder
    assert trained.prior is not fitted.prior


def test_a_normal_is_that_of_the_moments_of_the_draws(trained):
    x = clusters(512, 0)
    fitted = ex_post.fit_prior(trained, x, "normal", epochs=60, learning_rate=0.01, batch_size=512)
    posterior = trained.encoder(x)
    means, variances = posterior.mean().numpy(), posterior.variance().numpy()
    np.testing.assert_allclose(fitted.prior.mean(), means.mean(axis=0), atol=0.1)
    wanted = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    np.testing.assert_allclose(fitted.prior.stddev(), wanted, rtol=0.1)


def test_a_mixture_begins_where_expectation_maximisation_ends(trained):
    x = clusters(512, 0)
    fitted = ex_post.fit_prior(trained, x, epochs=0, num_components=2)
    weights = fitted.prior.mixture_distribution.probs_parameter().numpy()
    np.testing.assert_allclose(weights, 0.5, atol=0.08)  # two groups of about 256
    normal = fitted.prior.components_distribution
    z = np.array([[0.3, -0.2], [1.0, 2.0]], "float32")
    wanted = reference.normal_mixture_log_density(
        z, weights, normal.mean().numpy(), normal.stddev().numpy()
    )
    np.testing.assert_allclose(fitted.prior.log_prob(z), wanted, rtol=1e-4)


@pytest.mark.parametrize("written_as", ["fitted.keras", "fitted"])
@pytest.mark.parametrize("kind", ["mixture", "flow"])
def test_it_is_saved_whole_and_seeded(kind, written_as, tmp_path):
    vae, x = small_vae(), pictures(40)
    fitted, again = (ex_post.fit_prior(vae, x, kind, epochs=1, seed=3) for _ in range(2))
    scores = fitted.log_likelihood(x, 20, seed=0)
    np.testing.assert_allclose(again.log_likelihood(x, 20, seed=0), scores, rtol=1e-5)
    assert not np.allclose(vae.log_likelihood(x, 20, seed=0), scores, rtol=1e-4)
    fitted.compile()
    fitted.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    np.testing.assert_allclose(loaded.log_likelihood(x, 20, seed=0), scores, rtol=1e-5)
    np.testing.assert_allclose(loaded.sample(3, seed=1), fitted.sample(3, seed=1), atol=1e-5)
    loaded.run_eagerly = True
    history = loaded.fit(x, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


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
def test_whatever_the_vae_was_it_has_a_new_prior_and_its_settings(options):
    vae = small_vae(**options)
    fitted = ex_post.fit_prior(vae, pictures(20), epochs=1)
    assert fitted.kl_method == "monte_carlo" and vae.prior is not fitted.prior
    for name in ("objective", "num_samples", "free_bits", "kl_weight", "dequantize"):
        assert getattr(fitted, name) == getattr(vae, name)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="fit_prior: wanted a VAE with a prior"):
        ex_post.fit_prior(small_vae(posterior="deterministic"), pictures())
    with pytest.raises(ValueError, match="kind: wanted one of 'flow', 'mixture', 'normal'"):
        ex_post.fit_prior(small_vae(), pictures(), "vampprior")
    with pytest.raises(ValueError, match="images: wanted at least num_components=10"):
        ex_post.fit_prior(small_vae(), pictures(4))
