"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest
import tf_keras

DATA = Path(os.environ.get("TFPVAE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _same_draws_each_time():
    tf_keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real MNIST and flowers; a test that wants it is marked `realdata`."""
    if not DATA.is_dir():
        pytest.skip(f"the real data are not at {DATA}; TFPVAE_DATA names another folder")
    return DATA
