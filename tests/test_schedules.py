"""KL weights over the steps: their values, in a VAE, and after saving."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae.schedules import CyclicalWarmup, LinearWarmup

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).uniform(size=(8, *SHAPE)).astype("float32")
WARMUPS = [LinearWarmup(10, 0.5), CyclicalWarmup(6, num_cycles=3, weight=2.0, ramp=0.5)]


def vae_with(kl_weight) -> tfpvae.VAE:
    vae = tfpvae.build_vae("dense", image_shape=SHAPE, kl_weight=kl_weight)
    vae.compile(tf_keras.optimizers.Adam(1e-3))
    return vae


def weight_at(warmup, step: int) -> float:
    """Returns the weight at a step, by hand."""
    if isinstance(warmup, LinearWarmup):
        return warmup.weight * min(step, warmup.num_steps) / warmup.num_steps
    if step >= warmup.num_steps * warmup.num_cycles:
        return warmup.weight
    rising = warmup.ramp * warmup.num_steps
    return warmup.weight * min(step % warmup.num_steps, rising) / rising


@pytest.mark.parametrize("warmup", WARMUPS)
def test_weights_rise_and_then_stay(warmup):
    steps = range(30)
    weights = [float(warmup(tf.constant(step, tf.int64))) for step in steps]
    np.testing.assert_allclose(weights, [weight_at(warmup, step) for step in steps], atol=1e-6)
    after = [float(warmup(step)) for step in range(warmup.warmup_steps, 30)]
    np.testing.assert_allclose(after, warmup.weight)
    assert float(warmup(warmup.warmup_steps - 1)) < warmup.weight


@pytest.mark.parametrize("warmup", WARMUPS)
def test_a_vae_follows_its_schedule(warmup):
    vae = vae_with(warmup)
    history = vae.fit(IMAGES, batch_size=8, epochs=20, verbose=0).history
    losses, nlls, kls = (np.array(history[name]) for name in ("loss", "nll", "kl"))
    weights = [weight_at(warmup, step) for step in range(20)]  # an epoch is one step here
    np.testing.assert_allclose(losses, nlls + weights * kls, rtol=1e-5)
    np.testing.assert_allclose(history["elbo"], -nlls - kls, rtol=1e-5)  # without the weight
    assert float(vae.kl_weight) == pytest.approx(weight_at(warmup, 20))


@pytest.mark.spread(2)
@pytest.mark.parametrize("warmup", WARMUPS)
@pytest.mark.parametrize("written_as", ["a.keras", "folder"])
def test_a_schedule_is_saved_with_the_model_and_continues(tmp_path, warmup, written_as):
    vae = vae_with(warmup)
    with pytest.warns(UserWarning, match="kl_weight: training ended at step 4, before .* step "):
        vae.fit(IMAGES, batch_size=8, epochs=4, verbose=0)
    vae.save(tmp_path / written_as)
    loaded = tf_keras.models.load_model(tmp_path / written_as)
    assert float(loaded.kl_weight) == pytest.approx(weight_at(warmup, 4))
    assert loaded.warmup_steps == warmup.warmup_steps
    scores = loaded.evaluate(IMAGES, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(
        scores["nll"] + weight_at(warmup, 4) * scores["kl"], rel=1e-5
    )


@pytest.mark.spread(1)
@pytest.mark.parametrize("schedule", [LinearWarmup, CyclicalWarmup])
def test_a_warm_up_in_epochs_is_the_one_in_steps(tmp_path, schedule):
    in_epochs, in_steps = schedule(num_epochs=3), schedule(3 * 2)  # an epoch is two batches
    vae = vae_with(in_epochs)
    assert float(vae.kl_weight) == 0.0
    vae.evaluate(IMAGES, verbose=0)  # traced before the steps are known
    with pytest.warns(UserWarning, match="kl_weight: training ended at step 4"):
        vae.fit(IMAGES, batch_size=4, epochs=2, verbose=0)
    assert repr(in_epochs) == f"{schedule.__name__}(num_epochs=3)"
    weights = [float(in_steps(step)) for step in range(12)]
    assert [float(in_epochs(step)) for step in range(12)] == weights
    scores = vae.evaluate(IMAGES, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(scores["nll"] + weights[4] * scores["kl"], rel=1e-5)
    with pytest.warns(UserWarning, match="kl_weight: training ended at step 5"):
        vae.fit(IMAGES, batch_size=8, epochs=1, verbose=0)  # keeps the length of the first fit
    vae.save(tmp_path / "a.keras")
    again = tf_keras.models.load_model(tmp_path / "a.keras")
    assert again.warmup_steps == in_steps.warmup_steps
    assert float(again.kl_weight) == pytest.approx(weights[5])


def test_a_warm_up_in_epochs_without_their_length_is_refused():
    vae = vae_with(LinearWarmup(num_epochs=3))
    endless = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4).repeat()
    message = r"kl_weight: wanted num_steps for data of unknown length, got LinearWarmup\(num_ep"
    for train in (lambda: vae.fit(endless), lambda: vae.train_on_batch(IMAGES)):
        with pytest.raises(ValueError, match=message):
            train()
    assert np.isnan(float(LinearWarmup(num_epochs=3)(1)))  # in a custom loop


def test_schedules_of_keras_are_weights_too(tmp_path):
    vae = vae_with(tf_keras.optimizers.schedules.PolynomialDecay(1.0, 4, end_learning_rate=0.5))
    vae.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    assert float(vae.kl_weight) == pytest.approx(0.75)
    vae.save(tmp_path / "a.keras")
    assert float(tf_keras.models.load_model(tmp_path / "a.keras").kl_weight) == pytest.approx(0.75)


def test_outside_a_vae_a_layer_has_the_final_weight():
    encoder = vae_with(LinearWarmup(10, 0.5)).encoder
    posterior = encoder(IMAGES)
    term = encoder.layers[-1].activity_regularizer
    mean = tf.reduce_mean(term.kl_divergence(posterior))
    np.testing.assert_allclose(sum(encoder.losses), 0.5 * mean, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearWarmup(), "num_steps: wanted a number of steps, or num_epochs in its place"),
        (lambda: LinearWarmup(5, num_epochs=5), "num_steps: wanted a number of steps, or num_epoc"),
        (lambda: LinearWarmup(num_epochs=0), "num_epochs: wanted a whole number, at least 1, got"),
        (lambda: LinearWarmup(0), "num_steps: wanted a whole number, at least 1, got 0."),
        (lambda: LinearWarmup(5, -1.0), "weight: wanted a finite number, at least 0, got -1.0."),
        (lambda: CyclicalWarmup(5, num_cycles=0), "num_cycles: wanted a whole number, at least 1"),
        (lambda: CyclicalWarmup(5, ramp=0.0), "ramp: wanted a number above 0 and at most 1, got 0"),
        (lambda: CyclicalWarmup(5, ramp=1.5), "ramp: wanted a number above 0 and at most 1, got 1"),
    ],
)
def test_bad_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_weight_that_is_neither_number_nor_schedule_is_refused():
    with pytest.raises(TypeError, match="kl_weight: wanted a number, got 'slow'"):
        vae_with("slow")
