"""Weights of classes are weights of images."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.small_vae import IMAGES, small_vae


@pytest.mark.eager
def test_class_weights_are_sample_weights():
    labels = np.arange(24) % 3
    weights = {0: 2.0, 2: 0.0}
    each = np.array([2.0, 1.0, 0.0], "float32")[labels]
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(24)
    histories = []
    for arguments in (
        {"x": IMAGES, "y": labels, "batch_size": 24, "class_weight": weights},
        {"x": dataset, "class_weight": weights},
        {"x": IMAGES, "y": labels, "batch_size": 24, "sample_weight": each},
    ):
        tf_keras.utils.set_random_seed(1)
        vae = small_vae(num_classes=3)
        histories.append(vae.fit(**arguments, verbose=0).history)
    for history in histories[:2]:
        np.testing.assert_allclose(history["nll"], histories[2]["nll"], rtol=0.02)


def test_class_weights_require_classes():
    with pytest.raises(ValueError, match=r"^class_weight: wanted a VAE with labels"):
        small_vae().fit(IMAGES, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match=r"^class_weight: wanted a dict of classes, from 0 to 2"):
        vae = small_vae(num_classes=3)
        vae.fit(IMAGES, np.arange(24) % 3, class_weight={7: 1.0}, verbose=0)
