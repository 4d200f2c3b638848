"""The optimizer comes back with a saved model."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.small_vae import IMAGES, small_vae

pytestmark = pytest.mark.eager
legacy = tf_keras.optimizers.legacy
scaled = tf_keras.mixed_precision.LossScaleOptimizer

OPTIMIZERS = {
    "adam": tf_keras.optimizers.Adam,
    "moving average": lambda: tf_keras.optimizers.SGD(1e-3, momentum=0.5, use_ema=True),
    "adafactor": tf_keras.optimizers.Adafactor,
    "scaled loss": lambda: scaled(tf_keras.optimizers.Adam()),
    "legacy adam": legacy.Adam,
    "legacy nadam": legacy.Nadam,  # has a state besides that of each weight
    "legacy ftrl": legacy.Ftrl,
    "legacy scaled loss": lambda: scaled(legacy.Adam()),
}


def state_of(vae) -> dict[str, np.ndarray]:
    """Returns the variables of an optimizer by their names as parts of it, and of which weight."""
    optimizer, state = vae.optimizer, {}
    parts = [("", optimizer)]
    for place, part in parts:
        for name, child in part._trackable_children().items():
            if isinstance(child, tf.Variable):
                state[f"{place}{name}"] = child.numpy()
            else:
                parts.append((f"{place}{name}/", child))
    if isinstance(optimizer, legacy.Optimizer):
        for name in optimizer.get_slot_names():
            for i, weight in enumerate(vae.trainable_variables):
                state[f"{name} of {i}"] = optimizer.get_slot(weight, name).numpy()
    return state


# A learned prior comes before the decoder among the weights, and elsewhere in a file.
@pytest.mark.spread(9)
@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("written_as", ["vae", "vae.keras"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_an_optimizer_is_saved(optimizer, written_as, steps, tmp_path):
    vae = small_vae(prior="mixture", compiled={"optimizer": OPTIMIZERS[optimizer]()})
    for _ in range(steps):
        vae.fit(IMAGES, batch_size=24, verbose=0)
    is_lost = steps and written_as == "vae.keras" and optimizer.startswith("legacy")
    with pytest.warns(UserWarning, match="its 1 steps") if is_lost else contextlib.nullcontext():
        vae.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    np.testing.assert_allclose(loaded.reconstruct(IMAGES), vae.reconstruct(IMAGES), atol=1e-6)
    assert int(loaded.optimizer.iterations.numpy()) == (0 if is_lost else steps)
    if steps and not is_lost:
        state, expected = state_of(loaded), state_of(vae)
        if written_as == "vae.keras":  # Keras leaves out the count of steps without an overflow
            for variables in (state, expected):
                variables.pop("loss_scale/good_steps", None)
        assert state.keys() == expected.keys()
        for name, value in state.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    loaded.fit(IMAGES, batch_size=24, verbose=0)


def test_a_model_card_names_the_optimizer_whose_loss_is_scaled(tmp_path):
    vae = small_vae(compiled={"optimizer": scaled(tf_keras.optimizers.Adam(0.5))})
    vae.fit(IMAGES, batch_size=24, verbose=0)
    vae.save(tmp_path / "vae")
    assert "Adam, learning rate 0.5" in (tmp_path / "vae" / "README.md").read_text()
