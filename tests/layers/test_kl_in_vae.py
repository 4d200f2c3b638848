"""A VAE counts the KL once, whatever layer of its encoder adds one, or refuses the encoder."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfpvae
from tests.pairs import once, pairwise
from tfpvae import layers

tfd, tfpl, tfkl = tfp.distributions, tfp.layers, tf_keras.layers

SHAPE = (4, 4, 1)
PRIOR = tfd.Independent(tfd.Normal([0.0, 0.5], 1.0), 1)


def pictures(count):
    return np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype("float32")


def decoder():
    return tf_keras.Sequential(
        [tfkl.InputLayer((2,)), tfkl.Dense(16), layers.IndependentBernoulli(SHAPE, "mean")]
    )


def regularizer(library, exact=True, weight=0.25):
    return library.KLDivergenceRegularizer(PRIOR, use_exact_kl=exact, weight=weight)


def add_loss(library, exact=True, weight=0.25):
    return library.KLDivergenceAddLoss(PRIOR, use_exact_kl=exact, weight=weight)


def head_with(kl, library=layers):
    return [library.IndependentNormal(2, activity_regularizer=kl)]


class Annotated(tfpl.KLDivergenceAddLoss):
    """A subclass of a user, as plain programs have them."""


class OursAnnotated(layers.KLDivergenceAddLoss):
    pass


# By which layers an encoder ends; each adds the KL itself, some of them twice.
HEADS = {
    "regularizer": lambda: head_with(regularizer(layers)),
    "plain regularizer": lambda: head_with(regularizer(tfpl), tfpl),
    "ours on a plain layer": lambda: head_with(regularizer(layers), tfpl),
    "add_loss": lambda: [layers.IndependentNormal(2), add_loss(layers)],
    "plain add_loss": lambda: [tfpl.IndependentNormal(2), add_loss(tfpl)],
    "subclass": lambda: [
        layers.IndependentNormal(2),
        OursAnnotated(PRIOR, use_exact_kl=True, weight=0.25),
    ],
    "plain subclass": lambda: [
        tfpl.IndependentNormal(2),
        Annotated(PRIOR, use_exact_kl=True, weight=0.25),
    ],
    "nested": lambda: [tf_keras.Sequential([layers.IndependentNormal(2), add_loss(layers)])],
    "variable weight": lambda: head_with(regularizer(layers, weight=tf.Variable(0.25))),
}
# Without a prior of their own, the KL term of these is the VAE's.
OURS = sorted(set(HEADS) - {name for name in HEADS if name.startswith("plain")})


def encoder(api, ends):
    parts = [tfkl.Flatten(), tfkl.Dense(4, activity_regularizer=None), *ends]
    if api == "sequential":
        return tf_keras.Sequential([tfkl.InputLayer(SHAPE), *parts])
    if api == "functional":
        outputs = images = tf_keras.Input(SHAPE)
        for part in parts:
            outputs = part(outputs)
        return tf_keras.Model(images, outputs)

    class Subclass(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = parts

        def call(self, images):
            for part in self.parts:
                images = part(images)
            return images

    model = Subclass()
    model(pictures(1))
    return model


APIS = ["sequential", "functional", "subclass"]


@pytest.mark.spread(14)
@pytest.mark.parametrize(("head", "api", "batch"), pairwise(HEADS, APIS, [1, 7]))
def test_the_loss_is_nll_plus_the_weighted_kl_once(head, api, batch):
    vae = tfpvae.VAE(encoder(api, HEADS[head]()), decoder(), prior=PRIOR)
    terms = vae.loss_terms(pictures(batch), seed=0)
    q = vae.encoder(pictures(batch))
    variance, distance = q.variance().numpy(), (q.mean() - [0.0, 0.5]).numpy()
    exact = 0.5 * np.sum(variance + distance**2 - 1 - np.log(variance), axis=1)
    np.testing.assert_allclose(terms.kl, exact, rtol=1e-4)
    np.testing.assert_allclose(terms.loss, terms.nll + 0.25 * exact, rtol=1e-5)
    assert float(terms.regularization) == 0
    vae(pictures(batch))
    np.testing.assert_allclose(sum(vae.losses), 0.25 * np.mean(exact), rtol=1e-4)


@pytest.mark.spread(9)
@pytest.mark.parametrize("head", OURS)
@pytest.mark.parametrize("api", APIS)
def test_the_term_of_the_encoder_is_that_of_the_vae(head, api):
    vae = tfpvae.VAE(encoder(api, HEADS[head]()), decoder())
    vae.compile("sgd")
    results = vae.evaluate(pictures(7), verbose=0, return_dict=True)
    np.testing.assert_allclose(results["loss"], results["nll"] + 0.25 * results["kl"], rtol=1e-5)
    vae(pictures(7))
    np.testing.assert_allclose(sum(vae.losses), 0.25 * results["kl"], rtol=1e-4)


def test_a_variable_weight_follows_assign_in_a_compiled_vae():
    weight = tf.Variable(0.25)
    vae = tfpvae.VAE(
        encoder("sequential", head_with(regularizer(layers, weight=weight))), decoder()
    )
    vae.compile("sgd")
    for value in (0.25, 2.0):
        weight.assign(value)
        results = vae.evaluate(pictures(7), verbose=0, return_dict=True)
        expected = results["nll"] + value * results["kl"]
        np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)
    vae.fit(pictures(7), verbose=0)
    assert float(weight) == 2.0


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("path", "head", "api"),
    once(
        ["vae.keras", "vae"],
        ["regularizer", "add_loss", "variable weight"],
        ["sequential", "functional"],
    ),
)
def test_a_vae_with_each_term_is_saved(tmp_path, path, head, api):
    vae = tfpvae.VAE(encoder(api, HEADS[head]()), decoder())
    vae.save(tmp_path / path)
    restored = tf_keras.models.load_model(tmp_path / path)
    for one in (vae, restored):
        one.compile("sgd")
    expected, actual = (
        one.evaluate(pictures(7), verbose=0, return_dict=True) for one in (vae, restored)
    )
    np.testing.assert_allclose(actual["kl"], expected["kl"], rtol=1e-6)
    np.testing.assert_allclose(actual["loss"], actual["nll"] + 0.25 * actual["kl"], rtol=1e-5)


@pytest.mark.parametrize("given", [False, True])
def test_weights_per_example_are_refused_by_a_vae(given):
    kl = regularizer(layers, weight=tf.constant([0.1, 0.2]))
    with pytest.raises(ValueError, match="weight: wanted .*sample_weight"):
        if given:
            tfpvae.VAE(encoder("sequential", [layers.IndependentNormal(2)]), decoder(), prior=kl)
        else:
            tfpvae.VAE(encoder("sequential", head_with(kl)), decoder())


def test_a_weight_without_a_closed_form_stays_too():
    kl = tfpl.KLDivergenceRegularizer(PRIOR, weight=0.25)
    vae = tfpvae.VAE(encoder("sequential", head_with(kl, tfpl)), decoder(), prior=PRIOR)
    assert vae.kl_weight == 0.25


@pytest.mark.parametrize("api", APIS)
def test_other_losses_of_a_distribution_layer_count(api):
    """Regularizers that are no KL, on the layer itself and on those before it."""
    head = layers.IndependentNormal(2, "mean", activity_regularizer=tf_keras.regularizers.L2(0.5))
    dense = tfkl.Dense(4, kernel_regularizer=tf_keras.regularizers.L2(0.1))
    vae = tfpvae.VAE(encoder(api, [dense, head]), decoder(), prior=PRIOR)
    terms = vae.loss_terms(pictures(7), seed=0)
    means = vae.encoder(pictures(7)).mean().numpy()
    penalties = 0.5 * np.sum(means**2) / 7 + 0.1 * np.sum(dense.kernel.numpy() ** 2)
    np.testing.assert_allclose(terms.regularization, penalties, rtol=1e-5)


@pytest.mark.parametrize("api", APIS)
def test_two_layers_that_add_a_kl_are_refused(api):
    ends = [*head_with(regularizer(layers)), add_loss(layers)]
    for prior in (None, PRIOR):
        with pytest.raises(ValueError, match="encoder: wanted at most one layer that adds a KL"):
            tfpvae.VAE(encoder(api, ends), decoder(), prior=prior)


class OwnKL(tfkl.Layer):
    """A KL as custom layers add it: in closed form, of a standard normal prior."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, params):
        mean, raw = tf.split(params, 2, axis=-1)
        variance = (tf.math.softplus(raw) + 1e-5) ** 2
        kl = 0.5 * tf.reduce_sum(mean**2 + variance - 1 - tf.math.log(variance), axis=-1)
        self.add_loss(self.factor * tf.reduce_mean(kl))
        return params


