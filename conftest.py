"""Fixtures of the tests and of the examples in docstrings."""

from tests import environment  # noqa: F401

# isort: split
# Before TensorFlow, whose start-up lines its import keeps off the screen.
import tfpvae  # noqa: F401

# isort: split
import gc
import os
from pathlib import Path

import hypothesis
import pytest
import tensorflow as tf
import tf_keras

from tests import pairs
from tfpvae.training import execution

DATA = Path(os.environ.get("TFPVAE_DATA", Path(__file__).parents[1] / "shared" / "data"))

# No deadline for examples, since a machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config, items):
    """Leaves out, of the cases of each test marked `spread(n)`, all but n."""
    if pairs.EVERY:
        return
    tests = {}
    for item in items:
        if marker := item.get_closest_marker("spread"):
            tests.setdefault(item.nodeid.split("[")[0], (*marker.args, []))[1].append(item)
    left_out = set()
    for number, cases in tests.values():
        left_out |= {*cases} - {*pairs.spread(cases, number)}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="module", autouse=True)
def _garbage_once_a_file():
    """Collects garbage between files of tests alone, and hides what is left from later times.

    TensorFlow frees few of its graphs: at the end of all tests, one collection took six seconds.
    """
    gc.disable()
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    tf_keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_xla_by_default(request, monkeypatch):
    """Keeps `fit` from compiling by XLA for seconds, except in tests marked `by_xla`."""
    if request.node.get_closest_marker("by_xla") is None:
        monkeypatch.setattr(execution, "compiles_by_default", lambda vae: False)


@pytest.fixture(autouse=True)
def _eagerly(request):
    """Runs functions without graphs in tests marked `eager`, which call each too seldom.

    With TFPVAE_EVERY_COMBINATION=1 in the environment, these have graphs too.
    """
    is_eager = request.node.get_closest_marker("eager") is not None and not pairs.EVERY
    tf.config.run_functions_eagerly(is_eager)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Returns the folder of the real MNIST and flowers; tests with it are marked `realdata`."""
    if not DATA.is_dir():
        pytest.skip(f"the real data are not at {DATA}; TFPVAE_DATA names another folder")
    return DATA


@pytest.fixture(autouse=True)
def _keras_defaults():
    """Restores the global settings of Keras; a policy that is not set follows floatx."""
    yield
    tf_keras.backend.set_floatx("float32")
    tf_keras.backend.set_image_data_format("channels_last")
    tf_keras.mixed_precision.set_global_policy(None)


@pytest.fixture(params=["float32", "float64"])
def floatx(request) -> str:
    """Sets the dtype of Keras, and so of its layers, for one test."""
    tf_keras.backend.set_floatx(request.param)
    return request.param


@pytest.fixture
def tolerance(floatx) -> float:
    """Returns the relative tolerance of closed forms in that dtype."""
    return {"float32": 1e-4, "float64": 1e-9}[floatx]
