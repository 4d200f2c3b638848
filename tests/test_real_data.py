"""Training on the real MNIST, where it is available."""

import json

import pytest

from tests.processes import run_module


@pytest.mark.realdata
@pytest.mark.slow
def test_dense_on_raw_mnist_reaches_the_published_bound(real_data):
    """-ELBO on the test images at most 159.9 after 10 epochs: 784-256-2, RMSprop, batch 100."""
    # With all that XLA optimizes, which the other tests are without.
    scores = json.loads(run_module("tests.dense_on_mnist", real_data / "mnist", XLA_FLAGS=""))
    assert scores["loss"] == pytest.approx(scores["nll"] + scores["kl"], rel=1e-5)
    assert scores["loss"] <= 159.9
