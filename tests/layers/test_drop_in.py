"""Programs on tfp.layers with tfpvae.layers in its place: each API, batch size and save format."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.contracts.registry import EVERY
from tests.layers.test_tfp_family import FAMILY, PRIORS, cubes, draw_five, one_normal, unit_normal
from tfpvae import layers

tfd, tfpl, tfkl = tfp.distributions, tfp.layers, tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")

FROM_TFP = Path(__file__).parents[2] / "docs" / "howto" / "from_tfp.md"


def regularizer(prior=None, **options):
    return layers.KLDivergenceRegularizer(one_normal() if prior is None else prior, **options)


def normal(**options):
    return layers.IndependentNormal(3, **options)


def replaced():
    head = normal(activity_regularizer=regularizer(weight=5.0))
    head.activity_regularizer = regularizer(weight=0.5)
    return head


# Each with the number of parameters it takes and the layer. Those with a KL are checked for it.
HEADS = {
    **{name: (size, lambda make=make: make(layers)) for name, (size, make) in FAMILY.items()},
    **{
        f"prior: {name}": (6, lambda make=make: normal(activity_regularizer=regularizer(make())))
        for name, (make, _) in PRIORS.items()
    },
    **{
        f"tensor: {function if isinstance(function, str) else function.fget.__name__}": (
            4,
            lambda function=function: layers.IndependentBernoulli((2, 2, 1), function),
        )
        for function in (tfd.Bernoulli.logits, tfd.Bernoulli.probs, "mean", "mode", "sample")
    },
    "tensor: registered function": (4, lambda: layers.IndependentBernoulli((2, 2, 1), draw_five)),
    "logistic with a KL": (
        6,
        lambda: layers.IndependentLogistic(3, activity_regularizer=regularizer()),
    ),
    "mixture with a KL": (
        14,
        lambda: layers.MixtureNormal(2, 3, activity_regularizer=regularizer(weight=0.5)),
    ),
    "lambda with a KL": (
        3,
        lambda: layers.DistributionLambda(unit_normal, activity_regularizer=regularizer()),
    ),
    "add_loss": (
        6,
        lambda: tf_keras.Sequential(
            [normal(), layers.KLDivergenceAddLoss(one_normal(), weight=0.5)]
        ),
    ),
    "flag of 1": (6, lambda: normal(activity_regularizer=regularizer(use_exact_kl=1))),
    "variable weight": (
        6,
        lambda: normal(activity_regularizer=regularizer(weight=tf.Variable(0.25))),
    ),
    "after the fact": (6, replaced),
    "another regularizer": (6, lambda: normal(activity_regularizer=cubes)),
    "sizes as tensors": (
        9,
        lambda: layers.MultivariateNormalTriL(
            tf.constant(3), activity_regularizer=regularizer(weight=0.5)
        ),
    ),
    "positions": (
        12,
        lambda: tf_keras.Sequential(
            [tfkl.Reshape((2, 6)), normal(activity_regularizer=regularizer(use_exact_kl=True))]
        ),
    ),
}


@tf_keras.saving.register_keras_serializable("tests")
class Subclassed(tf_keras.Model):
    """A model of a user, with a config."""

    def __init__(self, size, head, **options):
        super().__init__(**options)
        self.dense, self.head = tfkl.Dense(size), head

    def call(self, inputs):
        return self.head(self.dense(inputs))

    def get_config(self):
        return {"size": self.dense.units, "head": tf_keras.layers.serialize(self.head)}

    @classmethod
    def from_config(cls, config):
        return cls(config["size"], tf_keras.layers.deserialize(config["head"]))


def build(api, size, head):
    if api == "sequential":
        return tf_keras.Sequential([tfkl.InputLayer((4,)), tfkl.Dense(size), head])
    if api == "functional":
        inputs = tf_keras.Input((4,))
        return tf_keras.Model(inputs, head(tfkl.Dense(size)(inputs)))
    return Subclassed(size, head)


APIS = ["sequential", "functional", "subclass"]
# Keras writes no subclassed model as HDF5, but its weights.
FORMATS = ["model.keras", "model", "my.weights.h5", "checkpoint", "model.h5"]


def combinations():
    """Rows (head, API, batch size, format) that test_tfp_family leaves out, in turns.

    With TFPVAE_EVERY_COMBINATION, every API of each head.
    """
    for index, name in enumerate(HEADS):
        apis = APIS
        if name in FAMILY or name.startswith("tensor: "):
            apis = APIS[2:]
        elif name.startswith("prior: "):
            apis = [APIS[0], APIS[2]]
        for shift, api in enumerate(apis):
            formats = FORMATS[:4] if api == "subclass" else FORMATS
            path = formats[(index + shift) % len(formats)]
            if EVERY and len(apis) == 3 and index % 3 == shift:
                path = "model"  # whose traces are the hardest, of every head once
            if name == "add_loss" and api == "sequential" and path == "model.h5":
                path = "model.keras"  # see the test of a Sequential inside another
            if EVERY or shift == index % len(apis):
                yield name, api, (1, 7)[(index + shift) % 2], path


def kl_terms(model):
    terms = [getattr(part, "_regularizer", None) for part in model._flatten_layers()]
    return [term for term in terms if isinstance(term, layers.KLDivergenceRegularizer)]


def kl_of(term, posterior):
    """weight * mean over the batch of the KL, by the definition."""
    if term.use_exact_kl:
        kl = tfd.kl_divergence(posterior.distribution, tfd.Normal([1.0, 0.0, 0.0], 1.0))
        return np.sum(kl) / kl.shape[0]
    draw = tf.convert_to_tensor(posterior)
    weight = 1.0 if term.weight is None else float(term.weight)
    return weight * np.mean(posterior.log_prob(draw) - term.distribution_b.log_prob(draw))


def outcome(model, batch):
    """The output, the tensor in its place and the sum of the losses, for the same draws."""
    tf_keras.utils.set_random_seed(0)
    data = np.random.default_rng(batch).normal(size=(batch, 4)).astype("float32")
    distribution = model(data)
    losses = sum(model.losses, tf.zeros([]))
    return distribution, tf.convert_to_tensor(distribution), losses


def saved_and_loaded(model, rebuilt, path, batch):
    if path.name in ("my.weights.h5", "checkpoint"):
        model.save_weights(path)
        outcome(rebuilt, batch)
        rebuilt.load_weights(path)
        return rebuilt
    model.save(path)
    return tf_keras.models.load_model(path)


@pytest.mark.spread(14)
@pytest.mark.parametrize(("name", "api", "batch", "path"), list(combinations()))
def test_a_program_trains_on_its_kl_once_and_is_saved(tmp_path, name, api, batch, path):
    size, make = HEADS[name]
    model, rebuilt = (build(api, size, make()) for _ in range(2))
    with tf.GradientTape() as tape:
        distribution, tensor, loss = outcome(model, batch)
        for term in kl_terms(model):
            np.testing.assert_allclose(loss, kl_of(term, distribution), rtol=1e-4, atol=1e-6)
        total = loss + tf.reduce_sum(distribution.mean())
    gradients = tape.gradient(total, model.trainable_variables)
    tf_keras.optimizers.SGD(0.1).apply_gradients(
        (gradient, variable)
        for gradient, variable in zip(gradients, model.trainable_variables, strict=True)
        if gradient is not None
    )
    expected, tensor, loss = outcome(model, batch)
    restored = saved_and_loaded(model, rebuilt, tmp_path / path, batch)
    actual, actual_tensor, actual_loss = outcome(restored, batch)
    assert isinstance(actual, tfd.Distribution)
    np.testing.assert_allclose(actual.mean(), expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(actual_tensor, tensor, rtol=1e-6)
    np.testing.assert_allclose(actual_loss, loss, rtol=1e-5, atol=1e-6)


def test_keras_loads_no_registered_layer_of_a_sequential_in_a_sequential_from_hdf5(tmp_path):
    """A limit of tf_keras, for any registered layer; docs/howto/from_tfp.md names it."""
    model = tf_keras.Sequential([tf_keras.Input([6]), tf_keras.Sequential([normal()])])
    model.save(tmp_path / "model.h5")
    with pytest.raises((KeyError, ValueError)):
        tf_keras.models.load_model(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded(np.zeros([2, 6], "float32")), tfd.Distribution)


@pytest.mark.parametrize(
    "function",
    [functools.partial(draw_five), lambda q: q.mean(), type("Of", (), {"__call__": id})()],
)
def test_no_function_without_a_name_waits_for_a_checkpoint_to_be_refused(function):
    with pytest.warns(UserWarning, match=r"convert_to_tensor_fn: (.|\n)*\n +def \w+\("):
        layers.IndependentNormal(3, function)
    with pytest.warns(UserWarning, match=r"test_points_fn: (.|\n)*\n +def \w+\("):
        regularizer(test_points_fn=function)


@pytest.mark.spread(3)
@pytest.mark.parametrize(("api", "path"), list(zip(APIS, FORMATS[:3], strict=True)))
@pytest.mark.parametrize("batch", [1, 7])
def test_weights_per_example_weigh_the_kl_before_the_mean(tmp_path, api, path, batch):
    weights = np.linspace(0.5, 2.0, batch, dtype="float32")

    def make():
        term = regularizer(use_exact_kl=True, weight=weights)
        return build(api, 6, normal(activity_regularizer=term))

    model = make()
    outcome(model, batch)  # which makes the weights of a subclassed model
    for one in (model, saved_and_loaded(model, make(), tmp_path / path, batch)):
        posterior, _, loss = outcome(one, batch)
        kl = tfd.kl_divergence(posterior.distribution, tfd.Normal([1.0, 0.0, 0.0], 1.0))
        np.testing.assert_allclose(loss, np.mean(weights * np.sum(kl, axis=1)), rtol=1e-5)


# What plain programs train on: B images, S draws, at fixed points instead of draws.

S = 5


def mean_of(q):
    return q.mean()


def means_of(q):
    return tf.stack([q.mean()] * S)


def head(library, convert=mean_of, **options):
    term = library.KLDivergenceRegularizer(PRIOR, **options)
    return library.IndependentNormal(3, convert, activity_regularizer=term)


def add_loss(library, convert=mean_of, **options):
    parts = [library.IndependentNormal(3, convert), library.KLDivergenceAddLoss(PRIOR, **options)]
    return tf_keras.Sequential(parts)


PRIOR = tfd.Independent(tfd.Normal([0.0, 0.5, 1.0], 1.0), 1)
# By the rows of the table of docs/howto/from_tfp.md: its factor, and the programs.
FACTORS = {
    "`KLDivergenceRegularizer(prior)` or with `use_exact_kl=True`": (
        ("2", lambda b: 2),
        (head, {}),
        (head, {"use_exact_kl": True}),
    ),
    "`test_points_fn` draws S, `test_points_reduce_axis=0`": (
        ("2", lambda b: 2),
        (head, {"test_points_fn": means_of, "test_points_reduce_axis": 0}),
    ),
    "`test_points_fn` draws S, `test_points_reduce_axis=(0, 1)` or `None`": (
        ("2/B", lambda b: 2 / b),
        (head, {"test_points_fn": means_of, "test_points_reduce_axis": (0, 1)}),
        (head, {"test_points_fn": means_of, "test_points_reduce_axis": None}),
    ),
    "`test_points_fn` draws S, not reduced, `()`": (
        ("2 S", lambda b: 2 * S),
        (head, {"test_points_fn": means_of, "test_points_reduce_axis": ()}),
    ),
    "the layer itself draws S, `convert_to_tensor_fn=lambda q: q.sample(S)`": (
        ("2 B", lambda b: 2 * b),
        (head, {"convert": means_of}),
    ),
    "the layer itself draws S, `test_points_reduce_axis=0`": (
        ("2 B/S", lambda b: 2 * b / S),
        (head, {"convert": means_of, "test_points_reduce_axis": 0}),
    ),
    "the layer itself draws S, `test_points_reduce_axis=None`": (
        ("2/S", lambda b: 2 / S),
        (head, {"convert": means_of, "test_points_reduce_axis": None}),
    ),
    "`KLDivergenceAddLoss(prior)`, also if the layer before it draws S": (
        ("1", lambda b: 1),
        (add_loss, {}),
        (add_loss, {"convert": means_of}),
    ),
    "`KLDivergenceAddLoss` with `use_exact_kl=True`, or `test_points_reduce_axis=()`": (
        ("B", lambda b: b),
        (add_loss, {"use_exact_kl": True}),
        (add_loss, {"test_points_reduce_axis": ()}),
    ),
}


@pytest.mark.filterwarnings("ignore:convert_to_tensor_fn:UserWarning")
@pytest.mark.filterwarnings("ignore:test_points_fn:UserWarning")
@pytest.mark.parametrize("row", FACTORS)
@pytest.mark.parametrize("batch", [1, 7])
def test_the_table_of_what_plain_programs_train_on(row, batch):
    (shown, factor), *programs = FACTORS[row]
    params = np.random.default_rng(0).normal(size=(batch, 6)).astype("float32")
    for make, options in programs:
        plain, ours = (make(library, **options) for library in (tfpl, layers))
        posterior = ours(params)
        plain(params)
        plain, loss = (sum(map(tf.reduce_sum, part.losses)) for part in (plain, ours))
        if options.get("use_exact_kl"):
            kl = tfd.kl_divergence(posterior.distribution, tfd.Normal([0.0, 0.5, 1.0], 1.0))
            expected = np.mean(tf.reduce_sum(kl, -1))
        else:
            mean = posterior.mean()
            expected = np.mean(posterior.log_prob(mean) - PRIOR.log_prob(mean))
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
        np.testing.assert_allclose(plain / loss, factor(batch), rtol=1e-4)
    assert f"| {row} | {shown} |" in FROM_TFP.read_text()
