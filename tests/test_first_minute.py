"""Typical first mistakes: the message says the fix.

Missing packages are in `test_imports.py`, missing data in `test_bad_input.py` and `datasets/`,
backbones of Keras 3 in `test_builders.py`.
"""

import re

import keras  # Keras 3, which TensorFlow installs; here only to be refused
import numpy as np
import pytest
import tf_keras

import tfpvae
from tfpvae.schedules import LinearWarmup

IMAGES = np.zeros([2, 8, 8, 1], np.uint8)


def built(**options):
    return tfpvae.build_vae("dense", image_shape=(8, 8, 1), latent_dim=2, **options)


def fitted(**arguments):
    vae = built()
    vae.compile(run_eagerly=True)
    return vae.fit(IMAGES, verbose=0, **arguments)


@pytest.mark.parametrize(
    ("argument", "build", "use"),
    [
        ("optimizer", keras.optimizers.Adam, lambda x: built().compile(x)),
        ("metrics", keras.metrics.MeanSquaredError, lambda x: built().compile(metrics=[x])),
        (
            "weighted_metrics",
            keras.metrics.MeanSquaredError,
            lambda x: built().compile(weighted_metrics=[x]),
        ),
        ("callbacks", keras.callbacks.TerminateOnNaN, lambda x: fitted(callbacks=[x])),
        ("callbacks", keras.callbacks.TerminateOnNaN, lambda x: fitted(callbacks=x)),
        (
            "kl_weight",
            lambda: keras.optimizers.schedules.CosineDecay(1.0, 9),
            lambda x: built(kl_weight=x),
        ),
        ("inputs", lambda: keras.Input([4]), lambda x: tfpvae.layers.IndependentNormal(2)(x)),
        ("encoder", keras.Sequential, lambda x: tfpvae.VAE(x, built().decoder)),
    ],
)
def test_an_object_of_keras_3_is_refused_by_name(argument, build, use):
    keras_3 = build()
    expected = (
        rf"^{argument}: .*Keras 3 object {type(keras_3).__name__} \(from keras\..*import tf_keras"
    )
    with pytest.raises(TypeError, match=expected):
        use(keras_3)


def test_the_same_objects_of_tf_keras_are_accepted():
    vae = built(kl_weight=LinearWarmup(1))
    mean_square = tf_keras.metrics.MeanSquaredError()
    vae.compile(tf_keras.optimizers.Adam(), metrics=[mean_square, "mae"], run_eagerly=True)
    history = vae.fit(IMAGES, verbose=0, callbacks=tf_keras.callbacks.TerminateOnNaN())
    assert {"loss", "mean_squared_error", "mae"} <= set(history.history)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_vae_that_is_not_compiled_says_to_compile_it(method):
    expected = f"{method}: wanted a compiled VAE, got none; vae.compile() first."
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        getattr(built(), method)(IMAGES)
