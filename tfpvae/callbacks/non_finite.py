"""Callback that stops at NaN and restores the last good weights."""

from typing import Any

import numpy as np
import tf_keras

from tfpvae.evaluation import non_finite
from tfpvae.models.vae import VAE
from tfpvae.saving import finite_weights
from tfpvae.training import checkpoint_state


class StopOnNonFinite(tf_keras.callbacks.Callback):
    """Callback that stops training after an epoch in which the loss or a weight became non-finite.

    The error names the first bad quantity. The weights and the optimizer's variables return to
    those at the end of the last good epoch, or at the beginning of training; the callback keeps a
    copy of them in memory. Put it first in the list of callbacks, so that no other callback sees
    the bad epoch. `VAE.save` and `VAE.save_weights`, and thus ModelCheckpoint, refuse such weights
    anyway.

    It checks the ends of epochs only. A check of each step would make the host wait for each step
    and slow down every good run, but save no more than the rest of one epoch, since the weights
    return to the last good epoch in any case. `tf_keras.callbacks.TerminateOnNaN` checks each batch
    and keeps no weights.

    Args:
      images: a batch of training images, [B, H, W, C], on which `evaluation.first_non_finite` finds
        the first bad quantity; None to name the loss, its parts and the weights only.
      labels: classes of those images, for a conditional VAE.

    Raises:
      FloatingPointError: from `fit`, at the end of the bad epoch.
      TypeError: when training begins, if the model is not a VAE.

    >>> import tfpvae
    >>> vae, images = tfpvae.build_vae("dense"), np.zeros([8, 28, 28, 1], "float32")
    >>> vae.compile(tf_keras.optimizers.SGD(1e30))
    >>> try:
    ...     vae.fit(images, epochs=9, verbose=0, callbacks=[StopOnNonFinite(images)])
    ... except FloatingPointError as error:
    ...     print(str(error)[:39])
    loss: wanted a finite number, got nan i
    >>> bool(np.isfinite(vae.get_weights()[0]).all())
    True
    """

    def __init__(self, images: Any = None, labels: Any = None):
        super().__init__()
        self.images, self.labels = images, labels
        self._batches = -1

    def __repr__(self) -> str:
        images = "" if self.images is None else f"images {np.shape(self.images)}"
        return f"StopOnNonFinite({images})"

    def on_train_begin(self, logs=None):
        """Copies the weights that training begins with."""
        if not isinstance(self.model, VAE):
            raise TypeError(f"StopOnNonFinite: wanted a tfpvae.VAE to train, got {self.model!r}.")
        checkpoint_state.build_optimizer(self.model)  # its slots are kept too
        self._keep("the beginning of training")

    def on_epoch_begin(self, epoch, logs=None):
        """Records the number of batches before the epoch."""
        self._batches = int(self.model._train_counter.numpy())

    def on_epoch_end(self, epoch, logs=None):
        """Copies good weights; restores the last good ones and raises if these are bad."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        bad = {name: value for name, value in logs.items() if not np.isfinite(value)}
        bad = {name: value for name, value in bad.items() if not name.startswith("val_")}
        if int(self.model._train_counter.numpy()) == self._batches:
            bad = {}  # the data ran out: means over no batch
        weight = finite_weights.bad_weight(self.model)
        if not bad and weight is None:
            self._keep(f"the end of epoch {epoch + 1}")
            return
        cause = None if self.images is None else self._cause()
        for variable, value in zip(
            checkpoint_state.variables_of(self.model), self._kept, strict=True
        ):
            variable.assign(value)
        if self.images is not None and weight is not None:
            # Bad weights hide the cause, which the good ones may still show.
            cause = self._cause() or cause
        faults = [f"{name}: {value}" for name, value in bad.items()]
        cause = cause or next(text for text in (*faults, weight) if text)
        saved = self.model.last_saved
        raise FloatingPointError(
            f"loss: wanted a finite number, got {logs.get('loss')} in epoch {epoch + 1}. The first "
            f"bad quantity is {cause}. The model has again the weights of {self._kept_of}"
            + (f"; the last one saved is '{saved}'." if saved else "; none was saved.")
        )

    def _cause(self) -> str | None:
        return non_finite.first_non_finite(self.model, self.images, self.labels)

    def _keep(self, of: str) -> None:
        self._kept_of = of
        self._kept = [variable.numpy() for variable in checkpoint_state.variables_of(self.model)]
