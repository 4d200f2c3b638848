"""TensorFlow Probability as in tutorials: tfp.layers, negative log likelihood, float images.

Without a variant it has its fastest options, a cached pipeline and the exact KL. "tutorial" is the
pipeline and the sampled KL of TensorFlow Probability's own tutorial, "Variational Autoencoders with
TensorFlow Probability Layers", and "arrays" is `fit(images, images)`.
"""

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from peers.by_tfpvae import _applied
from peers.task import LEARNING_RATE, Task

tfd, tfpl = tfp.distributions, tfp.layers


class Trainer:
    """Encoder and decoder that end in layers of TensorFlow Probability."""

    def __init__(self, task: Task):
        tf_keras.utils.set_random_seed(0)
        self.task = task
        size, shape = task.latent_dim, task.image_shape
        prior = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
        # Half the weight, because tfp.layers add the term twice.
        is_exact = task.variant != "tutorial"
        kl = tfpl.KLDivergenceRegularizer(prior, use_exact_kl=is_exact, weight=0.5)
        is_tril = task.posterior == "multivariate_normal_tril"
        if not is_tril:
            # tfpl.IndependentNormal returns an Independent, whose closed form needs another.
            kl = tfpl.KLDivergenceRegularizer(
                tfd.Independent(tfd.Normal(tf.zeros(size), 1.0), 1),
                use_exact_kl=is_exact,
                weight=0.5,
            )
        head = tfpl.MultivariateNormalTriL if is_tril else tfpl.IndependentNormal
        images = tf_keras.Input(shape)
        features = tf_keras.layers.Flatten()(_applied(task.encoder, images))
        features = tf_keras.layers.Dense(task.parameters)(features)
        encoder = tf_keras.Model(images, head(size, activity_regularizer=kl)(features))
        latents = tf_keras.Input([size])
        logits = tf_keras.layers.Flatten()(_applied(task.decoder, latents))
        likelihood = tfpl.IndependentBernoulli(shape, tfd.Bernoulli.logits)(logits)
        decoder = tf_keras.Model(latents, likelihood)
        self.vae = tf_keras.Model(encoder.inputs, decoder(encoder.outputs[0]))
        optimizer = tf_keras.optimizers.Adam(LEARNING_RATE)
        self.vae.compile(optimizer, loss=lambda x, p: -p.log_prob(x))
        images = task.load()

        def prepare(image):
            image = tf.cast(image, tf.float32) / 255
            return image, image

        if task.variant == "arrays":
            floats = images.astype("float32") / 255
            self.fit_arguments = {"x": floats, "y": floats, "batch_size": task.batch_size}
            return
        batches = tf.data.Dataset.from_tensor_slices(images).map(prepare)
        if task.variant == "tutorial":
            batches = batches.batch(task.batch_size).prefetch(tf.data.AUTOTUNE).shuffle(10_000)
        else:
            batches = batches.cache().shuffle(len(images)).batch(task.batch_size)
            batches = batches.prefetch(tf.data.AUTOTUNE)
        self.fit_arguments = {"x": batches}

    def epoch(self) -> float:
        """Returns the loss of one epoch."""
        return self.vae.fit(**self.fit_arguments, verbose=0).history["loss"][0]
