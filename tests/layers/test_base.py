import inspect

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests import reference
from tfpvae import layers

tfd, tfpl = tfp.distributions, tfp.layers
tfkl = tf_keras.layers

HEADS = {
    layers.IndependentNormal: {"event_shape": (3,)},
    layers.MultivariateNormalTriL: {"event_size": 3},
    layers.Deterministic: {"event_shape": (3,)},
    layers.IndependentBernoulli: {"event_shape": (2, 2, 1)},
    layers.IndependentContinuousBernoulli: {"event_shape": (2, 2, 1)},
}
PRIORS = {
    "independent": lambda: tfd.Independent(tfd.Normal(tf.constant([0.0, 0.5, 1.0]), 2.0), 1),
    "diag": lambda: tfd.MultivariateNormalDiag([0.0, 0.5, 1.0], [2.0, 2.0, 2.0]),
    "tril": lambda: tfd.MultivariateNormalTriL([0.0, 0.5, 1.0], 2 * tf.eye(3)),
}


def posterior_head(cls, **options):
    return cls(*HEADS[cls].values(), **options)


def params_of(cls):
    return int(cls.params_size(*HEADS[cls].values()))


def build(api, size, head):
    """The same encoder, by each of the three ways of Keras."""
    if api == "sequential":
        return tf_keras.Sequential([tfkl.InputLayer((4,)), tfkl.Dense(size), head])
    if api == "functional":
        inputs = tf_keras.Input((4,))
        return tf_keras.Model(inputs, head(tfkl.Dense(size)(inputs)))

    class Subclass(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.head = tfkl.Dense(size), head

        def call(self, inputs):
            return self.head(self.dense(inputs))

    return Subclass()


@pytest.mark.spread(18)
@pytest.mark.parametrize("api", ["sequential", "functional", "subclass"])
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("cls", [layers.IndependentNormal, layers.MultivariateNormalTriL])
def test_exact_kl_is_in_the_losses_once_as_weight_times_batch_mean(cls, prior, batch, api):
    regularizer = layers.KLDivergenceRegularizer(PRIORS[prior](), use_exact_kl=True, weight=0.3)
    model = build(api, params_of(cls), posterior_head(cls, activity_regularizer=regularizer))
    posterior = model(np.random.default_rng(batch).normal(size=(batch, 4)).astype("float32"))
    covariances = (
        posterior.covariance()
        if cls is layers.MultivariateNormalTriL
        else tf.linalg.diag(posterior.variance())
    ).numpy()
    means = posterior.mean().numpy()
    kls = [
        reference.gaussian_kl(mean, covariance, np.array([0.0, 0.5, 1.0]), 4 * np.eye(3))
        for mean, covariance in zip(means, covariances, strict=True)
    ]
    assert len(model.losses) == 1
    np.testing.assert_allclose(sum(model.losses), 0.3 * np.mean(kls), rtol=1e-5)


@pytest.mark.parametrize("api", ["sequential", "functional", "subclass"])
@pytest.mark.parametrize("cls", [layers.IndependentNormal, layers.MultivariateNormalTriL])
def test_one_sample_monte_carlo_kl_uses_the_draw_that_is_decoded(cls, api):
    prior = PRIORS["independent"]()
    head = posterior_head(cls, activity_regularizer=layers.KLDivergenceRegularizer(prior))
    posterior = build(api, params_of(cls), head)(np.ones([7, 4], "float32"))
    draw = tf.convert_to_tensor(posterior)
    expected = tf.reduce_mean(posterior.log_prob(draw) - prior.log_prob(draw))
    np.testing.assert_allclose(sum(head.losses), expected, rtol=1e-6)


def test_monte_carlo_kl_of_many_samples_nears_the_exact_one():
    posterior = tfd.MultivariateNormalDiag([[0.3, 0.5, 1.0]], [[0.5, 1.0, 1.5]])
    exact = layers.KLDivergenceRegularizer(PRIORS["diag"](), use_exact_kl=True)
    sampled = layers.KLDivergenceRegularizer(PRIORS["diag"](), num_samples=4000)
    # The standard deviation of one estimate is below 2 here: 4 standard errors are 0.13.
    assert abs(float(sampled(posterior) - exact(posterior))) < 0.13


def test_a_closed_form_that_is_demanded_and_missing_is_an_error_and_none_falls_back():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=[0.0, 0.0]), tfd.MultivariateNormalDiag(tf.zeros([2, 3]))
    )
    posterior = tfd.MultivariateNormalDiag(tf.zeros([1, 3]))
    with pytest.raises(NotImplementedError, match="MixtureSameFamily"):
        layers.KLDivergenceRegularizer(mixture, use_exact_kl=True)(posterior)
    either = layers.KLDivergenceRegularizer(mixture, use_exact_kl=None, num_samples=2)
    assert float(either(posterior)) == pytest.approx(0, abs=1e-6)  # the mixture is N(0, I) twice


