"""The real MNIST and flowers, where they are at hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import tf_keras

import tfpvae

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def mnist(folder: Path, name: str) -> np.ndarray:
    """Images of an IDX file, uint8 [N, 28, 28, 1]."""
    with gzip.open(folder / "mnist" / f"{name}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)


def test_dense_on_raw_mnist_reaches_the_published_bound(real_data):
    """-ELBO on the test images at most 159.9 after 10 epochs: 784-256-2, RMSprop, batch 100."""
    vae = tfpvae.build_vae("dense")
    vae.compile(tf_keras.optimizers.RMSprop(1e-3), jit_compile=True)
    vae.fit(mnist(real_data, "train"), batch_size=100, epochs=10, verbose=0)
    found = vae.evaluate(mnist(real_data, "t10k"), batch_size=500, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(found["nll"] + found["kl"], rel=1e-5)
    assert found["loss"] <= 159.9
