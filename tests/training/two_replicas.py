"""Trains on two logical CPUs under MirroredStrategy, and on one; writes the weights of both.

A separate program, since logical CPUs have to be set up when a process starts.
"""

import sys

import numpy as np
import tensorflow as tf
import tf_keras

import tfpvae


def train(strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    tf_keras.utils.set_random_seed(3)
    x = np.random.default_rng(0).uniform(size=(8, 6, 5, 1)).astype("float32")
    with strategy.scope():
        # Deterministic, since two replicas draw other noise than one.
        vae = tfpvae.build_vae("dense", image_shape=(6, 5, 1), posterior="deterministic")
        vae.compile(tf_keras.optimizers.SGD(0.01))
    stop = tfpvae.callbacks.EarlyStopping("loss", patience=5)  # counts the optimizer's steps
    history = vae.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[stop]).history
    values = {f"weight {i}": weight for i, weight in enumerate(vae.get_weights())}
    return values | {"loss": np.array(history["loss"])}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert mirrored.num_replicas_in_sync == 2
    for name, strategy in (("one", tf.distribute.get_strategy()), ("two", mirrored)):
        np.savez(f"{sys.argv[1]}/{name}.npz", **train(strategy))
