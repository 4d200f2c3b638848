"""Which way is better: the elbo rises, where Keras' callbacks take what they monitor for a loss."""

from typing import Any

import numpy as np


def is_elbo(monitor: Any) -> bool:
    """Returns whether a monitored quantity is the elbo, of training or of validation.

    >>> is_elbo("val_elbo"), is_elbo("val_loss")
    (True, False)
    """
    return isinstance(monitor, str) and monitor.removeprefix("val_") == "elbo"


def let_elbo_rise(callback: Any) -> None:
    """Has a callback that monitors the elbo look for the largest, as its mode "auto" means.

    EarlyStopping and ModelCheckpoint keep no mode, only what follows from it; a mode "min", by
    which they would look for the worst elbo, is not told apart from "auto".

    >>> import tf_keras
    >>> stopping = tf_keras.callbacks.EarlyStopping("val_elbo", min_delta=0.5)
    >>> let_elbo_rise(stopping)
    >>> bool(stopping.monitor_op(-99.0, -100.0)), stopping.min_delta
    (True, 0.5)
    """
    if not is_elbo(getattr(callback, "monitor", None)):
        return
    if getattr(callback, "mode", None) == "auto":  # ReduceLROnPlateau reads it when it begins
        callback.mode = "max"
    if getattr(callback, "monitor_op", None) is np.less:
        callback.monitor_op = np.greater
        if getattr(callback, "min_delta", 0) < 0:
            callback.min_delta = -callback.min_delta
        if getattr(callback, "best", None) == np.inf:
            callback.best = -np.inf
