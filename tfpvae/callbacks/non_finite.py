"""Callback that stops at NaN and restores the last good weights."""

from typing import Any

import numpy as np
import tf_keras

from tfpvae.evaluation import non_finite
from tfpvae.models.vae import VAE
from tfpvae.saving import finite_weights
from tfpvae.training import checkpoint_state


class StopOnNonFinite(tf_keras.callbacks.Callback):
    """Stops training after the epoch in which the loss, or a weight, became NaN or infinite.

    The error names the first bad quantity. The weights and the optimizer's variables are put back
    to those of the last good epoch's end, or of the beginning of training: a copy of them is kept
    in memory. Give this callback first in the list, so that none of the others sees the bad epoch;
    `VAE.save` and `VAE.save_weights`, and with them ModelCheckpoint, refuse such weights anyway.

    It looks at the ends of epochs only. A look at each step would make the host wait for each and
    training slow, for all the good runs, and would gain no more than the rest of one epoch, which
    is lost either way: the weights go back to those of the last good one.
    `tf_keras.callbacks.TerminateOnNaN` looks at each batch and keeps no weights.

    Args:
      images: a batch of training images, [B, H, W, C], on which `evaluation.first_non_finite` finds
        the first bad quantity; None to name the loss, its parts and the weights only.
      labels: of those images, for a conditional VAE.

    Raises:
      FloatingPointError: out of `fit`, at the end of the bad epoch.
      TypeError: when training begins, if the model is no VAE.

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
        """Keeps the weights that training begins with."""
        if not isinstance(self.model, VAE):
            raise TypeError(f"StopOnNonFinite: wanted a tfpvae.VAE to train, got {self.model!r}.")
        checkpoint_state.build_optimizer(self.model)  # its slots are kept too
        self._keep("the beginning of training")

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the number of batches before an epoch."""
        self._batches = int(self.model._train_counter.numpy())

    def on_epoch_end(self, epoch, logs=None):
        """Keeps good weights; for bad ones says why, puts the good ones back and raises."""
        logs = {name: float(value) for name, value in (logs or {}).items()}
        bad = {name: value for name, value in logs.items() if not np.isfinite(value)}
        bad = {name: value for name, value in bad.items() if not name.startswith("val_")}
        if int(self.model._train_counter.numpy()) == self._batches:
            bad = {}  # means of no batch, since the data ran out
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
            # Weights spoil all that is made of them; what spoilt them the good ones may still show.
            cause = self._cause() or cause
        found = [f"{name}: {value}" for name, value in bad.items()]
        cause = cause or next(text for text in (*found, weight) if text)
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