def test_the_plain_stack_counts_twice_what_the_drop_in_counts_once():
    """The bug that the layers are for; if this fails, TensorFlow Probability has mended it."""
    losses = {}
    for library in (tfpl, layers):
        regularizer = library.KLDivergenceRegularizer(PRIORS["independent"](), use_exact_kl=True)
        head = library.IndependentNormal(3, activity_regularizer=regularizer)
        model = tf_keras.Sequential(
            [tfkl.InputLayer((4,)), tfkl.Dense(6, kernel_initializer="ones"), head]
        )
        model(np.ones([7, 4], "float32"))
        losses[library] = float(sum(model.losses))
    assert losses[tfpl] == pytest.approx(2 * losses[layers], rel=1e-4)


def test_gradients_reach_the_variables_of_a_prior():
    prior = tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.0, 0.0], name="loc"))
    head = layers.IndependentNormal(
        3, activity_regularizer=layers.KLDivergenceRegularizer(prior, use_exact_kl=True)
    )
    with tf.GradientTape() as tape:
        head(np.ones([7, 6], "float32"))
        loss = sum(head.losses)
    assert len(head.trainable_weights) == 1
    np.testing.assert_allclose(tape.gradient(loss, head.trainable_weights)[0], -np.ones(3), 1e-5)


@pytest.mark.parametrize("cls", [layers.IndependentNormal, layers.MultivariateNormalTriL])
@pytest.mark.parametrize("floor", [0.0, 1e-5, 0.1])
def test_scale_is_softplus_plus_the_floor(cls, floor):
    # The second: a raw scale at which softplus underflows in float32, so that the floor is left.
    for raw in (-0.7, -1000.0):
        parameters = np.full([1, params_of(cls)], raw, "float32")
        posterior = posterior_head(cls, scale_floor=floor)(parameters)
        if cls is layers.MultivariateNormalTriL:
            scale = tf.linalg.diag_part(posterior.scale_tril)
            assert posterior.scale_tril[0, 1, 0] == np.float32(raw)
        else:
            scale = posterior.stddev()
        np.testing.assert_allclose(scale[0], [reference.softplus(raw) + floor] * 3, rtol=1e-6)


