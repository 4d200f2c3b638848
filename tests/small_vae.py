"""A small dense VAE, its images, and the three ways in which its steps run."""

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae

SHAPE = (6, 5, 1)
IMAGES = np.random.default_rng(0).uniform(size=(24, *SHAPE)).astype("float32")
BYTES = np.random.default_rng(1).integers(0, 256, size=(24, *SHAPE), dtype=np.uint8)
BYTES[0, 0, 0, 0] = 255

# The options of `compile` for each way. Metrics keep XLA to one step at a time.
RUNS = {
    "many steps in one XLA program": {"jit_compile": True},
    "each step compiled by XLA": {"jit_compile": True, "metrics": ["mse"]},
    "Keras' loop": {"jit_compile": False},
}


def small_vae(run="Keras' loop", *, compiled=None, **options) -> tfpvae.VAE:
    """Returns a compiled VAE.

    Args:
      run: a key of `RUNS`.
      compiled: more options of `compile`; the optimizer is SGD unless one is among them.
      **options: of `tfpvae.build_vae`.
    """
    vae = tfpvae.build_vae("dense", **{"image_shape": SHAPE} | options)
    vae.compile(**{"optimizer": tf_keras.optimizers.SGD(1e-3)} | RUNS[run] | (compiled or {}))
    return vae


def batches_of(images=IMAGES, size=4) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(images).batch(size)


def with_bad_pixel(value, index=9) -> np.ndarray:
    """Returns the images with one bad pixel, which is in batch 3 of batches of 4."""
    images = IMAGES.copy()
    images[index, 2, 2, 0] = value
    return images
