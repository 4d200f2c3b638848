"""The inverse autoregressive flow, against its definition, autodiff and numerical integration."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tfpvae import layers
from tfpvae.distributions.flow import gated_step
from tfpvae.networks.autoregressive import AutoregressiveNetwork

tfd, tfb = tfp.distributions, tfp.bijectors


def flow(size, dtype="float64", moved=0.7, **options):
    """A layer whose networks' weights are so large, and parameters for it, [4, P]."""
    options = {"hidden_units": [8, 6], "context_size": 2} | options
    layer = layers.InverseAutoregressiveFlow(size, dtype=dtype, **options)
    rng = np.random.default_rng(3)
    layer.build([None, layer.num_params])
    if moved:
        layer.set_weights([rng.normal(size=weight.shape) * moved for weight in layer.get_weights()])
    return layer, rng.normal(size=(4, layer.num_params)).astype(dtype)


def refuse(*_, **__):
    raise AssertionError("the flow was inverted")


# The networks


@pytest.mark.spread(6)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("size", "hidden_units"),
    [(2, []), (2, [3]), (3, [1]), (5, [8, 4]), (5, [2, 9]), (4, [3, 3, 3])],
)
def test_a_network_looks_only_at_what_is_before(size, hidden_units, backwards):
    network = AutoregressiveNetwork(size, 2, hidden_units, backwards, dtype="float64")
    network.build([None, size])
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=weight.shape) for weight in network.get_weights()])
    z, context = (tf.constant(rng.normal(size=(6, width))) for width in (size, 2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([z, context])
        outputs = network(z, context)
    for output in outputs:
        jacobian = np.abs(tape.batch_jacobian(output, z)).max(axis=0)
        before = np.tri(size, size, -1, bool)
        before = before.T if backwards else before
        assert (jacobian[~before] == 0).all()
        if min(hidden_units, default=size) >= size - 1:
            assert (jacobian[before] > 0).all()  # and at all of it
        assert np.abs(tape.batch_jacobian(output, context)).max() > 0


def test_a_step_is_the_equation():
    rng = np.random.default_rng(0)
    z, value, gate = rng.normal(size=(3, 5, 2))
    step = gated_step(lambda z, context: (tf.constant(value), tf.constant(gate)), tf.zeros([5, 1]))
    s = 1 / (1 + np.exp(-(gate + 2)))
    np.testing.assert_allclose(step.forward(z), s * z + (1 - s) * value, rtol=1e-12)
    np.testing.assert_allclose(
        step.forward_log_det_jacobian(z, event_ndims=1), np.log(s).sum(axis=1), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_latents_that_are_never_drawn_have_no_nan(dtype):
    layer, params = flow(6, dtype, num_flows=3)
    z = 100 * np.random.default_rng(1).normal(size=(500, 4, 6)).astype(dtype)
    log_prob = layer(params).log_prob(z).numpy()
    assert not np.isnan(log_prob).any()
    assert log_prob.max() < -1000  # of what is 100 standard deviations away


def test_extreme_gates_are_finite_with_their_gradients():
    z = tf.constant([[1.0, -2.0]])
    for gate in (-1000.0, 1000.0):
        gates = tf.constant([[gate, gate]])
        with tf.GradientTape() as tape:
            tape.watch(gates)
            step = gated_step(lambda z, context, gates=gates: (3 + z, gates), tf.zeros([1, 1]))
            result = step.forward(z), step.forward_log_det_jacobian(z, event_ndims=1)
            total = sum(tf.reduce_sum(value) for value in result)
        assert all(np.isfinite(value).all() for value in result)
        assert np.isfinite(tape.gradient(total, gates)).all()


# The distribution


def test_density_integrates_to_one():
    layer, params = flow(2, moved=0.5, num_flows=3)
    posterior = layer(params[:1])
    mean, stddev = posterior.mean().numpy()[0], posterior.stddev().numpy()[0]
    axes = [np.linspace(m - 12 * s, m + 12 * s, 600) for m, s in zip(mean, stddev, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    density = np.exp(posterior.log_prob(grid).numpy())
    cell = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert density.sum() * cell == pytest.approx(1, abs=1e-5)
    # Bent enough: its third moment, 0 of a normal, is not.
    draws = posterior.sample(40_000, seed=(1, 2)).numpy()[:, 0]
    standard = (draws - draws.mean(axis=0)) / draws.std(axis=0)
    assert np.abs((standard**3).mean(axis=0)).max() > 0.3
    first = (grid[:, 0] * density).sum(axis=0) * cell
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - first) < 4 * error).all()


@pytest.mark.spread(6)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("num_flows", [1, 2, 5])
def test_log_prob_of_its_own_draw_is_that_of_the_same_values(shape, num_flows):
    layer, params = flow(3, num_flows=num_flows)
    posterior = layer(params)
    draw = posterior.sample(shape, seed=(1, 2))
    assert draw.shape == (*shape, 4, 3)
    np.testing.assert_allclose(
        posterior.log_prob(draw), posterior.log_prob(tf.identity(draw)), rtol=1e-7
    )


def test_a_mixture_of_flows_scores_as_many_latents_as_come():
    """In a graph that does not know how many: a VampPrior of such an encoder."""
    layer, params = flow(3)
    z = np.random.default_rng(1).normal(size=(5, 2, 3))

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float64)])
    def score(z):
        posteriors = layer(params).tensor_distribution  # 4 of them
        mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=np.zeros(4)), posteriors)
        return mixture.log_prob(z)

    parts = [layer(params[i : i + 1]).log_prob(z[:, :, np.newaxis])[..., 0] for i in range(4)]
    expected = np.log(np.mean(np.exp(parts), axis=0))
    np.testing.assert_allclose(score(z), expected, rtol=1e-9)
    np.testing.assert_allclose(layer(params).log_prob(z[0, 0]), np.stack(parts)[:, 0, 0], rtol=1e-9)


