"""Layers with a faster or corrected kernel agree with Keras' own."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfpvae.networks import keras_layers

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
    ("Conv2D", {"filters": 3, "kernel_size": (3, 2), "padding": "same"}),
    ("Conv2D", {"filters": 1, "kernel_size": (4, 5), "use_bias": False}),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 5, "use_bias": False}),
    ("Conv2DTranspose", {"filters": 1, "kernel_size": (2, 4), "padding": "same"}),
]
IMAGES = tf.constant(np.random.default_rng(0).normal(size=(40, 13, 12, 3)), tf.float32)


def with_gradients(layer, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images)
        loss = tf.reduce_mean(tf.reduce_sum(tf.cast(outputs, tf.float32), axis=(1, 2, 3)))
    return [outputs, *tape.gradient(loss, [images, *layer.trainable_variables])]


def built(room, name, options, dtype):
    layer = getattr(room, name)(**options, dtype=dtype)
    layer.build(IMAGES.shape)
    tf_keras.utils.set_random_seed(0)
    layer.set_weights([np.random.uniform(0, 0.2, w.shape) for w in layer.get_weights()])
    return layer


def assert_agrees_with_keras(images, name, options, dtype):
    results = with_gradients(built(keras_layers, name, options, dtype), images)
    expected = with_gradients(built(tf_keras.layers, name, options, "float32"), images)
    rtol = 1e-5 if dtype == "float32" else 2**-5  # a few roundings to 8 bits
    for own, keras in zip(results, expected, strict=True):
        scale = float(tf.reduce_max(tf.abs(keras)))
        np.testing.assert_allclose(tf.cast(own, tf.float32), keras, rtol, atol=rtol * scale)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_outputs_and_gradients_agree_with_keras_in_float32(name, options, dtype):
    assert_agrees_with_keras(IMAGES, name, options, dtype)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("name", "options"), LAYERS[2:])
def test_channels_first_layers_compute_what_keras_does(name, options, dtype):
    options = {**options, "data_format": "channels_first"}
    images = tf.transpose(IMAGES, [0, 3, 1, 2])
    own, keras = (
        getattr(room, name)(**options, dtype=dtype) for room in (keras_layers, tf_keras.layers)
    )
    for layer in (own, keras):
        layer.build(images.shape)
    own.set_weights(keras.get_weights())
    np.testing.assert_array_equal(own(images), keras(images))


# Transposed convolutions of a single pixel: spread, spread on one side only, cropped.
SINGLE_PIXEL = [
    ({"kernel_size": (3, 4)}, "MatMul"),
    ({"kernel_size": 4, "strides": 2, "use_bias": False}, "MatMul"),
    ({"kernel_size": 2, "strides": 3}, "Conv2DBackpropInput"),
    ({"kernel_size": 4, "strides": 2, "padding": "same"}, "Conv2DBackpropInput"),
]


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("options", "operation"), SINGLE_PIXEL)
def test_a_transposed_convolution_of_one_pixel_agrees_with_keras(options, operation, dtype):
    options, pixels = {"filters": 5, **options}, IMAGES[:, :1, :1]
    assert_agrees_with_keras(pixels, "Conv2DTranspose", options, dtype)
    layer = tf.function(built(keras_layers, "Conv2DTranspose", options, dtype))
    operations = {op.type for op in layer.get_concrete_function(pixels).graph.get_operations()}
    assert operations & {"MatMul", "Conv2DBackpropInput"} == {operation}


@pytest.mark.parametrize(("name", "options"), LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_config_builds_the_same_layer(name, options, dtype):
    layer = built(keras_layers, name, options, dtype)
    loaded = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
    assert (type(loaded), loaded.get_config()) == (type(layer), layer.get_config())
    assert layer.compute_output_shape(IMAGES.shape) == layer(IMAGES).shape


def values_of_all_signs(dtype):
    values = np.random.default_rng(0).normal(size=(8, 9))
    return tf.constant(np.concatenate([values, np.zeros((1, 9))]), dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_leaky_relu_and_its_gradients_agree_with_keras(dtype):
    def derivatives(function):
        inputs = values_of_all_signs(dtype)
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = function(inputs)
                loss = tf.reduce_sum(outputs**2)
            slopes = tape.gradient(loss, inputs)
        return outputs, slopes, outer.gradient(slopes, inputs)

    expected = derivatives(tf_keras.activations.get("leaky_relu"))
    for own, keras in zip(derivatives(keras_layers.leaky_relu), expected, strict=True):
        np.testing.assert_array_equal(own, keras)


def test_leaky_relu_is_loaded_by_name():
    layer = built(
        keras_layers, "Dense", {"units": 4, "activation": keras_layers.leaky_relu}, "float32"
    )
    loaded = tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))
    assert loaded.activation is keras_layers.leaky_relu
