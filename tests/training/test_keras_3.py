"""Callbacks derived from Keras 3, as tools write them, are called as tf_keras calls its own."""

import functools

import keras  # Keras 3, which TensorFlow installs; here only as the base of a tool's callback
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfpvae
from tfpvae.training import keras_3

IMAGES = np.random.default_rng(0).uniform(size=(40, 4, 4, 1)).astype("float32")


def small_vae(**compiled) -> tfpvae.VAE:
    vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    vae.compile(**compiled)
    return vae


def recorder(base):
    """Returns a callback of `base` that records every hook that is called, with its logs."""

    def recording(hook):
        def record(self, *args, logs=None):
            *numbers, logs = [*args] if logs is None else [*args, logs]
            self.calls.append((hook, *numbers, sorted(logs or {})))

        return record

    hooks = {name: recording(name) for name in keras_3._HOOKS}
    # Both bases have the batch hooks of training call these two.
    del hooks["on_batch_begin"], hooks["on_batch_end"]
    callback = type("Recorder", (base,), hooks)()
    callback.calls = []
    return callback


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_the_hooks_are_those_of_a_callback_of_tf_keras(method):
    calls = []
    for base in (tf_keras.callbacks.Callback, keras.callbacks.Callback):
        vae, callback = small_vae(run_eagerly=True), recorder(base)
        options = {"validation_data": IMAGES[:10], "epochs": 2} if method == "fit" else {}
        getattr(vae, method)(IMAGES, batch_size=20, verbose=0, callbacks=[callback], **options)
        assert callback.model is vae and callback.params["steps"] == 2
        calls.append(callback.calls)
    assert calls[0] == calls[1]
    assert len(calls[0]) > 5


@pytest.mark.spread(1)
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it], lambda it: (it,)])
def test_logs_are_numbers_whatever_holds_the_callback(wrap):
    logged = []

    class Logger(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logged.append(dict(logs))

    history = small_vae().fit(IMAGES, epochs=2, verbose=0, callbacks=wrap(Logger()))
    assert [logs["elbo"] for logs in logged] == history.history["elbo"]
    assert all(isinstance(value, float) for logs in logged for value in logs.values())


def test_it_can_stop_and_interrupt_a_training():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    class Prune(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise StopIteration(f"pruned at {epoch}")

    vae = small_vae()
    assert len(vae.fit(IMAGES, epochs=5, verbose=0, callbacks=[Stop()]).epoch) == 2
    with pytest.raises(StopIteration, match="pruned at 0"):
        vae.fit(IMAGES, epochs=5, verbose=0, callbacks=[Prune()])


def test_only_a_callback_with_batch_hooks_has_them_called():
    class Epochs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    class Batches(keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    assert not keras_3.adapt(Epochs())._implements_train_batch_hooks()
    assert keras_3.adapt(Batches())._implements_train_batch_hooks()


def test_a_checkpoint_of_keras_3_that_a_tool_extends_keeps_the_largest_elbo(tmp_path):
    class Checkpoint(keras.callbacks.ModelCheckpoint):
        pass

    rates = tf_keras.callbacks.LearningRateScheduler(lambda epoch: 1e-2 if epoch < 3 else 1e4)
    path = str(tmp_path / "best.keras")
    checkpoint = Checkpoint(path, monitor="elbo", save_best_only=True)
    vae = small_vae(optimizer=tf_keras.optimizers.SGD())
    callbacks = [rates, checkpoint]
    elbo = vae.fit(IMAGES, epochs=4, verbose=0, callbacks=callbacks).history["elbo"]
    assert checkpoint.best == max(elbo) > elbo[-1]
    assert isinstance(tf_keras.models.load_model(path), tfpvae.VAE)


def test_other_callbacks_are_left_alone():
    own = tf_keras.callbacks.TerminateOnNaN()
    assert keras_3.adapt([own, None]) == [own, None]
    group = tf_keras.callbacks.CallbackList([own])
    assert keras_3.adapt(group) is group


def test_the_endless_batches_of_a_fit_are_read_to_the_end_of_one_epoch():
    """MLflow's autolog does, for a digest of the data."""
    seen = []

    class Data(tf_keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(None)

    vae = small_vae()
    fit = tf_keras.Model.fit

    @functools.wraps(fit)
    def autologging(self, *args, **kwargs):
        seen.extend(kwargs["x"].as_numpy_iterator())
        return fit(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf_keras.Model, "fit", autologging)
        vae.fit(IMAGES, batch_size=16, epochs=2, verbose=0, callbacks=[Data()])
    batches = [batch for (batch,) in seen[:-1]]
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)
    assert seen[-1] is None and tf.nest.map_structure(len, batches) == [16, 16, 8]
