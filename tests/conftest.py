"""Fixtures of the whole suite."""

import os
from pathlib import Path

import hypothesis
import pytest
import tf_keras

from tfpvae.training import execution

DATA = Path(os.environ.get("TFPVAE_DATA", Path(__file__).parents[2] / "shared" / "data"))

# What a test draws takes as long as it takes: a machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _same_draws_each_time():
    tf_keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _steps_one_by_one(request, monkeypatch):
    """Has `fit` leave XLA, which compiles for seconds, to the tests that are marked `by_xla`."""
    if request.node.get_closest_marker("by_xla") is None:
        monkeypatch.setattr(execution, "compiles_by_default", lambda vae: False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real MNIST and flowers; a test that wants it is marked `realdata`."""
    if not DATA.is_dir():
        pytest.skip(f"the real data are not at {DATA}; TFPVAE_DATA names another folder")
    return DATA


@pytest.fixture(autouse=True)
def _keras_as_it_comes():
    """Takes back what a test sets for all of Keras; a policy that is not set follows floatx."""
    yield
    tf_keras.backend.set_floatx("float32")
    tf_keras.backend.set_image_data_format("channels_last")
    tf_keras.mixed_precision.set_global_policy(None)


@pytest.fixture(params=["float32", "float64"])
def floatx(request) -> str:
    """A dtype that is Keras' own as long as the test runs; its layers follow."""
    tf_keras.backend.set_floatx(request.param)
    return request.param


@pytest.fixture
def tolerance(floatx) -> float:
    """What a closed form is held to in that dtype."""
    return {"float32": 1e-4, "float64": 1e-9}[floatx]