def test_log_prob_of_its_own_draw_inverts_nothing(monkeypatch):
    layer, params = flow(3)
    monkeypatch.setattr(tfb.MaskedAutoregressiveFlow, "_forward", refuse)

    def own(params, count):
        posterior = layer(params)
        draws = posterior.sample(count, seed=(1, 2))
        value = tf.convert_to_tensor(posterior)
        return posterior.log_prob(draws), posterior.log_prob(value)

    for function in (own, tf.function(own), tf.function(own, jit_compile=True)):
        count = tf.constant(5) if function is not own and not function._jit_compile else 5
        result = function(params, count)
        assert [part.shape for part in result] == [(5, 4), (4,)]
    posterior = layer(params)
    with pytest.raises(AssertionError, match="inverted"):
        posterior.log_prob(tf.identity(posterior.sample()))


def test_training_and_scoring_invert_nothing(monkeypatch):
    monkeypatch.setattr(tfb.MaskedAutoregressiveFlow, "_forward", refuse)
    vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), latent_dim=3, posterior="iaf")
    vae.compile()
    x = np.random.default_rng(0).uniform(size=(8, 6, 5, 1)).astype("float32")
    history = vae.fit(x, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(vae.elbo(x, 3)).all()
    assert np.isfinite(vae.log_likelihood(x, 3)).all()


@pytest.mark.parametrize("num_flows", [1, 2, 3])
def test_the_bijector_goes_back_and_its_log_det_is_that_of_autodiff(num_flows):
    layer, params = flow(4, num_flows=num_flows)
    bijector = layer.flow(tf.constant(params[:, -2:]))
    x = tf.constant(np.random.default_rng(1).normal(size=(4, 4)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = bijector.forward(x)
    jacobian = tape.batch_jacobian(z, x).numpy()
    np.testing.assert_allclose(bijector.inverse(tf.identity(z)), x, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(x, event_ndims=1),
        np.linalg.slogdet(jacobian)[1],
        rtol=1e-9,
    )
    is_triangular = (jacobian[:, ~np.tri(4, dtype=bool)] == 0).all()
    assert is_triangular == (num_flows == 1)  # the order is reversed from step to step


def test_log_prob_of_draws_is_that_of_the_normal_less_the_log_det():
    layer, params = flow(3)
    posterior = layer(params)
    normal = posterior.tensor_distribution.distribution
    bijector = posterior.tensor_distribution.bijector
    x = normal.sample(6, seed=(1, 2))
    log_det = bijector.forward_log_det_jacobian(x, event_ndims=1)
    result = posterior.log_prob(tf.identity(bijector.forward(x)))
    np.testing.assert_allclose(result, normal.log_prob(x) - log_det, rtol=1e-7)


def test_it_starts_as_the_independent_normal():
    layer, params = flow(3, moved=0, num_flows=4)
    posterior, normal = layer(params), layers.IndependentNormal(3, dtype="float64")(params[:, :6])
    np.testing.assert_allclose(posterior.mean(), normal.mean(), rtol=1e-12)
    np.testing.assert_allclose(posterior.stddev(), normal.stddev(), rtol=1e-12)
    z = np.random.default_rng(1).normal(size=(5, 4, 3))
    np.testing.assert_allclose(posterior.log_prob(z), normal.log_prob(z), rtol=1e-10)


def test_start_params_are_of_that_scale_with_an_empty_context():
    layer, _ = flow(3, moved=0, scale_floor=0.0)
    params = np.concatenate([np.ones(3), layer.start_params(0.3)])[None]
    assert params.shape == (1, layer.num_params)
    np.testing.assert_allclose(layer(params).stddev(), [[0.3] * 3], rtol=1e-6)
    assert (params[:, -2:] == 0).all()


def test_moments_are_near_those_of_many_draws_and_always_the_same():
    layer, params = flow(3)
    posterior = layer(params)
    draws = posterior.sample(50_000, seed=(1, 2)).numpy()
    mean, stddev = draws.mean(axis=0), draws.std(axis=0)
    # Of 64 draws: 4 standard errors of a mean, and as much of a standard deviation.
    assert (np.abs(posterior.mean() - mean) < 4 * stddev / 8).all()
    np.testing.assert_allclose(posterior.stddev(), stddev, rtol=0.5)
    np.testing.assert_allclose(posterior.variance(), posterior.stddev() ** 2, rtol=1e-12)

    def moments(params):
        posterior = layer(params)
        return posterior.mean(), posterior.stddev()

    for again in (moments, tf.function(moments), tf.function(moments, jit_compile=True)):
        np.testing.assert_allclose(again(params)[0], posterior.mean(), rtol=1e-12)
        np.testing.assert_allclose(again(params)[1], posterior.stddev(), rtol=1e-12)


def test_xla_computes_the_same_of_any_latents():
    layer, params = flow(3)
    z = np.random.default_rng(1).normal(size=(5, 4, 3))

    def gradient_of_log_prob(params, z):
        with tf.GradientTape() as tape:
            tape.watch(params)
            log_prob = layer(params).log_prob(z)
        return log_prob, tape.gradient(log_prob, params)

    plain = gradient_of_log_prob(tf.constant(params), z)
    compiled = tf.function(gradient_of_log_prob, jit_compile=True)(params, z)
    for result, expected in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-7, atol=1e-9)


def test_float32_is_near_float64():
    layer, params = flow(3)
    single, _ = flow(3, "float32")
    single.set_weights(layer.get_weights())
    draws = layer(params).sample(seed=(1, 2))
    # Going back through two steps multiplies the rounding by 1 / s each time.
    np.testing.assert_allclose(
        single(params.astype("float32")).log_prob(tf.cast(draws, "float32")),
        layer(params).log_prob(tf.identity(draws)),
        rtol=1e-3,
    )


def test_batch_shape_and_parameters_are_those_of_a_distribution():
    layer, params = flow(3)
    posterior = layer(params).tensor_distribution
    assert (posterior.batch_shape, posterior.event_shape) == ([4], [3])
    copy = posterior.copy()
    z = np.zeros([4, 3])
    np.testing.assert_array_equal(copy.log_prob(z), posterior.log_prob(z))
    shapes = [part.shape for part in tf.nest.flatten(posterior, expand_composites=True)]
    assert sorted(shapes, key=tuple) == [[4, 2], [4, 3], [4, 3]]


# The layer


def test_the_networks_weights_are_the_layers():
    layer, _ = flow(3, num_flows=2)
    # kernel and bias of three layers, and the context's kernel: 3 -> 8 -> 6 -> 2 * 3, 2 -> 8
    assert len(layer.trainable_weights) == len(layer.weights) == 2 * 7
    assert layer.count_params() == 2 * (3 * 8 + 8 + 8 * 6 + 6 + 6 * 6 + 6 + 2 * 8)
    assert len({weight.name for weight in layer.weights}) == 14


def test_gradients_reach_every_weight_after_the_first_step():
    layer, params = flow(3, "float32", moved=0)
    optimizer = tf_keras.optimizers.SGD(0.1)
    for _ in range(2):
        with tf.GradientTape() as tape:
            posterior = layer(params)
            loss = tf.reduce_sum(tf.exp(-tf.convert_to_tensor(posterior)))
        gradients = tape.gradient(loss, layer.trainable_weights)
        optimizer.apply_gradients(zip(gradients, layer.trainable_weights, strict=True))
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, weight.name


def test_start_values_follow_the_seed_of_keras():
    result = []
    for seed in (1, 1, 2):
        tf_keras.utils.set_random_seed(seed)
        result.append(flow(3, moved=0)[0].get_weights()[0])
    np.testing.assert_array_equal(result[0], result[1])
    assert not np.array_equal(result[0], result[2])


def test_config_round_trip():
    prior = tfpvae.build_prior(latent_dim=3)
    layer = layers.InverseAutoregressiveFlow(
        3,
        "mean",
        scale_floor=0.01,
        num_flows=3,
        hidden_units=(7, 5),
        context_size=4,
        name="head",
        activity_regularizer=layers.KLDivergenceRegularizer(prior, None, weight=0.5),
    )
    copy = layers.InverseAutoregressiveFlow.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    params = np.ones([2, layer.num_params], "float32")
    layer(params), copy(params)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(params).mean(), layer(params).mean())


@pytest.mark.spread(2)
@pytest.mark.parametrize("written_as", ["a.keras", "folder", "a.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_it_saves_in_a_keras_model_of_ones_own(tmp_path, written_as):
    head = layers.InverseAutoregressiveFlow(3, num_flows=3, hidden_units=[5])
    encoder = tf_keras.Sequential(
        [tf_keras.Input((4,)), tf_keras.layers.Dense(head.num_params), head]
    )
    rng = np.random.default_rng(0)
    encoder.set_weights([rng.normal(size=weight.shape) for weight in encoder.get_weights()])
    encoder.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as, compile=False)
    x = rng.normal(size=(5, 4)).astype("float32")
    np.testing.assert_array_equal(loaded(x).mean(), encoder(x).mean())
    assert len(loaded.weights) == len(encoder.weights) == 2 + 3 * 5


def test_it_stays_in_float32_under_a_mixed_policy():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        head = layers.InverseAutoregressiveFlow(3)
        dense = tf_keras.layers.Dense(head.num_params)
        posterior = tf_keras.Sequential([tf_keras.Input((4,)), dense, head])(np.ones([2, 4]))
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert dense.compute_dtype == "bfloat16"
    assert posterior.dtype == posterior.mean().dtype == tf.float32
    assert {weight.dtype for weight in head.weights} == {tf.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_size": 1}, "event_size: .*at least 2, got 1"),
        ({"num_flows": 0}, "num_flows: .*0"),
        ({"hidden_units": [4, 0]}, "hidden_units: .*0"),
        ({"context_size": 0}, "context_size: .*0"),
        ({"scale_floor": -1.0}, "scale_floor: .*-1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        layers.InverseAutoregressiveFlow(**{"event_size": 3} | options)
