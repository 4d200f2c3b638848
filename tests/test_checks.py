"""Numbers and pixels as other languages hand them over: R's numbers are doubles, its bytes ints."""

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
def test_what_counts_is_a_whole_number(vae, name, count):
    with pytest.raises((TypeError, ValueError), match=f"{name}: wanted a whole number, at least"):
        vae.fit(IMAGES, verbose=0, **{name: count})
    assert vae.optimizer.iterations.numpy() == 0


def test_no_batches_of_nothing(vae):
    with pytest.raises(ValueError, match="batch_size: wanted a whole number, at least 1, got 0"):
        vae.evaluate(IMAGES, batch_size=0, verbose=0)


def test_a_number_of_numpy_counts_too(vae):
    assert set(vae.evaluate(IMAGES, batch_size=np.int64(2), verbose=0, return_dict=True)) == {
        *("loss", "nll", "kl", "elbo")
    }


@pytest.mark.parametrize(("dtype", "hint"), [("int32", "by 255, or pass uint8"), ("bool", "")])
def test_pixels_that_are_whole_numbers_but_no_bytes(vae, dtype, hint):
    with pytest.raises(TypeError, match=f"x: wanted float pixels .* got {dtype}.*{hint}"):
        vae.fit(IMAGES.astype(dtype), verbose=0)
