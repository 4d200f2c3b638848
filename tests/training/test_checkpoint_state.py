"""The optimizer comes back with a saved model."""

import numpy as np
import pytest
import tf_keras

from tests.small_vae import IMAGES, small_vae


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", ["vae", "vae.keras"])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_model_with_a_legacy_optimizer_is_saved_and_loaded(name, steps, tmp_path):
    vae = small_vae(compiled={"optimizer": tf_keras.optimizers.legacy.Adam(1e-3)})
    for _ in range(steps):
        vae.fit(IMAGES, verbose=0)
    vae.save(tmp_path / name)
    loaded = tf_keras.models.load_model(tmp_path / name)
    np.testing.assert_allclose(loaded.reconstruct(IMAGES), vae.reconstruct(IMAGES), atol=1e-6)
    if name == "vae":  # Keras leaves a legacy optimizer's state out of a .keras file
        for value, expected in zip(
            loaded.optimizer.get_weights(), vae.optimizer.get_weights(), strict=False
        ):
            np.testing.assert_allclose(value, expected, rtol=1e-6)
    loaded.fit(IMAGES, verbose=0)
