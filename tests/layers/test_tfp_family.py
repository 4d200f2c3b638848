"""Programs written for tfp.layers, with tfpvae.layers in its place, build, train and are saved."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.layers.test_base import build
from tests.pairs import once, pairwise
from tfpvae import layers

tfd, tfb, tfpl = tfp.distributions, tfp.bijectors, tfp.layers
tfkl = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")

APIS = ["sequential", "functional", "subclass"]
FORMATS = ["model.keras", "model", "model.h5"]


@tf_keras.saving.register_keras_serializable("tests")
def unit_normal(t):
    return tfd.MultivariateNormalDiag(t)


@tf_keras.saving.register_keras_serializable("tests")
def draw_five(distribution):
    return distribution.sample(5)


@tf_keras.saving.register_keras_serializable("tests")
def one_normal():
    return tfd.MultivariateNormalDiag([1.0, 0.0, 0.0])


@tf_keras.saving.register_keras_serializable("tests")
def cube(x):
    return x**3


@tf_keras.saving.register_keras_serializable("tests")
def cube_root(y):
    return tf.sign(y) * tf.abs(y) ** (1 / 3)


@tf_keras.saving.register_keras_serializable("tests")
def cube_root_log_det(y):
    return -tf.math.log(3.0) - 2 / 3 * tf.math.log(tf.abs(y))


def inputs(batch):
    return np.random.default_rng(batch).normal(size=(batch, 4)).astype("float32")


# Each with the parameters that it takes and the layer of tfp.layers that is its oracle.
FAMILY = {
    "lambda": (3, lambda lib: lib.DistributionLambda(unit_normal)),
    "poisson": (3, lambda lib: lib.IndependentPoisson(3)),
    "logistic": (6, lambda lib: lib.IndependentLogistic(3)),
    "one_hot": (3, lambda lib: lib.OneHotCategorical(3)),
    "mixture_of_one_hot": (8, lambda lib: lib.CategoricalMixtureOfOneHotCategorical(3, 2)),
    "mixture_normal": (14, lambda lib: lib.MixtureNormal(2, 3)),
    "mixture_logistic": (14, lambda lib: lib.MixtureLogistic(2, 3)),
    "mixture": (14, lambda lib: lib.MixtureSameFamily(2, lib.IndependentLogistic(3))),
    "tensor_sizes": (14, lambda lib: lib.MixtureNormal(tf.constant(2), tf.constant([3]))),
}
WAYS = ["ours", "add_loss", "ours on plain", "ours after the fact"]
POINTS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "float32")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("batch", [1, 7])
def test_the_distribution_is_that_of_tfp(name, batch):
    size, make = FAMILY[name]
    params = np.random.default_rng(0).normal(size=(batch, size)).astype("float32")
    ours, theirs = make(layers)(params), make(tfpl)(params)
    points = POINTS[:, np.newaxis]
    np.testing.assert_allclose(ours.log_prob(points), theirs.log_prob(points), rtol=1e-6)
    np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=1e-6)


@pytest.mark.spread(5)
@pytest.mark.parametrize(
    ("name", "api", "path"), once(FAMILY, ["sequential", "functional"], FORMATS)
)
def test_the_family_is_saved(tmp_path, name, api, path):
    size, make = FAMILY[name]
    model = build(api, size, make(layers))
    model.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    distribution = restored(inputs(7))
    assert isinstance(distribution, tfd.Distribution)
    np.testing.assert_array_equal(distribution.mean(), model(inputs(7)).mean())


@pytest.mark.parametrize(
    ("api", "batch", "way", "exact"), pairwise(APIS, [1, 7], WAYS, [True, False, 1])
)
def test_each_way_to_add_a_kl_adds_its_batch_mean_once(api, batch, way, exact):
    prior = tfd.MultivariateNormalDiag([0.0, 0.5, 1.0])
    regularizer = layers.KLDivergenceRegularizer(prior, exact, weight=0.3)
    library = tfpl if way == "ours on plain" else layers
    head = library.IndependentNormal(3)
    if way == "add_loss":
        head = tf_keras.Sequential([head, layers.KLDivergenceAddLoss(prior, exact, weight=0.3)])
    elif way == "ours on plain":
        head = tfpl.IndependentNormal(3, activity_regularizer=regularizer)
    else:
        head.activity_regularizer = regularizer
    if exact and way != "add_loss" and way != "ours on plain":
        assert head.activity_regularizer is regularizer
    model = build(api, 6, head)
    posterior = model(inputs(batch))
    draw = tf.convert_to_tensor(posterior)
    sampled = posterior.log_prob(draw) - prior.log_prob(draw)
    normal = tfd.MultivariateNormalDiag(posterior.mean(), posterior.stddev())
    expected = tfd.kl_divergence(normal, prior) if exact else sampled
    np.testing.assert_allclose(sum(model.losses), 0.3 * np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "batch", "options", "exact"),
    pairwise(
        [(5,), (2, 3)],
        [1, 7],
        [{}, {"test_points_reduce_axis": None}, {"num_samples": 3}],
        [True, False],
    ),
)
def test_the_kl_of_a_distribution_per_position_is_summed_over_positions(
    shape, batch, options, exact
):
    prior = tfd.MultivariateNormalDiag([0.0, 0.0, 0.0])
    kl = layers.KLDivergenceRegularizer(prior, exact, **options)
    params = np.random.default_rng(0).normal(size=(batch, *shape, 6)).astype("float32")
    head = layers.IndependentNormal(3, activity_regularizer=kl)
    tf_keras.utils.set_random_seed(0)
    posterior = head(params)
    closed = tfd.kl_divergence(posterior.distribution, tfd.Normal(0.0, 1.0)).numpy()
    expected = closed.reshape(batch, -1).sum(axis=1)
    if exact:
        np.testing.assert_allclose(kl.kl_divergence(posterior), expected, rtol=1e-5)
        np.testing.assert_allclose(head.losses[0], expected.mean(), rtol=1e-5)
    else:  # a mean over positions would be 5 or 6 times less; noise is below a half of the sum
        assert kl.kl_divergence(posterior).shape == (batch,)
        assert head.losses[0] > 0.5 * expected.mean()


def test_an_average_over_positions_is_taken_where_it_is_asked_for():
    prior = tfd.MultivariateNormalDiag([0.0, 0.0, 0.0])
    params = np.random.default_rng(0).normal(size=(7, 5, 6)).astype("float32")
    posterior = layers.IndependentNormal(3)(params)
    summed, averaged = (
        layers.KLDivergenceRegularizer(prior, test_points_reduce_axis=axis).kl_divergence(posterior)
        for axis in ((), 1)
    )
    np.testing.assert_allclose(summed, 5 * averaged, rtol=1e-5)


def test_draws_of_the_layer_are_averaged_over():
    prior = tfd.MultivariateNormalDiag([0.0, 0.0, 0.0])
    for axis in ((), 0, (0, 1), None):
        kl = layers.KLDivergenceRegularizer(prior, test_points_reduce_axis=axis)
        head = layers.IndependentNormal(3, draw_five, activity_regularizer=kl)
        posterior = head(np.zeros([7, 6], "float32"))
        draws = tf.convert_to_tensor(posterior)
        assert draws.shape == (5, 7, 3)
        expected = np.mean(posterior.log_prob(draws) - prior.log_prob(draws))
        np.testing.assert_allclose(head.losses[0], expected, rtol=1e-5, atol=1e-6)


# convert_to_tensor_fn

CONVERSIONS = {
    "logits": (tfd.Bernoulli.logits, lambda d: d.logits),
    "probs": (tfd.Bernoulli.probs, lambda d: d.mean()),
    "mean": (tfd.Bernoulli.mean, lambda d: d.mean()),
    "mode": (tfd.Bernoulli.mode, lambda d: d.mode()),
    "name": ("stddev", lambda d: d.stddev()),
}


@pytest.mark.parametrize(
    ("conversion", "api", "path"), once(CONVERSIONS, ["sequential", "functional"], FORMATS)
)
def test_a_property_or_method_stands_for_the_distribution_and_is_saved(
    tmp_path, conversion, api, path
):
    convert, expected = CONVERSIONS[conversion]
    model = build(api, 4, layers.IndependentBernoulli((2, 2, 1), convert))
    model.save(tmp_path / path)
    for one in (model, tf_keras.models.load_model(tmp_path / path)):
        likelihood = one(inputs(7))
        assert likelihood.logits.shape == (7, 2, 2, 1)
        np.testing.assert_allclose(likelihood.probs, tf.sigmoid(likelihood.logits), rtol=1e-6)
        np.testing.assert_array_equal(tf.convert_to_tensor(likelihood), expected(likelihood))


def test_the_continuous_bernoulli_has_logits_and_probs_too():
    head = layers.IndependentContinuousBernoulli(2, tfd.ContinuousBernoulli.logits)
    likelihood = head(np.array([[0.0, 2.0]], "float32"))
    np.testing.assert_array_equal(tf.convert_to_tensor(likelihood), [[0.0, 2.0]])
    np.testing.assert_allclose(likelihood.probs, tf.sigmoid([[0.0, 2.0]]), rtol=1e-6)


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("convert_to_tensor_fn", lambda f: layers.IndependentNormal(2, f)),
        ("make_distribution_fn", layers.DistributionLambda),
        (
            "test_points_fn",
            lambda f: layers.KLDivergenceRegularizer(one_normal(), test_points_fn=f),
        ),
        ("component_layer", lambda f: layers.MixtureSameFamily(2, f)),
    ],
)
def test_a_function_without_a_name_is_warned_of_when_the_layer_is_made(argument, make):
    with pytest.warns(UserWarning, match=f"{argument}: (.|\n)*register_keras_serializable"):
        layer = make(lambda q: q.sample(2))
    with pytest.raises(ValueError, match=f"{argument}: wanted"):
        layer.get_config()


# Weights


@pytest.mark.spread(3)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("way", ["regularizer", "add_loss"])
def test_a_variable_weight_follows_assign_and_is_never_trained(api, way):
    weight = tf.Variable(0.5, name="beta")  # trainable, as tf.Variable is unless it says otherwise
    prior = tfd.MultivariateNormalDiag([0.0, 0.0, 0.0])
    if way == "regularizer":
        kl = layers.KLDivergenceRegularizer(prior, use_exact_kl=True, weight=weight)
        head = layers.IndependentNormal(3, activity_regularizer=kl)
    else:
        add = layers.KLDivergenceAddLoss(prior, use_exact_kl=True, weight=weight)
        head = tf_keras.Sequential([layers.IndependentNormal(3), add])
    model = build(api, 6, head)
    model(inputs(7))
    half = float(sum(model.losses))
    weight.assign(1.0)
    model(inputs(7))
    np.testing.assert_allclose(sum(model.losses), 2 * half, rtol=1e-6)
    assert all(variable is not weight for variable in model.trainable_variables)
    assert any(variable is weight for variable in model.non_trainable_variables)
    model.compile("sgd", lambda x, q: -q.log_prob(x))
    model.fit(inputs(7), np.zeros([7, 3], "float32"), verbose=0)
    assert float(weight) == 1.0


@pytest.mark.parametrize("path", FORMATS)
def test_a_variable_weight_is_saved(tmp_path, path):
    weight = tf.Variable(0.5, name="beta")
    kl = layers.KLDivergenceRegularizer(one_normal(), use_exact_kl=True, weight=weight)
    model = build("functional", 6, layers.IndependentNormal(3, activity_regularizer=kl))
    weight.assign(0.25)
    model.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    assert float(restored.layers[-1].activity_regularizer.weight) == 0.25


@pytest.mark.parametrize("weight", [[0.0, 1.0, 2.0], tf.constant([0.0, 1.0, 2.0])])
def test_a_weight_per_example(weight):
    kl = layers.KLDivergenceRegularizer(one_normal(), use_exact_kl=True, weight=weight)
    posterior = tfd.MultivariateNormalDiag([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, 0.0, 1.0]])
    np.testing.assert_allclose(kl(posterior), (0 * 0.5 + 1 * 2.0 + 2 * 0.5) / 3, rtol=1e-6)


@pytest.mark.parametrize(
    "weight", [[-1.0], tf.constant(np.nan), tf.Variable(-1.0), tf.ones([2, 2])]
)
def test_a_tensor_that_is_no_weight_is_refused(weight):
    with pytest.raises(ValueError, match="weight: wanted"):
        layers.KLDivergenceRegularizer(one_normal(), weight=weight)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_weights_of_another_number_of_examples_are_refused(batch):
    """Those of three would be broadcast over a batch of one, without a word."""
    kl = layers.KLDivergenceRegularizer(one_normal(), use_exact_kl=True, weight=[0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=f"weight: wanted .*{batch}, got 3"):
        kl(tfd.MultivariateNormalDiag(tf.zeros([batch, 3])))
    run = tf.function(
        lambda loc: kl(tfd.MultivariateNormalDiag(loc)),
        input_signature=[tf.TensorSpec([None, 3])],
    )
    assert float(run(tf.zeros([3, 3]))) == pytest.approx(0.5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(tf.zeros([batch, 3]))


# Priors


def learned_prior():
    return tf_keras.Sequential(
        [layers.VariableLayer([3], initializer="ones"), layers.DistributionLambda(unit_normal)]
    )


def flow_prior():
    made = tfb.AutoregressiveNetwork(params=2, event_shape=[3], hidden_units=[8], activation="relu")
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [3])
    return tfd.TransformedDistribution(base, tfb.MaskedAutoregressiveFlow(made))


def inline_prior():
    bijector = tfb.Inline(
        forward_fn=cube,
        inverse_fn=cube_root,
        inverse_log_det_jacobian_fn=cube_root_log_det,
        forward_min_event_ndims=0,
    )
    normal = tfd.Normal(tf.zeros(3), 1.0)
    return tfd.Independent(tfd.TransformedDistribution(normal, bijector), 1)


def unnamed_prior():
    return tfd.MultivariateNormalDiag(tf.Variable(tf.zeros(3)), tf.Variable(tf.ones(3)))


def layer_output():
    return layers.DistributionLambda(unit_normal)(tf.constant([1.0, 0.0, 0.0]))


# Each with its number of trainable variables.
PRIORS = {
    "model": (learned_prior, 1),
    "function": (lambda: one_normal, 0),
    "output of a layer": (layer_output, 0),
    "flow": (flow_prior, 4),
    "inline": (inline_prior, 0),
    "unnamed variables": (unnamed_prior, 2),
}


def encoder_with(prior, api="functional"):
    kl = layers.KLDivergenceRegularizer(prior, use_exact_kl=None)
    return build(api, 6, layers.IndependentNormal(3, activity_regularizer=kl))


@pytest.mark.spread(3)
@pytest.mark.parametrize(("name", "api"), once(PRIORS, APIS))
def test_the_variables_of_any_prior_are_trained(name, api):
    make, count = PRIORS[name]
    model = encoder_with(make(), api)
    model(inputs(7))
    assert len(model.trainable_variables) == 2 + count  # beside kernel and bias
    before = [variable.numpy() for variable in model.trainable_variables]
    model.compile(tf_keras.optimizers.Adam(0.1), lambda x, q: -q.log_prob(x))
    model.fit(inputs(7), np.zeros([7, 3], "float32"), verbose=0)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != value)


@pytest.mark.spread(3)
@pytest.mark.parametrize(("name", "path"), once(PRIORS, FORMATS))
def test_any_prior_is_saved_with_its_trained_values(tmp_path, name, path):
    model = encoder_with(PRIORS[name][0]())
    for variable in model.trainable_variables:
        if "mask" not in variable.name:
            variable.assign_add(0.1 * tf.ones_like(variable))
    z = tf.constant([[0.3, -0.2, 0.5]])
    expected = model.layers[-1].activity_regularizer.distribution_b.log_prob(z)
    model.save(tmp_path / path)
    prior = tf_keras.models.load_model(tmp_path / path).layers[-1].activity_regularizer
    np.testing.assert_allclose(prior.distribution_b.log_prob(z), expected, rtol=1e-6)


def test_a_prior_by_a_model_has_its_closed_form():
    posterior = tfd.MultivariateNormalDiag([[1.0, 3.0, 1.0]])
    kl = layers.KLDivergenceRegularizer(learned_prior(), use_exact_kl=True)
    np.testing.assert_allclose(kl.kl_divergence(posterior), [2.0], rtol=1e-6)


def test_a_prior_by_a_function_without_a_name_is_warned_of():
    with pytest.warns(UserWarning, match="distribution_b"):
        layers.KLDivergenceRegularizer(lambda: one_normal())
    with pytest.raises(TypeError, match="distribution_b: .*Tensor"):
        layers.KLDivergenceRegularizer(lambda: tf.zeros(3))


def test_a_flow_whose_masks_are_random_is_refused():
    made = tfb.AutoregressiveNetwork(
        params=2, event_shape=[3], hidden_units=[8], hidden_degrees="random"
    )
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [3])
    prior = tfd.TransformedDistribution(base, tfb.MaskedAutoregressiveFlow(made))
    with pytest.raises(ValueError, match="hidden_degrees"):
        layers.KLDivergenceRegularizer(prior)


def test_a_prior_over_a_batch_in_the_place_of_one_over_vectors_is_refused():
    head = layers.IndependentNormal(
        3, activity_regularizer=layers.KLDivergenceRegularizer(tfd.Normal(tf.zeros(3), 1.0))
    )
    with pytest.raises(ValueError, match=r"distribution_b: .*tfd\.Independent"):
        head(np.zeros([3, 6], "float32"))


# The regularizer after the fact, and others


@pytest.mark.parametrize("api", APIS)
def test_a_regularizer_is_removed_and_replaced(api):
    model = encoder_with(unnamed_prior(), api)
    head = model.layers[-1]
    model(inputs(7))
    assert (len(model.losses), len(model.trainable_variables)) == (1, 4)
    head.activity_regularizer = None
    model(inputs(7))
    assert (len(model.losses), len(model.trainable_variables)) == (0, 2)
    head.activity_regularizer = layers.KLDivergenceRegularizer(one_normal(), use_exact_kl=True)
    posterior = model(inputs(7))
    expected = np.mean(
        tfd.kl_divergence(posterior.distribution, tfd.Normal([1.0, 0.0, 0.0], 1.0)).numpy().sum(-1)
    )
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)


@tf_keras.saving.register_keras_serializable("tests")
def cubes(values):
    return tf.reduce_sum(tf.abs(values) ** 3)


@pytest.mark.parametrize(
    ("api", "batch", "regularizer"),
    pairwise(APIS, [1, 7], ["l2", tf_keras.regularizers.L2(0.1), cubes]),
)
def test_another_regularizer_counts_as_on_any_layer_of_keras(api, batch, regularizer):
    """The oracle is a plain activity layer on the very same tensor."""
    head = layers.IndependentNormal(3, "mean", activity_regularizer=regularizer)
    model = build(api, 6, head)
    values = tf.convert_to_tensor(model(inputs(batch)))
    oracle = tfkl.Activation("linear", activity_regularizer=regularizer)
    oracle(values)
    np.testing.assert_allclose(sum(model.losses), sum(oracle.losses), rtol=1e-5)


@pytest.mark.parametrize(
    ("regularizer", "path"), once(["l2", tf_keras.regularizers.L1L2(0.1, 0.2), cubes], FORMATS)
)
def test_another_regularizer_is_saved(tmp_path, path, regularizer):
    model = build(
        "functional", 6, layers.IndependentNormal(3, "mean", activity_regularizer=regularizer)
    )
    model(inputs(7))
    expected = sum(model.losses)
    model.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    restored(inputs(7))
    np.testing.assert_allclose(sum(restored.losses), expected, rtol=1e-6)


# In the place of tfp.layers


@pytest.mark.spread(16)
@pytest.mark.parametrize("name", layers.__all__)
def test_the_layers_of_tfp_may_be_replaced(monkeypatch, name):
    if not hasattr(tfpl, name):
        pytest.skip("tfp.layers has no such layer")
    for other in layers.__all__:
        if hasattr(tfpl, other):
            monkeypatch.setattr(tfpl, other, getattr(layers, other))
    posterior = tfpl.IndependentNormal(tf.constant(3), scale_floor=0.5)(tf.zeros([2, 6]))
    np.testing.assert_allclose(posterior.stddev(), np.full([2, 3], np.log(2) + 0.5), rtol=1e-6)
    assert tfpl.MultivariateNormalTriL(tf.constant(2))(tf.zeros([3, 5])).event_shape == [2]
    model = encoder_with(one_normal())
    assert issubclass(getattr(tfpl, name), object)
    model(inputs(2))
    assert len(model.losses) == 1


# Subclassed models as SavedModels


class Plain(tf_keras.Model):
    """A VAE as plain programs subclass it."""

    def __init__(self, encoder=None, decoder=None, **options):
        super().__init__(**options)
        self.encoder = encoder or encoder_with(one_normal())
        self.decoder = decoder or tf_keras.Sequential(
            [tfkl.InputLayer((3,)), tfkl.Dense(4), layers.IndependentNormal(2)]
        )

    def call(self, x):
        return self.decoder(self.encoder(x))


@tf_keras.saving.register_keras_serializable("tests")
class Registered(Plain):
    def get_config(self):
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: tf_keras.layers.serialize(part) for name, part in parts.items()}

    @classmethod
    def from_config(cls, config):
        return cls(*(tf_keras.layers.deserialize(config[n]) for n in ("encoder", "decoder")))


@pytest.mark.spread(1)
@pytest.mark.filterwarnings("ignore")  # of TensorFlow, which traces the layers
@pytest.mark.parametrize("cls", [Plain, Registered])
def test_a_saved_subclass_returns_distributions_where_keras_allows(tmp_path, cls):
    """Keras revives the class itself only if it is registered; the networks inside always."""
    model = cls()
    model.compile("adam", lambda x, p: -p.log_prob(x[:, :2]))
    model.fit(inputs(7), inputs(7), verbose=0)
    model.save(tmp_path / "model")
    restored = tf_keras.models.load_model(tmp_path / "model", compile=False)
    assert isinstance(restored.encoder(inputs(7)), tfd.Distribution)
    z = tf.ones([7, 3])
    np.testing.assert_allclose(restored.decoder(z).mean(), model.decoder(z).mean(), rtol=1e-6)
    assert isinstance(restored(inputs(7)), tfd.Distribution) == (cls is Registered)