def test_bernoulli_log_prob_is_the_reference():
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(5, 4)) * 3, rng.uniform(size=(5, 2, 2, 1))
    likelihood = layers.IndependentBernoulli((2, 2, 1), dtype="float64")(logits)
    expected = reference.bernoulli_log_prob(x, logits.reshape(x.shape))
    np.testing.assert_allclose(likelihood.log_prob(x), expected, rtol=1e-10)
    np.testing.assert_allclose(
        likelihood.mean(), 1 / (1 + np.exp(-logits.reshape(x.shape))), rtol=1e-10
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_continuous_bernoulli_log_prob_is_the_reference(dtype):
    rng = np.random.default_rng(0)
    logits = np.array([0.0, 1e-3, -0.004, 0.5, -3.0, 20.0, -100.0, 100.0]).reshape(2, 4)
    x = rng.uniform(size=(2, 2, 2, 1))
    head = layers.IndependentContinuousBernoulli((2, 2, 1), dtype=dtype)
    expected = reference.continuous_bernoulli_log_prob(x, logits.reshape(x.shape))
    tolerance = 2e-6 if dtype == "float32" else 1e-9  # TFP's series about 0 ends at x^4
    likelihood = head(logits.astype(dtype))
    np.testing.assert_allclose(likelihood.log_prob(x.astype(dtype)), expected, rtol=tolerance)


def test_continuous_bernoulli_has_the_published_moments():
    half, fifth = layers.IndependentContinuousBernoulli(2, dtype="float64")(
        np.array([[0.0, 0.0], [np.log(0.2 / 0.8)] * 2])
    ).distribution.mean()
    np.testing.assert_allclose(half, 0.5, atol=1e-12)
    np.testing.assert_allclose(fifth, 0.388014, atol=5e-7)


@pytest.mark.parametrize("cls", HEADS)
def test_config_round_trip(cls):
    options = {"convert_to_tensor_fn": "mean", "validate_args": True, "name": "head"}
    if cls in (layers.IndependentNormal, layers.MultivariateNormalTriL):
        options["scale_floor"] = 0.01
        options["activity_regularizer"] = layers.KLDivergenceRegularizer(
            PRIORS["diag"](), use_exact_kl=None, weight=0.5, num_samples=3
        )
    if cls is layers.IndependentBernoulli:
        options["sample_dtype"] = tf.float32
    layer = cls(**HEADS[cls], **options)
    restored = cls.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()
    parameters = tf.constant(np.random.default_rng(0).normal(size=(2, params_of(cls))), tf.float32)
    originals, copies = (
        tf.nest.flatten(head(parameters).tensor_distribution, expand_composites=True)
        for head in (layer, restored)
    )
    assert originals
    for original, copy in zip(originals, copies, strict=True):
        np.testing.assert_array_equal(original, copy)


@pytest.mark.parametrize("cls", HEADS)
def test_is_the_tfp_layer_where_there_is_one(cls):
    plain = getattr(tfpl, cls.__name__, tfpl.DistributionLambda)
    assert issubclass(cls, plain)
    if plain is not tfpl.DistributionLambda:
        ours, theirs = (list(inspect.signature(c.__init__).parameters) for c in (cls, plain))
        assert ours[: len(theirs) - 1] == theirs[:-1]  # all but **kwargs, in the same places


def test_regularizer_takes_the_arguments_of_tfp_in_their_places():
    ours, theirs = (
        list(inspect.signature(library.KLDivergenceRegularizer.__init__).parameters)
        for library in (layers, tfpl)
    )
    assert ours[: len(theirs)] == theirs


def test_test_points_fn_and_axis_are_those_of_tfp():
    posterior = tfd.MultivariateNormalDiag(tf.zeros([2, 3]))
    with pytest.warns(UserWarning, match="test_points_fn: wanted"):
        regularizer = layers.KLDivergenceRegularizer(
            PRIORS["diag"](), False, 0, lambda q: q.sample(5, seed=(1, 2))
        )
    points = posterior.sample(5, seed=(1, 2))
    expected = tf.reduce_mean(
        posterior.log_prob(points) - PRIORS["diag"]().log_prob(points), axis=0
    )
    np.testing.assert_allclose(regularizer.kl_divergence(posterior), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="test_points_fn: wanted"):
        regularizer.get_config()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_heads_stay_in_float32_under_a_mixed_policy(policy):
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = tf_keras.Sequential(
            [tfkl.InputLayer((4,)), tfkl.Dense(6), layers.IndependentNormal(3)]
        )
    finally:
        tf_keras.mixed_precision.set_global_policy(None)
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    assert model(np.ones([2, 4])).dtype == tf.float32


@pytest.mark.parametrize("cls", [layers.Ladder, layers.InverseAutoregressiveFlow])
def test_a_posterior_with_weights_knows_them_under_a_mixed_policy(cls, monkeypatch):
    warnings = []
    monkeypatch.setattr(tf_keras.layers.Lambda, "_warn", lambda self, text: warnings.append(text))
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    layer = cls(4)
    layer(np.ones([2, layer.num_params], "float32"))
    assert layer.trainable_weights
    assert warnings == []


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: layers.IndependentNormal(2, scale_floor=-1), ValueError, "scale_floor: .*-1"),
        (lambda: layers.IndependentNormal(2, scale_floor="x"), TypeError, "scale_floor: .*'x'"),
        (
            lambda: layers.IndependentNormal(2, activity_regularizer=3),
            TypeError,
            "activity_regularizer: .*3",
        ),
        (lambda: layers.IndependentNormal(2, "median"), ValueError, "'median'"),
        (lambda: layers.KLDivergenceRegularizer("normal"), TypeError, "distribution_b: .*'normal'"),
        (
            lambda: layers.KLDivergenceRegularizer(PRIORS["diag"](), weight=-0.1),
            ValueError,
            "weight: .*-0.1",
        ),
        (
            lambda: layers.KLDivergenceRegularizer(PRIORS["diag"](), weight=float("nan")),
            ValueError,
            "weight: .*nan",
        ),
        (
            lambda: layers.KLDivergenceRegularizer(PRIORS["diag"](), num_samples=0),
            ValueError,
            "num_samples: .*0",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()
