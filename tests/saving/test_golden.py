"""Models written by each release load in later ones and give the same outputs."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tests.golden import make

RELEASES = sorted(path.name for path in make.GOLDEN.iterdir() if (path / "plain.npz").exists())


def test_this_version_has_golden_models():
    assert tfpvae.__version__ in RELEASES


@pytest.mark.parametrize("name", make.MODELS)
def test_a_golden_model_gives_the_same_outputs_under_channels_first(name):
    tf_keras.backend.set_image_data_format("channels_first")
    path = make.GOLDEN / RELEASES[0] / f"{name}.keras"
    expected = dict(np.load(path.with_suffix(".npz")))
    if minor(tf.__version__) < minor(str(expected["tensorflow"])):
        pytest.skip("written by a later TensorFlow, whose features this one may lack")
    result = make.outputs(tf_keras.models.load_model(path))
    for key in result.keys() & expected.keys():
        np.testing.assert_allclose(result[key], expected[key], rtol=1e-5, atol=1e-6, err_msg=key)
    assert "reconstruction" in result


def minor(version):
    return tuple(int(part) for part in version.split(".")[:2])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", make.MODELS)
@pytest.mark.parametrize("written_as", ["keras", "zip"])
def test_a_golden_model_gives_the_same_outputs(tmp_path, release, name, written_as):
    path = make.GOLDEN / release / f"{name}.{written_as}"
    expected = dict(np.load(path.with_suffix(".npz")))
    written_by = str(expected.pop("tensorflow"))
    if minor(tf.__version__) < minor(written_by):
        pytest.skip(f"written by TensorFlow {written_by}, whose features this one may lack")
    if written_as == "zip":
        shutil.unpack_archive(path, tmp_path / "model")
        path = tmp_path / "model"
        signature = tf.saved_model.load(str(path)).signatures["reconstruct"]
        mean = signature(images=tf.constant(make.images()))["mean"]
        # float32 sums of at most 16 terms, in another order on another machine.
        np.testing.assert_allclose(mean, expected["reconstruction"], rtol=1e-5, atol=1e-6)
    vae = tf_keras.models.load_model(path)
    assert isinstance(vae, tfpvae.VAE)
    result = make.outputs(vae)
    for key, value in expected.items():
        np.testing.assert_allclose(result[key], value, rtol=1e-5, atol=1e-6, err_msg=key)
    assert set(expected) <= set(result)
    vae.compile(vae.optimizer, run_eagerly=True)
    losses = vae.fit(make.images(), verbose=0).history
    assert np.isfinite(losses["loss"]).all()