class DrawnKL(tfkl.Layer):
    """A KL on the draw that is decoded."""

    def call(self, posterior):
        draw = tf.convert_to_tensor(posterior)
        self.add_loss(tf.reduce_mean(posterior.log_prob(draw) - PRIOR.log_prob(draw)))
        return posterior


class Scaled(layers.KLDivergenceAddLoss):
    def call(self, posterior):
        self.add_loss(3.0 * self._regularizer(posterior))
        return posterior


class Sparse(tfkl.Layer):
    adds_kl = False

    def call(self, params):
        self.add_loss(tf.reduce_mean(tf.abs(params)))
        return params


@pytest.mark.spread(6)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "ends",
    [
        lambda: [OwnKL(1.0), layers.IndependentNormal(2)],
        lambda: [OwnKL(0.1), layers.IndependentNormal(2)],
        lambda: [layers.IndependentNormal(2), DrawnKL()],
        lambda: [layers.IndependentNormal(2), Scaled(PRIOR, use_exact_kl=True)],
    ],
    ids=["closed", "weighted", "drawn", "scaled"],
)
def test_code_that_adds_the_kl_is_refused(api, ends):
    with pytest.raises(ValueError, match="encoder: wanted layers that leave the KL to the VAE"):
        tfpvae.VAE(encoder(api, ends()), decoder(), prior=PRIOR)


@pytest.mark.parametrize("api", APIS)
def test_code_that_adds_another_loss_is_taken(api):
    vae = tfpvae.VAE(encoder(api, [Sparse(), layers.IndependentNormal(2)]), decoder(), prior=PRIOR)
    assert float(vae.loss_terms(pictures(7), seed=0).regularization) > 0


def test_a_prior_of_another_size_than_the_latents_is_refused_in_the_encoder_too():
    head = layers.IndependentNormal(2)
    model = encoder("sequential", [head])
    head.activity_regularizer = layers.KLDivergenceRegularizer(
        tfd.MultivariateNormalDiag(tf.zeros([3])), use_exact_kl=True
    )
    with pytest.raises(ValueError, match="wanted event shape"):
        tfpvae.VAE(model, decoder())
