"""Row E: a continuous Bernoulli, and a Bernoulli that is scored as a continuous one.

Loaiza-Ganem and Cunningham 2019, section 5: pixels (x + u) / 256, 784-500-500-20 and back, relu,
Adam 1e-3, batches of 50, 100 importance samples. A VAE trained with the Bernoulli cross-entropy is
scored as a continuous Bernoulli with the same logits. A density on [0, 1]: higher is better.
"""

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae
from rows.training import Task, train
from tfpvae import datasets

PUBLISHED = "ELBO +1,470 trained as a continuous Bernoulli, 1,139 as a Bernoulli"
RUNS = ("continuous_bernoulli", "bernoulli")
EPOCHS = 20
TEST_SAMPLES = 100


def build(likelihood: str, seed: int) -> tfpvae.VAE:
    """Returns the network of the paper."""
    tf_keras.utils.set_random_seed(seed)
    relu = [tf_keras.layers.Dense(500, "relu") for _ in range(4)]
    return tfpvae.build_vae(
        "dense",
        latent_dim=20,
        likelihood=likelihood,
        encoder_backbone=tf_keras.Sequential([tf_keras.layers.Flatten(), *relu[:2]]),
        decoder_backbone=tf_keras.Sequential([*relu[2:], tf_keras.layers.Dense(784)]),
    )


def with_noise(images: np.ndarray, seed: int) -> tf.data.Dataset:
    """Returns batches of (x + u) / 256, with a new u each epoch."""
    batches = datasets.batches(images, batch_size=50, shuffle=True, seed=seed)
    noise = tf.random.Generator.from_seed(seed)
    return batches.map(
        lambda x: (tf.cast(x, tf.float32) + noise.uniform(tf.shape(x))) / 256
    ).prefetch(4)


def run(name: str, task: Task) -> dict:
    """Returns ELBO and importance-weighted log likelihood after training with one likelihood."""
    training, test = datasets.load_mnist("mnist", source=task.data)
    images = training.images[: len(training.images) * 11 // 12]
    rng = np.random.default_rng(task.seed)
    pixels = ((test.images + rng.uniform(size=test.images.shape)) / 256).astype("float32")
    pixels = pixels[: task.test_images]
    vae = build(name, task.seed)
    numbers = train(
        vae, tf_keras.optimizers.Adam(1e-3), lambda seed: with_noise(images, seed), task
    )
    del numbers["log"]
    scored = build("continuous_bernoulli", task.seed)
    scored.set_weights(vae.get_weights())
    bound = scored.log_likelihood(pixels, task.test_samples, seed=task.seed)
    return {
        "elbo": float(np.mean(scored.elbo(pixels, 10, seed=task.seed))),
        "log_likelihood": float(np.mean(bound)),
    } | numbers
