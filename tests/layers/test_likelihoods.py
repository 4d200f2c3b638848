"""The continuous Bernoulli against integrals of its density, and what all likelihoods keep."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from scipy import integrate, special, stats

import tfpvae
from tests import reference
from tests.pairs import once
from tfpvae import layers

tfd = tfp.distributions

SHAPE = (3, 2, 2)
LIKELIHOODS = {
    "bernoulli": lambda **o: layers.IndependentBernoulli(SHAPE, "mean", **o),
    "continuous Bernoulli": lambda **o: layers.IndependentContinuousBernoulli(SHAPE, "mean", **o),
    "normal, learned scale": lambda **o: layers.NormalLikelihood(SHAPE, **o),
    "normal, fixed scale": lambda **o: layers.NormalLikelihood(SHAPE, scale=0.2, **o),
    "normal, pixel's scale": lambda **o: layers.NormalLikelihood(
        SHAPE, scale="per_pixel", scale_floor=0.01, **o
    ),
    "beta": lambda **o: layers.BetaLikelihood(SHAPE, concentration_floor=2, **o),
    "discretized logistic": lambda **o: layers.DiscretizedLogisticLikelihood(
        SHAPE, scale_floor=0.01, **o
    ),
    "mixture": lambda **o: layers.LogisticMixtureLikelihood(SHAPE, components=3, **o),
    "coupled mixture": lambda **o: layers.CoupledLogisticMixtureLikelihood(
        SHAPE, components=3, **o
    ),
}
NORMALS = {name for name in LIKELIHOODS if name.startswith("normal")}
every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])

# sigmoid of the fourth and fifth is 0.499 and 0.501.
LOGITS = [-100.0, -89.0, -5.0, -0.004, 0.004, -1e-6, 0.0, 0.3, 0.99, 1.01, 5.0, 89.0, 100.0, 1000.0]


def continuous_bernoulli(logits, dtype):
    logits = tf.constant(logits, dtype)
    head = layers.IndependentContinuousBernoulli(logits.shape[-1], dtype=dtype)
    return head(logits[tf.newaxis]).distribution


def integral(function, logit):
    """The integral over [0, 1] of function(x) exp(logit x) / its own integral."""
    shift = max(logit, 0.0)  # exp would overflow
    edges = [min(1, 5 / max(abs(logit), 1)), 1 - min(1, 5 / max(abs(logit), 1))]

    def whole(f):
        value = integrate.quad(
            lambda x: f(x) * np.exp(logit * x - shift), 0, 1, points=edges, epsabs=0, epsrel=1e-12
        )
        return value[0]

    return whole(function) / whole(lambda x: 1.0)


@every_dtype
def test_bernoulli_has_the_log_prob_and_the_gradient_of_its_formula(dtype):
    pixels, logits = np.meshgrid([0.0, 0.3, 1.0], LOGITS)
    given = tf.Variable(logits.reshape(-1, 1), dtype=dtype)
    with tf.GradientTape() as tape:
        result = layers.IndependentBernoulli(1, dtype=dtype)(given).log_prob(pixels.reshape(-1, 1))
    # Some roundings of a number of the size of the logit, whose products cancel.
    tolerance = {"rtol": 4 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
    expected = reference.bernoulli_log_prob(pixels.reshape(-1, 1), logits.reshape(-1, 1))
    np.testing.assert_allclose(result, expected, **tolerance)
    residual = pixels - special.expit(logits)  # d/dl log p = x - s(l)
    np.testing.assert_allclose(tape.gradient(result, given), residual.reshape(-1, 1), **tolerance)


@every_dtype
@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")  # at its last digits
def test_continuous_bernoulli_moments_and_gradients_are_the_integrals(logit, dtype):
    mean = integral(lambda x: x, logit)
    variance = integral(lambda x: (x - mean) ** 2, logit)
    third = integral(lambda x: (x - mean) ** 3, logit)
    logits = tf.constant([logit], dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        result = continuous_bernoulli(logits, dtype)
        moments = {"mean": result.mean(), "variance": result.variance()}
        log_prob = result.log_prob(tf.constant(0.3, dtype))
    # Of an exponential family the derivatives of the moments are the next central moments. Formulas
    # with 1 / logit^3 cancel to 1e-4 of float32 near 1, where they begin.
    tolerance = 2e-4 if dtype == "float32" else 1e-9
    near = {"rtol": tolerance, "atol": tolerance / 100}
    np.testing.assert_allclose(moments["mean"][0, 0], mean, **near)
    np.testing.assert_allclose(moments["variance"][0, 0], variance, **near)
    np.testing.assert_allclose(tape.gradient(moments["mean"], logits)[0], variance, **near)
    np.testing.assert_allclose(tape.gradient(moments["variance"], logits)[0], third, **near)
    np.testing.assert_allclose(tape.gradient(log_prob, logits)[0], 0.3 - mean, **near)
    expected = reference.continuous_bernoulli_log_prob(np.array([[0.3]]), np.array([[logit]]))
    near = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(log_prob[0], expected, **near)


@every_dtype
def test_continuous_bernoulli_is_smooth_where_its_formulas_change(dtype):
    """Over 0, +-0.004 (l = 0.499, 0.501) and +-1, steps hardly differ from their neighbors."""
    grid = np.linspace(-1.2, 1.2, 2401)
    distribution = continuous_bernoulli(grid, dtype)
    eps = np.finfo(dtype).eps
    for values in (distribution.mean(), distribution.variance(), distribution.log_prob(0.3)):
        steps = np.diff(np.asarray(values, np.float64)[0])
        # From one step to the next 1e-6 at most; the rest is rounding, worst at |logit| = 0.3.
        assert np.abs(np.diff(steps)).max() < 1.1e-6 + 50 * eps


@every_dtype
def test_continuous_bernoulli_has_the_published_numbers(dtype):
    """Loaiza-Ganem and Cunningham 2019, at l = 1/2 and l = 0.2."""
    distribution = continuous_bernoulli([0.0, np.log(0.2 / 0.8)], dtype)
    # The numbers have six digits; float32 has seven, and cancels to about six here.
    near = {"float32": 2e-6, "float64": 5e-7}[dtype]
    np.testing.assert_allclose(distribution.mean()[0], [0.5, 0.388014], atol=near)
    np.testing.assert_allclose(distribution.variance()[0], [1 / 12, 0.075898], atol=near)
    # Of a pixel of 1/2 the density is C sqrt(l (1 - l)).
    log_c = distribution.log_prob(tf.constant(0.5, dtype))[0] - 0.5 * np.log([0.25, 0.16])
    expected = [np.log(2), np.log(2 * np.arctanh(0.6) / 0.6)]
    np.testing.assert_allclose(log_c, expected, rtol={"float32": 1e-6, "float64": 1e-12}[dtype])
    near, far = (continuous_bernoulli([logit], dtype) for logit in (-0.0340, -0.1343))
    # A sum of terms of size 0.03, whose rounding is 4e-9 in float32.
    tolerance = {"float32": 5e-7, "float64": 5e-8}[dtype]
    np.testing.assert_allclose(tfd.kl_divergence(far, near)[0, 0], 4.189e-4, atol=tolerance)


@every_dtype
@pytest.mark.parametrize("logit", [-100.0, -3.0, 0.0, 0.004, 20.0, 100.0])
def test_continuous_bernoulli_integrates_to_one(logit, dtype):
    distribution = continuous_bernoulli([logit], dtype)
    points, weights = np.polynomial.legendre.leggauss(200)
    points = ((points[:, np.newaxis, np.newaxis] + 1) / 2).astype(dtype)
    density = distribution.prob(points).numpy()[:, 0, 0].astype("float64")
    # exp(100) of a logit that is rounded: 100 times float32's 6e-8.
    rtol = {"float32": 2e-5, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(density @ weights / 2, 1, rtol=rtol)


@every_dtype
@every_likelihood
def test_no_parameters_and_pixels_make_a_value_or_a_gradient_that_is_none(name, dtype):
    head = LIKELIHOODS[name](dtype=dtype)
    rng = np.random.default_rng(0)
    size = int(head.params_size(SHAPE))
    mild, extreme = rng.normal(size=(60, size)), rng.choice([-1e3, -100, 0, 100], (60, size))
    pixels = np.concatenate([np.zeros((20, *SHAPE)), rng.uniform(size=(20, *SHAPE))])
    pixels = np.concatenate([pixels, np.ones((20, *SHAPE))]).astype(dtype)
    for params in (tf.constant(mild, dtype), tf.constant(extreme, dtype)):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(params)
            likelihood = head(params)
            log_prob, mean = likelihood.log_prob(pixels), likelihood.mean()
        assert log_prob.shape == [60] and mean.shape == [60, *SHAPE]
        for value in (log_prob, mean):
            assert value.dtype == dtype
            assert np.isfinite(value).all()
            assert np.isfinite(tape.gradient(value, params)).all()
        assert np.min(mean) >= 0 and np.max(mean) <= 1


@every_likelihood
def test_draws_are_seeded_have_the_mean_and_lie_where_pixels_do(name):
    head = LIKELIHOODS[name]()
    size = int(head.params_size(SHAPE))
    params = np.random.default_rng(0).normal(size=(1, size)).astype("float32")
    likelihood = head(params)
    draws = likelihood.sample(4000, seed=(1, 2)).numpy()
    np.testing.assert_array_equal(draws, likelihood.sample(4000, seed=(1, 2)))
    assert not np.array_equal(draws, likelihood.sample(4000, seed=(1, 3)))
    assert name in NORMALS or (draws.min() >= 0 and draws.max() <= 1)
    error = draws.std(axis=0) / np.sqrt(len(draws)) + 1e-4
    assert (np.abs(draws.mean(axis=0) - likelihood.mean()) < 5 * error).all()


@every_likelihood
def test_eager_graph_and_xla_agree_for_any_batch(name):
    head = LIKELIHOODS[name]()
    rng = np.random.default_rng(0)
    size = int(head.params_size(SHAPE))
    params = rng.normal(size=(4, size)).astype("float32")
    pixels = rng.uniform(size=(4, *SHAPE)).astype("float32")
    signature = [tf.TensorSpec([None, size]), tf.TensorSpec([None, *SHAPE])]

    def scores(params, pixels):
        likelihood = head(params)
        return likelihood.log_prob(pixels), likelihood.mean()

    for compiled in (False, True):
        function = tf.function(scores, input_signature=signature, jit_compile=compiled)
        for result, expected in zip(function(params, pixels), scores(params, pixels), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)  # reordered sums


@every_likelihood
def test_a_mixed_policy_leaves_the_layer_and_its_weights_in_float32(name):
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        head = LIKELIHOODS[name]()
        model = tf_keras.Sequential(
            [tf_keras.Input((2,)), tf_keras.layers.Dense(int(head.params_size(SHAPE))), head]
        )
        likelihood = model(np.ones([2, 2], "float32"))
        assert likelihood.log_prob(tf.zeros([2, *SHAPE])).dtype == tf.float32
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert model.layers[0].compute_dtype == "bfloat16"
    assert likelihood.dtype == tf.float32
    assert all(weight.dtype == tf.float32 for weight in head.weights)


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 3), (7,), (127,), ()], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bernoulli_log_prob_and_gradient_are_those_of_numpy(shape, dtype):
    rng = np.random.default_rng(0)
    logits = (20 * rng.normal(size=(6, int(np.prod(shape))))).astype(dtype)
    logits[0] = 0
    x = rng.uniform(size=(6, *shape)).astype(dtype)
    head = layers.IndependentBernoulli(list(shape), dtype=dtype)
    params = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(params)
        result = head(params).log_prob(x)
    rtol = {"float32": 1e-6, "float64": 1e-13}[dtype]
    flat = x.reshape(6, -1)
    np.testing.assert_allclose(result, reference.bernoulli_log_prob(flat, logits), rtol=rtol)
    gradient = tape.gradient(result, params)
    np.testing.assert_allclose(gradient, flat - special.expit(logits), rtol=rtol, atol=rtol)
    one_for_all = reference.bernoulli_log_prob(np.repeat(flat[:1], 6, axis=0), logits)
    np.testing.assert_allclose(head(params).log_prob(x[:1]), one_for_all, rtol=rtol)
    draws = x[np.newaxis] * np.linspace(0, 1, 3, dtype=dtype).reshape(3, *[1] * x.ndim)
    each = [head(params).log_prob(draw) for draw in draws]
    np.testing.assert_allclose(head(params).log_prob(draws), each, rtol=rtol)


@every_likelihood
def test_config_round_trip(name):
    head = LIKELIHOODS[name](validate_args=True, name="head")
    again = type(head).from_config(head.get_config())
    assert again.get_config() == head.get_config()
    params = np.random.default_rng(0).normal(size=(2, int(head.params_size(SHAPE))))
    pixels = np.ones([2, *SHAPE], "float32")  # a Bernoulli that checks wants binary ones
    expected, result = (layer(params.astype("float32")).log_prob(pixels) for layer in (head, again))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("name", "written_as"), once(LIKELIHOODS, ["decoder.keras", "decoder", "decoder.h5"])
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.filterwarnings("ignore:Compiled the loaded model, but")
def test_a_decoder_comes_back_from_a_file(name, written_as, tmp_path):
    decoder = tfpvae.build_decoder(
        image_shape=SHAPE, latent_dim=3, backbone="dense", likelihood=LIKELIHOODS[name]()
    )
    decoder.set_weights([weight + 0.1 for weight in decoder.get_weights()])
    decoder.save(tmp_path / written_as)
    again = tf_keras.models.load_model(tmp_path / written_as, compile=False)
    assert len(again.weights) == len(decoder.weights)
    latents, pixels = np.ones([2, 3], "float32"), np.full([2, *SHAPE], 0.2, "float32")
    expected, result = (model(latents) for model in (decoder, again))
    np.testing.assert_array_equal(result.mean(), expected.mean())
    np.testing.assert_allclose(result.log_prob(pixels), expected.log_prob(pixels), rtol=1e-6)


@every_likelihood
def test_every_layer_says_what_it_scores_and_how_many_parameters_it_takes(name):
    head = LIKELIHOODS[name]()
    masses = {"bernoulli": "binary_mass", "discretized logistic": "mass", "mixture": "mass"}
    masses["coupled mixture"] = "mass"
    assert head.scores == masses.get(name, "density")
    assert head.event_shape == SHAPE
    size = int(head.params_size(SHAPE))
    assert size % (SHAPE[0] * SHAPE[1]) == 0
    assert head(np.zeros([5, size], "float32")).event_shape == SHAPE
    with pytest.raises(Exception, match="reshape|input"):
        head(np.zeros([5, size + 1], "float32"))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: layers.NormalLikelihood(SHAPE, scale="free"), ValueError, "scale: .*'free'"),
        (lambda: layers.NormalLikelihood(SHAPE, scale=0.0), ValueError, "scale: .*0.001, got 0.0"),
        (lambda: layers.NormalLikelihood(SHAPE, scale=None), TypeError, "scale: .*None"),
        (lambda: layers.NormalLikelihood(SHAPE, scale_floor=-1), ValueError, "scale_floor: .*-1"),
        (lambda: layers.NormalLikelihood(()), ValueError, r"event_shape: .*\(\)"),
        (
            lambda: layers.BetaLikelihood(SHAPE, concentration_floor=0),
            ValueError,
            "concentration_floor: .*got 0",
        ),
        (
            lambda: layers.DiscretizedLogisticLikelihood(SHAPE, scale_floor=0),
            ValueError,
            "scale_floor: .*got 0",
        ),
        (
            lambda: layers.LogisticMixtureLikelihood(SHAPE, components=0),
            ValueError,
            "components: .*got 0",
        ),
        (
            lambda: layers.LogisticMixtureLikelihood(SHAPE, components=2.5),
            TypeError,
            "components: .*2.5",
        ),
        (lambda: layers.BetaLikelihood(SHAPE, "median"), ValueError, "'median'"),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


# Likelihoods of other data than pixels, with parameters p [2, V], V as many as `params_size`.

P = np.random.default_rng(2).normal(size=(2, 6))
FIRST, SECOND = P[:, :3], P[:, 3:]
NUMBERS = np.array([[0.3, -8.0, 1.0], [2.0, 0.0, -1.0]])
COUNTS = np.array([[0, 3, 1], [7, 0, 2]])


def softplus(x, start):
    return np.log1p(np.exp(x + np.log(np.expm1(start)))) + 1e-3


def inflated(log_mass):
    weight = special.expit(SECOND)
    return np.log(weight * (COUNTS == 0) + (1 - weight) * np.exp(log_mass))


def negative_binomial(log_mean):  # total_count starts at 1
    return stats.nbinom.logpmf(COUNTS, 1, 1 / (1 + np.exp(log_mean)))


OF_OTHER_DATA = {
    "normal": (
        layers.NormalLikelihood(3, scale="per_pixel", support="real"),
        P,
        NUMBERS,
        stats.norm.logpdf(NUMBERS, FIRST, softplus(SECOND, 1.0)),
    ),
    "Student's t": (
        layers.StudentTLikelihood(3),
        P,
        NUMBERS,
        stats.t.logpdf(NUMBERS, 5, FIRST, softplus(SECOND, 1.0)),
    ),
    "logistic": (
        layers.LogisticLikelihood(3),
        P,
        NUMBERS,
        stats.logistic.logpdf(NUMBERS, FIRST, softplus(SECOND, 0.58)),
    ),
    "Poisson": (
        layers.PoissonLikelihood(3),
        FIRST,
        COUNTS,
        stats.poisson.logpmf(COUNTS, np.exp(FIRST)),
    ),
    "negative binomial": (
        layers.NegativeBinomialLikelihood(3),
        FIRST,
        COUNTS,
        negative_binomial(FIRST),
    ),
    "zero-inflated Poisson": (
        layers.PoissonLikelihood(3, zero_inflated=True),
        P,
        COUNTS,
        inflated(stats.poisson.logpmf(COUNTS, np.exp(FIRST))),
    ),
    "zero-inflated negative binomial": (
        layers.NegativeBinomialLikelihood(3, zero_inflated=True),
        P,
        COUNTS,
        inflated(negative_binomial(FIRST)),
    ),
    "categorical": (
        layers.CategoricalLikelihood((2, 3)),
        P,
        np.eye(3)[[[0, 2], [1, 1]]],
        special.log_softmax(P.reshape(2, 2, 3), axis=-1)[[[0], [1]], [[0, 1]], [[0, 2], [1, 1]]],
    ),
}


@pytest.mark.parametrize("name", OF_OTHER_DATA)
def test_log_prob_of_other_data_is_that_of_scipy(name):
    layer, parameters, data, log_prob = OF_OTHER_DATA[name]
    assert layer.params_size(layer.event_shape) == parameters.shape[1]
    likelihood = layer(parameters.astype("float32"))
    np.testing.assert_allclose(likelihood.log_prob(data), log_prob.sum(axis=1), rtol=2e-5)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    draws = likelihood.sample(20_000, seed=0).numpy()
    # Six standard errors, but of Student's t, whose fourth moment is infinite at 4 degrees.
    error = 6 * draws.std(axis=0) / np.sqrt(len(draws)) + 1e-5
    assert (np.abs(draws.mean(axis=0) - likelihood.mean()) < error).all()
    with pytest.raises(ValueError, match=r"value: wanted examples \[\.\.\., "):
        likelihood.log_prob(data[:, :1])
