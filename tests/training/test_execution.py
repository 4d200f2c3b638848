"""Counts of operations, and which networks XLA compiles."""

import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae.training import execution

tfkl = tf_keras.layers


class CustomLayer(tfkl.Layer):
    """Layer that tfpvae does not know."""

    def call(self, inputs):
        return tf.nn.relu(inputs)


@pytest.mark.parametrize(
    ("layers", "multiplications"),
    [
        ([tfkl.Flatten(), tfkl.Dense(7)], 6 * 8 * 2 * 7),
        ([tfkl.Dense(7)], 6 * 8 * 2 * 7),  # at each pixel
        ([tfkl.Conv2D(5, 3)], 4 * 6 * 9 * 2 * 5),
        ([tfkl.Conv2D(5, 3, strides=2, padding="same")], 3 * 4 * 9 * 2 * 5),
        ([tfkl.Conv2DTranspose(5, 3, strides=2)], 6 * 8 * 9 * 2 * 5),  # once per input
        ([tf_keras.Sequential([tfkl.Flatten(), tfkl.Dense(3), tfkl.Dense(4)])], 96 * 3 + 3 * 4),
        ([tfkl.MaxPool2D(), tfkl.BatchNormalization()], 0),
    ],
    ids=["flat", "dense", "same", "strides", "transposed", "nested", "none"],
)
def test_operations_agree_with_counts_by_hand(layers, multiplications):
    network = tf_keras.Sequential([tf_keras.Input([6, 8, 2]), *layers])
    assert execution.operations(network) == 2 * multiplications


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([tfkl.Flatten(), tfkl.Dense(4, "relu"), tfkl.LeakyReLU()], True),
        ([tfkl.Flatten(), tfkl.Dense(4), tfkl.Dropout(0.1), tfkl.LayerNormalization()], True),
        ([tf_keras.Sequential([tfkl.Flatten(), tfkl.Dense(3)])], True),
        ([tfkl.Conv2D(2, 3)], False),
        ([tfkl.Flatten(), tfkl.BatchNormalization()], False),  # depends on the other images
        ([tfkl.Flatten(), tfkl.Dense(4, activity_regularizer="l2")], False),
        ([tfkl.Flatten(), CustomLayer()], False),
        ([tf_keras.Sequential([tfkl.Flatten(), CustomLayer()])], False),
    ],
)
def test_networks_of_layers_that_keep_images_apart_are_dense(layers, expected):
    network = tf_keras.Sequential([tf_keras.Input([6, 8, 2]), *layers])
    assert execution.is_dense(network) is expected


@pytest.mark.spread(4)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_a_vae_is_dense_if_both_networks_are(architecture):
    assert execution.is_dense(tfpvae.build_vae(architecture)) is (architecture in ("dense", "deep"))
    if architecture == "ladder":  # whose decoder goes down its encoder's path
        return
    half = tfpvae.build_vae(architecture, decoder_backbone="dense", image_shape=(49, 50, 1))
    assert execution.is_dense(half) is (architecture in ("dense", "deep"))


@pytest.fixture
def a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])


@pytest.mark.spread(4)
@pytest.mark.parametrize("architecture", tfpvae.list_architectures())
def test_xla_pays_for_dense_networks_and_on_a_gpu_for_most_others(architecture, request):
    vae = tfpvae.build_vae(architecture, image_shape=(49, 50, 1))
    assert execution.xla_pays(vae) is (architecture in ("dense", "deep"))
    request.getfixturevalue("a_gpu")
    # These upsample, and XLA has no gradient of it.
    assert execution.xla_pays(vae) is (architecture not in ("conv", "cnn", "ladder", "residual"))


def test_xla_does_not_pay_for_unknown_layers_or_where_it_is_missing(a_gpu, monkeypatch):
    networks = [
        tf_keras.Sequential([tf_keras.Input([6, 8, 2]), layer])
        for layer in (CustomLayer(), tfkl.ReLU())
    ]
    assert [execution.xla_pays(network) for network in networks] == [False, True]
    monkeypatch.setattr(execution, "has_xla", execution.has_xla.__wrapped__)

    def compiled(function, **options):
        def called(*arguments):
            raise tf.errors.UnimplementedError(None, None, "Could not find compiler for METAL")

        return called

    monkeypatch.setattr(tf, "function", compiled)
    assert not execution.xla_pays(networks[1])


def test_one_call_runs_one_large_step_or_many_small_ones():
    assert execution.steps_per_call(tfpvae.build_vae("flowers"), 20) == 1
    assert execution.steps_per_call(tfpvae.build_vae("dense"), 128) == 50
    many = tfpvae.build_vae("dense", objective="iwae", num_samples=50)
    assert 1 < execution.steps_per_call(many, 128) < 20
