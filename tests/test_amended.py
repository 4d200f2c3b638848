"""The amended layers are Keras' own, but for how their gradients are computed."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfpvae import amended

LAYERS = [
    ("Dense", {"units": 4, "activation": "softplus"}),
    ("Dense", {"units": 4, "use_bias": False}),
    ("Cropping2D", {"cropping": 2}),
    ("Cropping2D", {"cropping": ((1, 2), (0, 3))}),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "activation": "softplus"}),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"}),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": False}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "activation": "softplus"}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "padding": "same"}),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 4, "strides": 2, "use_bias": False}),
]
IMAGES = tf.constant(np.random.default_rng(0).normal(size=(40, 12, 13, 3)), tf.float32)


def with_gradients(layer, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images)
        loss = tf.reduce_mean(tf.reduce_sum(tf.cast(outputs, tf.float32), axis=(1, 2, 3)))
    return [outputs, *tape.gradient(loss, [images, *layer.trainable_variables])]


def made(room, name, options, dtype):
    layer = getattr(room, name)(**options, dtype=dtype)
    layer.build(IMAGES.shape)
    tf_keras.utils.set_random_seed(0)
    layer.set_weights([np.random.uniform(0, 0.2, w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_outputs_and_gradients_are_those_of_keras_in_float32(name, options, dtype):
    found = with_gradients(made(amended, name, options, dtype), IMAGES)
    wanted = with_gradients(made(tf_keras.layers, name, options, "float32"), IMAGES)
    rtol = 1e-5 if dtype == "float32" else 2**-5  # a few roundings to 8 bits
    for own, keras in zip(found, wanted, strict=True):
        scale = float(tf.reduce_max(tf.abs(keras)))
        np.testing.assert_allclose(tf.cast(own, tf.float32), keras, rtol, atol=rtol * scale)


@pytest.mark.parametrize(("name", "options"), LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_config_makes_the_same_layer(name, options, dtype):
    layer = made(amended, name, options, dtype)
    again = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
    assert (type(again), again.get_config()) == (type(layer), layer.get_config())
    assert layer.compute_output_shape(IMAGES.shape) == layer(IMAGES).shape
