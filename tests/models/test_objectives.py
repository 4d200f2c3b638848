"""The objectives against NumPy, their gradients, and how they train and are saved."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy import special

import tfpvae
from tfpvae.distributions.divergences import sampled_kl
from tfpvae.models import estimators, objectives

tfd = tfp.distributions

SHAPE = (4, 4, 1)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(6, *SHAPE)).astype("float32")
NLL, LOG_RATIO = RNG.normal(size=(5, 6)), RNG.normal(size=(5, 6))


def vae_with(seed=0, **options) -> tfpvae.VAE:
    tf_keras.utils.set_random_seed(seed)
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, **options)
    vae.compile(tf_keras.optimizers.Adam(0.01))
    return vae


# Against NumPy


@pytest.mark.parametrize("kl_weight", [0.3, 1.0])
def test_negative_iwae_agrees_with_numpy(kl_weight):
    expected = np.log(5) - special.logsumexp(-NLL - kl_weight * LOG_RATIO, axis=0)
    result = objectives.negative_iwae(tf.constant(NLL), tf.constant(LOG_RATIO), kl_weight)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_negative_iwae_survives_weights_that_underflow():
    nll = tf.constant([[800.0], [810.0]])
    expected = 800 + np.log(2) - np.log1p(np.exp(-10.0))
    np.testing.assert_allclose(objectives.negative_iwae(nll, 0 * nll, 1.0), [expected], rtol=1e-6)


def test_one_draw_of_iwae_is_the_elbo_on_the_same_draw():
    nll, ratio = tf.constant(NLL[:1]), tf.constant(LOG_RATIO[:1])
    elbo = objectives.negative_elbo(nll, ratio[0], 0.7)
    np.testing.assert_allclose(objectives.negative_iwae(nll, ratio, 0.7), elbo, rtol=1e-12)


def test_free_bits_are_counted_per_dimension():
    mean, scale = np.array([[2.0, 0.1], [1.0, 0.0]]), np.array([[1.0, 0.9], [0.5, 1.0]])
    kls = 0.5 * (scale**2 + mean**2 - 1) - np.log(scale)
    posterior = tfd.Independent(tfd.Normal(mean, scale), 1)
    prior = tfd.Independent(tfd.Normal(np.zeros(2), np.ones(2)), 1)
    for free in (0.0, 0.4, 5.0):
        result = objectives.with_free_bits(posterior, prior, tf.constant(kls.sum(1)), free)
        np.testing.assert_allclose(result, np.maximum(kls.mean(0), free).sum(), rtol=1e-12)


def test_free_bits_of_dependent_dimensions_are_counted_in_sum():
    tril = tfd.MultivariateNormalTriL(tf.zeros([2, 3]), tf.eye(3))
    prior = tfd.MultivariateNormalDiag(tf.zeros(3))
    for kl, expected in ((1.0, 1.5), (4.0, 4.0)):
        result = objectives.with_free_bits(tril, prior, tf.fill([2], kl), 0.5)
        assert float(result) == expected


# Gradients


def _gradients(vae, selects):
    with tf.GradientTape() as tape:
        loss, *_ = vae._objective(IMAGES, training=True)
    variables = [v for v in vae.trainable_variables if selects(v)]
    return [np.asarray(gradient) for gradient in tape.gradient(loss, variables)]


def test_the_doubly_reparameterized_gradient_sums_squared_weights_times_path_derivatives():
    """By hand: the weights of the draws, and d log w / dz with a constant posterior."""
    vae = vae_with(objective="dreg", num_samples=4)
    kernel = vae.encoder.trainable_variables[-2]
    noise = tf.constant(RNG.normal(size=(4, 6, 2)), tf.float32)

    def latents(posterior, num_samples, seed=None):
        assert num_samples == 4
        return posterior.mean() + posterior.stddev() * noise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objectives, "draw_latents", latents)
        with tf.GradientTape() as tape:
            loss, *_ = vae._objective(IMAGES, training=True)
        result = tape.gradient(loss, kernel)

    with tf.GradientTape(persistent=True) as outer:
        posterior = vae.encoder(IMAGES)
        z = latents(posterior, 4)
        constant = tfd.Independent(
            tfd.Normal(*(tf.stop_gradient(t) for t in (posterior.mean(), posterior.stddev()))), 1
        )
        outer.watch(z)
        likelihood = vae.decoder(tf.reshape(z, [-1, 2]))
        log_p = tf.reshape(likelihood.log_prob(tf.tile(IMAGES, [4, 1, 1, 1])), [4, 6])
        log_weights = log_p - sampled_kl(constant, vae.prior, z)
    path = outer.gradient(log_weights, z)  # [S, B, D]
    weights = special.softmax(log_weights.numpy(), axis=0)
    upstream = -tf.constant(weights[..., None] ** 2) * path / len(IMAGES)
    expected = outer.gradient(z, kernel, output_gradients=upstream)
    np.testing.assert_allclose(result, expected, rtol=2e-3, atol=1e-5)  # float32 sums


@pytest.mark.slow
def test_iwae_and_dreg_gradients_agree_on_average_and_dreg_has_less_noise():
    """On the last kernel of the encoder, of a model that has learned a little."""
    iwae, dreg = (vae_with(objective=name, num_samples=16) for name in ("iwae", "dreg"))
    iwae.fit(IMAGES, epochs=100, verbose=0)
    dreg.set_weights(iwae.get_weights())
    last = [v.ref() for vae in (iwae, dreg) for v in vae.encoder.trainable_variables[-2:]]
    step = {vae: tf.function(lambda vae=vae: _last_gradient(vae, last)) for vae in (iwae, dreg)}
    draws = {vae: np.stack([step[vae]().numpy().ravel() for _ in range(1500)]) for vae in step}
    one, other = draws[iwae], draws[dreg]
    is_active = one.var(0) > 0  # an inactive unit of the backbone has no gradient
    error = np.sqrt((one.var(0) + other.var(0)) / len(one))[is_active]
    assert (
        np.abs((one.mean(0) - other.mean(0))[is_active] / error).max() < 5
    )  # over a thousand values
    assert other.var(0).sum() < 0.5 * one.var(0).sum()


def _last_gradient(vae, last):
    vae.optimizer.iterations.assign_add(1)  # new draws for each step
    with tf.GradientTape() as tape:
        loss, *_ = vae._objective(IMAGES, training=True)
    variables = [v for v in vae.trainable_variables if v.ref() in last]
    return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, variables)], 0)


def test_iwae_and_dreg_give_the_decoder_the_same_gradient():
    def gradients(objective):
        vae = vae_with(objective=objective, num_samples=3)
        vae.training_state.seed.assign([5, 5])
        kernels = {v.ref() for v in vae.decoder.trainable_variables}
        return _gradients(vae, lambda v: v.ref() in kernels)

    for one, other in zip(gradients("iwae"), gradients("dreg"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


# In training

SETTINGS = [
    {"num_samples": 3},
    {"objective": "iwae", "num_samples": 3},
    {"objective": "dreg", "num_samples": 3},
    {"objective": "iwae", "posterior": "multivariate_normal_tril", "num_samples": 2},
    {"objective": "dreg", "posterior": "multivariate_normal_tril", "num_samples": 2},
    {"free_bits": 0.5},
    {"target_rate": 3.0, "kl_weight": 10.0},
    {"likelihood": "continuous_bernoulli", "dequantize": True},
]
every_setting = pytest.mark.parametrize(
    "options", SETTINGS, ids=lambda options: ", ".join(f"{k}={v}" for k, v in options.items())
)


@pytest.mark.spread(4)
@every_setting
def test_training_lowers_the_loss_and_reports_the_unweighted_terms(options):
    vae = vae_with(**options)
    history = vae.fit(IMAGES, epochs=60, verbose=0).history
    assert np.mean(history["loss"][-5:]) < np.mean(history["loss"][:5])
    np.testing.assert_allclose(history["elbo"], -np.add(history["nll"], history["kl"]), rtol=1e-5)


# A folder takes long and has the same config as a file; one is enough.
@pytest.mark.spread(4)
@pytest.mark.parametrize(
    ("options", "written_as"),
    [*((options, "a.keras") for options in SETTINGS), (SETTINGS[1], "folder")],
    ids=str,
)
def test_settings_are_saved(tmp_path, options, written_as):
    vae = vae_with(**options)
    vae.compile(run_eagerly=True)
    vae.fit(IMAGES, verbose=0)
    vae.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    loaded.run_eagerly = True
    for name in ("objective", "num_samples", "free_bits", "target_rate", "dequantize"):
        assert getattr(loaded, name) == getattr(vae, name)
    losses = []
    for model in (vae, loaded):
        tf_keras.utils.set_random_seed(3)
        losses.append(model.evaluate(IMAGES, verbose=0))
    np.testing.assert_allclose(*losses, rtol=1e-6)


@pytest.mark.spread(2)
@pytest.mark.parametrize("options", [SETTINGS[2], SETTINGS[4], SETTINGS[5], SETTINGS[7]], ids=str)
def test_objectives_train_by_xla(options):
    vae = vae_with(**options)
    vae.compile(jit_compile=True)
    assert np.isfinite(vae.fit(IMAGES, verbose=0).history["loss"]).all()


def test_free_bits_prevent_posterior_collapse():
    """A weight far too large drives the KL to 0, except for the free bits."""
    kls = {}
    for free in (0.0, 0.5):
        vae = vae_with(
            free_bits=free, kl_weight=30.0, start_images=IMAGES
        )  # KL starts above the free bits
        vae.compile(tf_keras.optimizers.SGD(0.003))
        vae.fit(np.repeat(IMAGES, 20, axis=0), epochs=60, batch_size=120, verbose=0)
        kls[free] = vae.evaluate(IMAGES, verbose=0, return_dict=True)["kl"]
    assert kls[0.0] < 0.05
    assert (
        0.5 < kls[0.5] < 1.1
    )  # two dimensions; a step may cross the threshold, where no gradient leads back


def test_the_kl_stays_at_the_target_rate():
    vae = vae_with(target_rate=3.0, kl_weight=50.0)
    kls = vae.fit(IMAGES, epochs=500, verbose=0).history["kl"]
    # The gradient of |KL - target| is a sign, so that the last steps oscillate.
    assert np.mean(kls[-100:]) == pytest.approx(3.0, abs=0.2)


def test_more_draws_tighten_the_iwae_bound():
    losses = {}
    for num_samples in (1, 50):
        vae = vae_with(objective="iwae", num_samples=num_samples)
        losses[num_samples] = np.mean(
            [vae.evaluate(IMAGES, verbose=0, return_dict=True)["loss"] for _ in range(20)]
        )
    bound = vae_with().log_likelihood(IMAGES, 2000, seed=0).numpy().mean()
    assert losses[1] > losses[50] > -bound - 0.05  # 0.05: the noise of 20 evaluations


def test_more_draws_of_the_elbo_keep_its_mean_with_less_noise():
    one, many = vae_with(), vae_with(num_samples=20)
    nlls = [
        [vae.evaluate(IMAGES, verbose=0, return_dict=True)["nll"] for _ in range(40)]
        for vae in (one, many)
    ]
    error = np.sqrt(sum(np.var(values) for values in nlls) / 40)
    assert abs(np.mean(nlls[0]) - np.mean(nlls[1])) < 4 * error
    assert np.var(nlls[1]) < 0.5 * np.var(nlls[0])  # a twentieth in expectation


def test_dequantized_pixels_are_uniform_within_their_level():
    vae = vae_with(likelihood="continuous_bernoulli", dequantize=True)
    levels = np.repeat(np.array([0, 100, 255], np.uint8), 2000).reshape(3, 1, 2000, 1)
    result = estimators.preprocess(vae, levels, tf.constant([1, 2])).numpy() * 256
    offsets = result - np.array([0, 100, 255]).reshape(3, 1, 1, 1)
    assert offsets.min() > -1e-3 and offsets.max() < 1 + 1e-3
    np.testing.assert_allclose(offsets.mean(axis=(1, 2, 3)), 0.5, atol=4 / np.sqrt(12 * 2000))
    repeated = estimators.preprocess(vae, levels, tf.constant([1, 2]))
    np.testing.assert_array_equal(repeated * 256, result)


# Refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "elboo"}, "objective: wanted one of 'dreg', 'elbo', 'iwae', got 'elboo'."),
        ({"num_samples": 0}, "num_samples: wanted a whole number, at least 1, got 0."),
        ({"free_bits": -1.0}, "free_bits: wanted a finite number, at least 0, got -1.0."),
        ({"target_rate": np.inf}, "target_rate: wanted a finite number, at least 0, got inf."),
        ({"free_bits": 1.0, "target_rate": 1.0}, "target_rate: wanted free_bits or a target_rate"),
        ({"objective": "iwae", "free_bits": 1.0}, "free_bits: wanted the objective 'elbo'"),
        ({"objective": "dreg", "target_rate": 1.0}, "target_rate: wanted the objective 'elbo'"),
        ({"posterior": "deterministic", "objective": "iwae"}, "objective: wanted 'elbo' with one"),
        ({"posterior": "iaf", "objective": "dreg"}, "objective: .*tensors for 'dreg', got FlowDis"),
        ({"posterior": "deterministic", "num_samples": 2}, "objective: wanted 'elbo' with one"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        vae_with(**options)


def test_dequantize_is_a_flag():
    with pytest.raises(TypeError, match="dequantize: wanted True or False, got 'uniform'"):
        vae_with(likelihood="normal", dequantize="uniform")
