"""Callbacks derived from Keras 3, as logging and tuning tools write them, run by tf_keras."""

from typing import Any

import tf_keras

from tfpvae import _checks
from tfpvae.training import monitors

# Every hook that tf_keras calls; a Keras 3 callback has the same ones.
_HOOKS = [name for name in dir(tf_keras.callbacks.Callback) if name.startswith("on_")]


class Keras3Callback(tf_keras.callbacks.Callback):
    """Callback that has a callback derived from Keras 3 called by tf_keras.

    The inner callback gets the model, the parameters and every hook. A hook that it leaves to Keras
    counts as left out here too, so that a callback without batch hooks does not slow training down.

    Args:
      callback: a callback whose class derives from `keras.callbacks.Callback`.

    >>> import keras
    >>> class Losses(keras.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(self.model.name, epoch, logs)
    >>> adapter = Keras3Callback(Losses())
    >>> adapter.set_model(tf_keras.Sequential(name="model"))
    >>> adapter.on_epoch_end(0, {"loss": 2.0})
    model 0 {'loss': 2.0}
    """

    def __init__(self, callback: Any):
        super().__init__()
        self.callback = callback
        for hook in _HOOKS:
            setattr(self, hook, getattr(callback, hook))

    def set_params(self, params: dict[str, Any]) -> None:
        """Passes the parameters of the training on."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: tf_keras.Model) -> None:
        """Passes the model on."""
        super().set_model(model)
        self.callback.set_model(model)


def adapt(callbacks: Any) -> Any:
    """Returns the callbacks of `fit`, those derived from Keras 3 as callbacks of tf_keras.

    Args:
      callbacks: None, a callback, a list or a `tf_keras.callbacks.CallbackList`.

    Raises:
      TypeError: for a callback of Keras 3 itself, since tf_keras has it by the same name.

    >>> adapt(None), adapt([])
    (None, [])
    """
    if isinstance(callbacks, (list, tuple)):
        return [adapt(callback) for callback in callbacks]
    if not _is_keras_3(callbacks):
        return callbacks
    _checks.not_keras_3("callbacks", callbacks)
    monitors.let_elbo_rise(callbacks)
    return Keras3Callback(callbacks)


def _is_keras_3(callback: Any) -> bool:
    """Returns whether an object's class derives from `keras.callbacks.Callback` of Keras 3."""
    return any(
        base.__name__ == "Callback" and base.__module__.startswith("keras.")
        for base in type(callback).__mro__
    )
