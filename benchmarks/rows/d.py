"""Row D: a VampPrior of 500 pseudo-inputs beside the standard normal prior.

Tomczak and Welling 2018, section 5: statically binarized MNIST, the first 50,000 images to train on
and the last 10,000 to choose among epochs, gated dense 784-300-300-40 and back, Adam 5e-4, batches
of 100, a KL warm-up of 100 epochs, early stopping after 50 epochs that are no better. Here the
warm-up takes a quarter of the epochs where these are fewer than 400, the scale of q(z|x) is a
softplus, the pseudo-inputs start at training images, and the KL of the standard prior is exact.
"""

import numpy as np
import tf_keras

import tfpvae
from rows.scoring import elbo_and_nll
from rows.training import Task, best_weights, train
from tfpvae import callbacks, datasets

PUBLISHED = "NLL 88.56 (standard), 85.57 (VampPrior), of 5,000 samples"
RUNS = ("standard_normal", "vampprior")
EPOCHS = 40
TEST_SAMPLES = 500
BATCH_SIZE = 100
LATENT_DIM = 40
WARM_UP = 100  # epochs


def gated(inputs, units: int):
    """Applies a gated dense layer: a dense layer times the sigmoid of another."""
    dense = tf_keras.layers.Dense(units)(inputs)
    return dense * tf_keras.layers.Dense(units, "sigmoid")(inputs)


def build(prior: str, images, steps: int, seed: int) -> tfpvae.VAE:
    """Returns the network of the paper with one of the priors, its KL warming up over steps."""
    tf_keras.utils.set_random_seed(seed)
    pixels, latents = tf_keras.Input((28, 28, 1)), tf_keras.Input((LATENT_DIM,))
    features = gated(gated(tf_keras.layers.Flatten()(pixels), 300), 300)
    logits = tf_keras.layers.Dense(784)(gated(gated(latents, 300), 300))
    options = {"latent_dim": LATENT_DIM}
    if prior == "vampprior":
        of_images = {"image_shape": (28, 28, 1), "num_components": 500, "start_images": images}
        prior = tfpvae.build_prior("vampprior", seed=seed, **options, **of_images)
    return tfpvae.build_vae(
        "dense",
        prior=prior,
        encoder_backbone=tf_keras.Model(pixels, features),
        decoder_backbone=tf_keras.Model(latents, logits),
        kl_weight=tfpvae.schedules.LinearWarmup(steps),
        **options,
    )


def images_of(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns binarized images [N, 28, 28, 1] to train on, to choose the epoch by, and to test."""
    training, test = datasets.load_mnist("mnist", source=task.data)
    binarized = datasets.binarize(training.images, seed=task.seed)
    num_training = len(binarized) * 5 // 6
    test = datasets.binarize(test.images, seed=task.seed)
    return binarized[:num_training], binarized[num_training:], test


def run(name: str, task: Task) -> dict:
    """Returns -ELBO and NLL of the test images with one prior, at the best epoch."""
    images, validation, test = images_of(task)
    warm_up = min(WARM_UP, max(1, task.epochs // 4))
    vae = build(name, images, warm_up * (len(images) // BATCH_SIZE), task.seed)
    numbers = train(
        vae,
        tf_keras.optimizers.Adam(5e-4),
        lambda seed: datasets.batches(images, batch_size=BATCH_SIZE, shuffle=True, seed=seed),
        task,
        callbacks=[
            best_weights(task),
            callbacks.EarlyStopping(monitor="val_elbo", mode="max", patience=50),
        ],
        validation_data=datasets.batches(validation, batch_size=1000),
    )
    vae.load_weights(task.folder / "best").expect_partial()
    best = max(numbers.pop("log"), key=lambda line: line["val_elbo"])["epoch"]
    scores = elbo_and_nll(vae, test, task)
    shortened = {"warm_up_epochs": warm_up, "best_epoch": best, "kl_method": vae.kl_method}
    return scores | numbers | shortened
