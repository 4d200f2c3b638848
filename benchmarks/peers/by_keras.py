"""tf_keras: a train_step written by hand, with the options that make it fast."""

import math

import tensorflow as tf
import tf_keras

from peers.by_tfpvae import _applied
from peers.task import LEARNING_RATE, SCALE_FLOOR, SCALE_START, Task


class Model(tf_keras.Model):
    """VAE as two networks with its loss written out."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task
        images, latents = tf_keras.Input(task.image_shape), tf_keras.Input([task.latent_dim])
        features = tf_keras.layers.Flatten()(_applied(task.encoder, images))
        head = tf_keras.layers.Dense(task.parameters, dtype="float32")
        self.encoder = tf_keras.Model(images, head(features))
        logits = tf_keras.layers.Flatten(dtype="float32")(_applied(task.decoder, latents))
        self.decoder = tf_keras.Model(latents, logits)
        self.mean = tf_keras.metrics.Mean("loss")

    def train_step(self, images):
        task, size = self.task, self.task.latent_dim
        images = tf.cast(images, tf.float32) / 255
        flat = tf.reshape(images, [-1, math.prod(task.image_shape)])
        with tf.GradientTape() as tape:
            params = self.encoder(images, training=True)
            mean = params[:, :size]
            noise = tf.random.normal(tf.concat([[task.num_samples], tf.shape(mean)], 0))
            if task.posterior == "independent_normal":
                scale = tf.nn.softplus(params[:, size:] + SCALE_START) + SCALE_FLOOR
                latents, diagonal, squares = mean + scale * noise, scale, scale**2
            else:
                lower = _lower_triangle(params[:, size:], size)
                latents = mean + tf.linalg.matvec(lower, noise)
                diagonal, squares = tf.linalg.diag_part(lower), tf.reduce_sum(lower**2, -1)
            logits = self.decoder(tf.reshape(latents, [-1, size]), training=True)
            logits = tf.reshape(logits, [task.num_samples, -1, flat.shape[-1]])
            nll = tf.reduce_sum(tf.nn.softplus(logits) - flat * logits, -1)
            if task.num_samples == 1:
                kl = 0.5 * (squares + mean**2 - 1) - tf.math.log(diagonal)
                loss = tf.reduce_mean(nll[0] + tf.reduce_sum(kl, -1))
            else:
                ratio = 0.5 * (latents**2 - noise**2) - tf.math.log(diagonal)
                weights = -nll - tf.reduce_sum(ratio, -1)
                bound = tf.reduce_logsumexp(weights, 0) - math.log(task.num_samples)
                loss = -tf.reduce_mean(bound)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self.mean.update_state(loss, tf.shape(images)[0])
        return {"loss": self.mean.result()}


def _lower_triangle(params, size):
    import tensorflow_probability as tfp

    lower = tfp.math.fill_triangular(params)
    diagonal = tf.nn.softplus(tf.linalg.diag_part(lower) + SCALE_START) + SCALE_FLOOR
    return tf.linalg.set_diag(lower, diagonal)


class Trainer:
    """Trainer with XLA and many steps per call for dense networks, Keras' loop for others."""

    def __init__(self, task: Task):
        tf_keras.utils.set_random_seed(0)
        if task.variant == "bfloat16":
            tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.task, self.images = task, task.load()
        self.model = Model(task)
        optimizer = tf_keras.optimizers.Adam(LEARNING_RATE)
        steps = 50 if task.is_dense else 5
        self.model.compile(optimizer, jit_compile=task.is_dense, steps_per_execution=steps)

    def epoch(self) -> float:
        """Returns the loss of one epoch."""
        history = self.model.fit(self.images, batch_size=self.task.batch_size, verbose=0)
        return history.history["loss"][0]
