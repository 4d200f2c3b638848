"""Convolutions to few channels compute several pixels at once; test_keras_layers checks values."""

import pytest
import tensorflow as tf

from tfpvae.networks import keras_layers

IMAGES = tf.TensorSpec([None, 13, 12, 3])
# Their outputs have rows of 12, 8, 16 and 12 pixels.
NARROW = [
    (keras_layers.Conv2D, {"filters": 3, "kernel_size": (3, 2), "padding": "same"}),
    (keras_layers.Conv2D, {"filters": 1, "kernel_size": (4, 5), "use_bias": False}),
    (keras_layers.Conv2DTranspose, {"filters": 3, "kernel_size": 5, "use_bias": False}),
    (keras_layers.Conv2DTranspose, {"filters": 1, "kernel_size": (2, 4), "padding": "same"}),
]
OTHER_OPTIONS = [
    {"filters": 5},
    {"kernel_size": 1},
    {"kernel_size": 4, "padding": "valid"},
    {"strides": 2},
    {"dilation_rate": 2},
]


def strides_of(layer, images=IMAGES):
    graph = tf.function(layer).get_concrete_function(images).graph
    return {tuple(op.get_attr("strides")) for op in graph.get_operations() if "Conv2D" in op.type}


@pytest.mark.parametrize(("layer", "options"), NARROW)
def test_few_channels_are_computed_four_pixels_at_a_time(layer, options):
    assert strides_of(layer(**options)) == {(1, 1, 4, 1)}


@pytest.mark.parametrize(("layer", "options"), NARROW)
def test_a_gpu_computes_one_pixel_at_a_time(layer, options, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert strides_of(layer(**options)) == {(1, 1, 1, 1)}


@pytest.mark.parametrize(("layer", "options"), NARROW)
def test_images_of_unknown_width_are_left_to_keras(layer, options):
    assert strides_of(layer(**options), tf.TensorSpec([None, 13, None, 3])) == {(1, 1, 1, 1)}


@pytest.mark.parametrize("change", OTHER_OPTIONS)
@pytest.mark.parametrize(("layer", "options"), NARROW[::2])
def test_other_convolutions_are_left_to_keras(layer, options, change):
    assert (1, 1, 4, 1) not in strides_of(layer(**{**options, **change}))


@pytest.mark.parametrize(("layer", "options"), NARROW)
def test_gradients_use_the_kernels_of_keras_without_a_stride(layer, options):
    convolution = layer(**options)
    convolution.build(IMAGES.shape)

    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(convolution(images) ** 2)
        return tape.gradient(loss, [images, *convolution.trainable_variables])

    operations = gradients.get_concrete_function(IMAGES).graph.get_operations()
    convolutions = [op for op in operations if op.type == "Conv2DBackpropFilter"]
    assert [tuple(op.get_attr("strides")) for op in convolutions] == [(1, 1, 1, 1)]
