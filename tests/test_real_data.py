"""Training on the real MNIST, where it is available."""

import pytest
import tf_keras

import tfpvae

pytestmark = [pytest.mark.realdata, pytest.mark.slow, pytest.mark.by_xla]


def test_dense_on_raw_mnist_reaches_the_published_bound(real_data):
    """-ELBO on the test images at most 159.9 after 10 epochs: 784-256-2, RMSprop, batch 100."""
    training, test = tfpvae.datasets.load_mnist(source=real_data / "mnist")
    vae = tfpvae.build_vae("dense")
    vae.compile(tf_keras.optimizers.RMSprop(1e-3), jit_compile=True)
    vae.fit(training.images, batch_size=100, epochs=10, verbose=0)
    scores = vae.evaluate(test.images, batch_size=500, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(scores["nll"] + scores["kl"], rel=1e-5)
    assert scores["loss"] <= 159.9
