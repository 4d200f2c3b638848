"""Losses that the code of an encoder adds: a KL is refused, another loss is taken."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tfpvae import layers

tfd, tfkl = tfp.distributions, tf_keras.layers

SHAPE = (4, 4, 1)
PRIOR = tfd.MultivariateNormalDiag([0.0, 0.5])
OTHER_PRIOR = tfd.MultivariateNormalDiag([1.0, -0.5], [2.0, 3.0])
REFUSED = "encoder: wanted layers that leave the KL to the VAE"
WARNED = "counts beside the KL of the VAE"


def pictures(count):
    return np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype("float32")


def decoder():
    return tf_keras.Sequential(
        [tfkl.InputLayer((2,)), tfkl.Dense(16), layers.IndependentBernoulli(SHAPE, "mean")]
    )


def vae_of(encoder, **options):
    return tfpvae.VAE(encoder, decoder(), prior=PRIOR, **options)


def drawn_kl(posterior, prior=PRIOR):
    """The KL as custom code estimates it, on draws of its own."""
    z = posterior.sample()
    return tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z))


def closed_kl(posterior, prior=PRIOR):
    normal = tfd.MultivariateNormalDiag(posterior.mean(), posterior.stddev())
    return tf.reduce_mean(tfd.kl_divergence(normal, prior))


def sparse(posterior):
    return tf.reduce_mean(tf.abs(posterior.mean()))


@tf_keras.saving.register_keras_serializable("tests")
class Adds(tfkl.Layer):
    """A layer that adds a function of the posterior as a loss."""

    def __init__(self, loss, **options):
        super().__init__(**options)
        self.loss = loss

    def call(self, posterior):
        self.add_loss(self.loss(posterior))
        return posterior


class AddsInTraining(Adds):
    def call(self, posterior, training=None):
        return super().call(posterior) if training else posterior


@tf_keras.saving.register_keras_serializable("tests")
class AddsNoKL(tfkl.Layer):
    adds_kl = False

    def call(self, posterior):
        self.add_loss(sparse(posterior))
        return posterior


class AddsNoisyLoss(Adds):
    adds_kl = False


def sequential(loss):
    parts = [tfkl.Flatten(), tfkl.Dense(4), layers.IndependentNormal(2), Adds(loss)]
    return tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts])


def nested(loss):
    images = tf_keras.Input(SHAPE)
    params = tfkl.Dense(4)(tfkl.Flatten()(images))
    return tf_keras.Model(
        images, tf_keras.Sequential([layers.IndependentNormal(2), Adds(loss)])(params)
    )


def functional(loss):
    """A model whose add_loss takes a tensor of the graph."""
    images = tf_keras.Input(SHAPE)
    params = tfkl.Dense(4)(tfkl.Flatten()(images))
    head = layers.IndependentNormal(2)
    model = tf_keras.Model(images, head(params))
    again = tfkl.Lambda(lambda t: loss(layers.IndependentNormal.new(t, 2)))(params)
    model.add_loss(again)
    return model


def subclassed(loss):
    class Encoder(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.head = tfkl.Dense(4), layers.IndependentNormal(2)

        def call(self, images):
            posterior = self.head(self.dense(tf.reshape(images, [-1, 16])))
            self.add_loss(loss(posterior))
            return posterior

    model = Encoder()
    model(pictures(1))
    return model


ENCODERS = [sequential, nested, functional, subclassed]


@pytest.mark.spread(6)
@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize(
    "loss",
    [drawn_kl, lambda q: 0.1 * drawn_kl(q, OTHER_PRIOR), closed_kl],
    ids=["drawn", "drawn of another prior", "closed"],
)
def test_a_kl_in_code_is_refused(make, loss):
    with pytest.raises(ValueError, match=REFUSED) as error:
        vae_of(make(loss))
    name = {sequential: "Adds", nested: "Adds", functional: "AddLoss", subclassed: "Encoder"}[make]
    assert f"({name})" in str(error.value)


@pytest.mark.spread(6)
@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize(
    "loss",
    [lambda q: closed_kl(q, OTHER_PRIOR), lambda q: closed_kl(q) + sparse(q), sparse],
    ids=["kl of another prior", "kl and more", "no kl"],
)
def test_another_loss_of_the_images_is_warned_of_and_counted(make, loss):
    encoder = make(loss)
    with pytest.warns(UserWarning, match=WARNED):
        vae = vae_of(encoder)
    terms = vae.loss_terms(pictures(7), seed=0)
    expected = loss(encoder(pictures(7)))
    np.testing.assert_allclose(terms.regularization, expected, rtol=1e-5)


@pytest.mark.parametrize("layer", [AddsNoKL, lambda: AddsNoisyLoss(drawn_kl)])
def test_a_layer_that_says_that_it_adds_no_kl_is_taken_at_its_word(layer):
    encoder = sequential(sparse)
    encoder = tf_keras.Sequential([*encoder.layers[:-1], layer()])
    encoder.build((None, *SHAPE))
    vae = vae_of(encoder)
    vae.compile("sgd")
    results = vae.evaluate(pictures(7), verbose=0, return_dict=True)
    assert results["loss"] > results["nll"] + results["kl"]


@pytest.mark.parametrize("path", ["vae.keras", "vae"])
def test_such_a_layer_is_saved(tmp_path, path):
    encoder = sequential(sparse)
    encoder = tf_keras.Sequential([*encoder.layers[:-1], AddsNoKL()])
    encoder.build((None, *SHAPE))
    vae = vae_of(encoder)
    vae.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    expected = vae.loss_terms(pictures(7), seed=0).regularization
    actual = restored.loss_terms(pictures(7), seed=0).regularization
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_loss_in_training_alone_is_warned_of_by_the_first_step():
    encoder = sequential(sparse)
    encoder = tf_keras.Sequential([*encoder.layers[:-1], AddsInTraining(drawn_kl)])
    encoder.build((None, *SHAPE))
    vae = vae_of(encoder)
    vae.loss_terms(pictures(7), seed=0, training=False)
    with pytest.warns(UserWarning, match="adds_in_training.* adds, in training alone, a loss"):
        vae.loss_terms(pictures(7), seed=0)


@tf_keras.saving.register_keras_serializable("tests")
def quarter_of_squares(values):
    return 0.25 * tf.reduce_sum(values**2)


@pytest.mark.parametrize("batch", [1, 7])
def test_regularizers_and_losses_of_the_weights_stay(batch):
    dense = tfkl.Dense(
        4,
        kernel_regularizer=tf_keras.regularizers.L2(0.1),
        activity_regularizer=quarter_of_squares,
    )
    parts = [tfkl.Flatten(), tfkl.ActivityRegularization(l1=0.5), dense]
    parts += [layers.IndependentNormal(2, activity_regularizer=quarter_of_squares)]
    vae = vae_of(tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts]))
    terms = vae.loss_terms(pictures(batch), seed=0)
    with tf.GradientTape() as tape:
        posterior = vae.encoder(pictures(batch))
    del tape
    params = dense(pictures(batch).reshape(batch, -1))
    fixed = 0.5 * pictures(batch).sum() / batch + 0.1 * np.sum(dense.kernel.numpy() ** 2)
    fixed += 0.25 * np.sum(params**2) / batch
    draw = tf.convert_to_tensor(posterior).numpy()
    # The draw of the last layer differs between two passes: only its share is unknown.
    assert float(terms.regularization) > fixed
    np.testing.assert_allclose(
        sum(vae.encoder.losses), fixed + 0.25 * np.sum(draw**2) / batch, rtol=1e-4
    )


@pytest.mark.filterwarnings("ignore:.*add_variable", "ignore:The initializer RandomNormal")
def test_the_kl_of_bayesian_weights_is_no_kl_of_the_latents():
    dense = tfp.layers.DenseReparameterization(4)
    parts = [tfkl.Flatten(), dense, layers.IndependentNormal(2)]
    vae = vae_of(tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts]))
    terms = vae.loss_terms(pictures(7), seed=0)
    np.testing.assert_allclose(terms.regularization, sum(dense.losses), rtol=1e-5)


def test_a_plain_autoencoder_has_no_kl_to_be_counted_twice():
    parts = [tfkl.Flatten(), tfkl.Dense(2), layers.Deterministic(2), Adds(sparse)]
    encoder = tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae = tfpvae.VAE(encoder, decoder())
        assert float(vae.loss_terms(pictures(7)).regularization) > 0


@tf_keras.saving.register_keras_serializable("tests")
class Encoder(tf_keras.Model):
    """A subclassed encoder that is saved by its head."""

    def __init__(self, head, **options):
        super().__init__(**options)
        self.dense, self.head = tfkl.Dense(4), head

    def call(self, images):
        return self.head(self.dense(tf.reshape(images, [-1, 16])))

    def get_config(self):
        return {"head": tf_keras.layers.serialize(self.head)}

    @classmethod
    def from_config(cls, config):
        return cls(tf_keras.layers.deserialize(config["head"]))


@pytest.mark.parametrize(("path", "way"), [("vae.keras", "add_loss"), ("vae", "regularizer")])
def test_a_vae_of_a_subclassed_encoder_is_saved_with_its_term(tmp_path, path, way):
    options = {"use_exact_kl": True, "weight": 0.25}
    prior = tfd.Independent(tfd.Normal([0.0, 0.5], 1.0), 1)
    if way == "regularizer":
        term = layers.KLDivergenceRegularizer(prior, **options)
        head = layers.IndependentNormal(2, activity_regularizer=term)
    else:
        add = layers.KLDivergenceAddLoss(prior, **options)
        head = tf_keras.Sequential([layers.IndependentNormal(2), add])
    encoder = Encoder(head)
    encoder(pictures(1))
    vae = tfpvae.VAE(encoder, decoder())
    vae.compile("sgd")
    vae.fit(pictures(7), verbose=0)
    vae.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    expected, actual = (one.loss_terms(pictures(7), seed=0) for one in (vae, restored))
    np.testing.assert_allclose(actual.kl, expected.kl, rtol=1e-6)
    np.testing.assert_allclose(actual.loss, actual.nll + 0.25 * actual.kl, rtol=1e-5)


# The weight of a term that is given to the VAE


@pytest.mark.spread(5)
@pytest.mark.parametrize("path", ["my.weights.h5", "my.h5", "checkpoint", "vae.keras", "vae"])
@pytest.mark.parametrize("name", [None, "beta"])
def test_a_variable_weight_is_among_the_weights(tmp_path, path, name):
    def make():
        learned = tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.5]))
        weight = tf.Variable(0.5, name=name)
        term = layers.KLDivergenceRegularizer(learned, use_exact_kl=True, weight=weight)
        parts = [tfkl.Flatten(), tfkl.Dense(4), layers.IndependentNormal(2)]
        encoder = tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts])
        return tfpvae.VAE(encoder, decoder(), prior=term), weight

    vae, weight = make()
    assert any(variable is weight for variable in vae.non_trainable_variables)
    assert all(variable is not weight for variable in vae.trainable_variables)
    weight.assign(0.25)
    vae.prior.loc.assign([1.0, 2.0])
    if path.startswith("vae"):
        vae.save(tmp_path / path)
        restored = tf_keras.models.load_model(tmp_path / path)
    else:
        vae.save_weights(tmp_path / path)
        restored, _ = make()
        restored.load_weights(tmp_path / path)
    assert float(restored.kl_weight) == 0.25
    np.testing.assert_array_equal(restored.prior.loc, [1.0, 2.0])
    restored.kl_regularizer.weight.assign(2.0)
    terms = restored.loss_terms(pictures(7), seed=0)
    np.testing.assert_allclose(terms.loss, terms.nll + 2 * terms.kl, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_custom_loop_weighs_the_kl_of_each_image(batch):
    """The way for weights per example, which `VAE` refuses in a KL term."""
    parts = [tfkl.Flatten(), tfkl.Dense(4), layers.IndependentNormal(2)]
    vae = vae_of(tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts]))
    weights = np.linspace(0.0, 2.0, batch, dtype="float32")
    terms = vae.loss_terms(pictures(batch), seed=0)
    loss = tf.reduce_mean(terms.nll + weights * terms.kl) + terms.regularization
    q = vae.encoder(pictures(batch))
    variance, distance = q.variance().numpy(), (q.mean() - [0.0, 0.5]).numpy()
    exact = 0.5 * np.sum(variance + distance**2 - 1 - np.log(variance), axis=1)
    expected = np.mean(terms.nll) + np.mean(weights * exact)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
