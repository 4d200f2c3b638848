"""Code of a user may branch on tensors, as in Keras; that of the package is not rewritten."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow.python.autograph.impl import conversion

import tfpvae
from tests.small_vae import IMAGES, RUNS, SHAPE
from tfpvae import layers

tfd, tfkl = tfp.distributions, tf_keras.layers
PRIOR = tfd.MultivariateNormalDiag([0.0, 0.0])


def branching(x):
    """A function that a graph can only call as AutoGraph rewrites it."""
    if tf.reduce_sum(x) > 1e6:
        x = x + 1.0
    return x


@tf_keras.saving.register_keras_serializable("tests")
class Branching(tfkl.Layer):
    def call(self, inputs):
        return branching(inputs)


class Encoder(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.head = tfkl.Dense(4), layers.IndependentNormal(2)

    def call(self, images):
        return self.head(self.dense(branching(tf.reshape(images, [-1, 30]))))


class Schedule(tf_keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return tf.cast(branching(tf.cast(step, tf.float32)), tf.float32) * 0.0 + 0.5

    def get_config(self):
        return {}


class Metric(tf_keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(branching(tf.cast(y_true, tf.float32)))


class OtherDivergence(tfpvae.VAE):
    def kl_divergence(self, posterior, latents=None, seed=None):
        return branching(super().kl_divergence(posterior, latents, seed))


def dense(images):
    return tfkl.Dense(4)(Branching()(tfkl.Flatten()(images)))


def subclassed():
    encoder = Encoder()
    encoder(IMAGES)
    return tfpvae.VAE(encoder, tfpvae.build_vae("dense", image_shape=SHAPE).decoder, PRIOR)


def with_regularizer(regularizer, prior=None):
    images = tf_keras.Input(SHAPE)
    head = layers.IndependentNormal(2, activity_regularizer=regularizer)
    encoder = tf_keras.Model(images, head(tfkl.Dense(4)(tfkl.Flatten()(images))))
    return tfpvae.VAE(encoder, tfpvae.build_vae("dense", image_shape=SHAPE).decoder, prior)


@tf_keras.saving.register_keras_serializable("tests")
def squares(values):
    return tf.reduce_sum(branching(values) ** 2)


@tf_keras.saving.register_keras_serializable("tests")
def points(posterior):
    return branching(posterior.sample())


def with_divergence():
    plain = tfpvae.build_vae("dense", image_shape=SHAPE)
    return OtherDivergence(plain.encoder, plain.decoder)


VAES = {
    "layer": lambda: tfpvae.build_vae("dense", image_shape=SHAPE, encoder_backbone=dense),
    "encoder": subclassed,
    "schedule": lambda: tfpvae.build_vae("dense", image_shape=SHAPE, kl_weight=Schedule()),
    "kl_divergence": with_divergence,
    "regularizer": lambda: with_regularizer(squares, PRIOR),
    "test points": lambda: with_regularizer(
        layers.KLDivergenceRegularizer(PRIOR, test_points_fn=points)
    ),
}
COMPILED = {
    "loss": {"loss": lambda images, likelihood: branching(-likelihood.log_prob(images))},
    "metric": {"metrics": [Metric("mean")]},
}


@pytest.mark.parametrize(
    ("part", "run"),
    [("layer", "many steps in one XLA program"), *((p, "Keras' loop") for p in [*VAES, *COMPILED])],
)
def test_a_part_of_a_user_may_branch_on_tensors(part, run):
    vae = VAES.get(part, VAES["layer"])()
    vae.compile(tf_keras.optimizers.SGD(1e-3), **RUNS[run] | COMPILED.get(part, {}))
    fitted = vae.fit(IMAGES, batch_size=8, verbose=0, validation_data=IMAGES)
    assert np.isfinite(fitted.history["val_loss"]).all()
    if part in ("layer", "encoder"):
        assert np.isfinite(vae.predict(IMAGES, verbose=0)).all()
        assert np.isfinite(vae.elbo(IMAGES, seed=0)).all()


def test_the_signatures_of_a_layer_that_branches_are_traced(tmp_path):
    vae = VAES["layer"]()
    vae.save(tmp_path / "vae")
    outputs = tf.saved_model.load(str(tmp_path / "vae")).signatures["encode"](
        images=tf.constant(IMAGES)
    )
    np.testing.assert_allclose(outputs["mean"], vae.encode(IMAGES), rtol=1e-5)


def test_the_functions_of_the_package_are_not_rewritten():
    vae = tfpvae.build_vae("dense", image_shape=SHAPE)
    for own in (vae.elbo, vae.train_step, vae.encoder.layers[-1].call, tfpvae.build_vae):
        assert conversion.is_allowlisted(own)
    for other in (branching, Branching().call):
        assert not conversion.is_allowlisted(other)
