"""Numbers and pixels as other languages pass them: R has doubles for counts and ints for bytes."""

import numpy as np
import pytest

import tfpvae

IMAGES = np.zeros([4, 4, 4, 1])


@pytest.fixture(scope="module")
def vae():
    vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    vae.compile(run_eagerly=True)
    return vae


@pytest.mark.parametrize("count", [2.0, 0.5, "2", True, -1])
@pytest.mark.parametrize("name", ["batch_size", "epochs", "validation_batch_size"])
def test_a_count_is_a_whole_number(vae, name, count):
    with pytest.raises((TypeError, ValueError), match=f"{name}: wanted a whole number, at least"):
        vae.fit(IMAGES, verbose=0, **{name: count})
    assert vae.optimizer.iterations.numpy() == 0


def test_a_batch_size_of_zero_is_refused(vae):
    with pytest.raises(ValueError, match="batch_size: wanted a whole number, at least 1, got 0"):
        vae.evaluate(IMAGES, batch_size=0, verbose=0)


def test_a_numpy_integer_is_a_count_too(vae):
    assert set(vae.evaluate(IMAGES, batch_size=np.int64(2), verbose=0, return_dict=True)) == {
        *("loss", "nll", "kl", "elbo")
    }


@pytest.mark.parametrize(
    ("white", "dtype", "hint"),
    [
        (255, "int32", "Divide by 255, or pass uint8"),
        (4095, "int32", "Divide by 4095, the white of 12 bits"),
        (65535, "uint16", "Divide by 65535, the white of 16 bits"),
        (1, "int64", r"These are 0 and 1: images.astype\('float32'\)"),
        (1, "bool", r"images.astype\('float32'\)"),
    ],
)
def test_integer_pixels_other_than_uint8_are_refused_with_a_hint(vae, white, dtype, hint):
    images = np.full_like(IMAGES, white).astype(dtype)
    with pytest.raises(TypeError, match=f"x: wanted float pixels .* got {dtype}.*{hint}"):
        vae.fit(images, verbose=0)
