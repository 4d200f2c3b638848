"""A small VAE, and its training with callbacks."""

import numpy as np
import tf_keras

import tfpvae

SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).uniform(size=(40, *SHAPE)).astype("float32")


def small_vae(image_shape=SHAPE, **compiled) -> tfpvae.VAE:
    tf_keras.utils.set_random_seed(0)
    vae = tfpvae.build_vae("dense", image_shape=image_shape, latent_dim=2)
    vae.compile(**compiled)
    return vae


def fit(vae, *callbacks, epochs=1, batch_size=10, **arguments):
    return vae.fit(
        IMAGES,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    )


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
