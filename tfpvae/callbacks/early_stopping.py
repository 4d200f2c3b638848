"""Early stopping that waits for the warm-up of the KL weight."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae.models.vae import VAE


class EarlyStopping(tf_keras.callbacks.EarlyStopping):
    """Callback that stops training when a monitored quantity no longer improves.

    It is `tf_keras.callbacks.EarlyStopping`, except that it waits for the warm-up of the VAE's
    `kl_weight`, during which the loss changes its meaning at every step: until an epoch ends after
    the warm-up, it counts no epochs and keeps no weights.

    Backups of a training include its counts and the best weights. Put it before
    `tf_keras.callbacks.BackupAndRestore` in the list of callbacks, and a resumed training stops
    where it would have stopped without the interruption.

    Args:
      **kwargs: arguments of `tf_keras.callbacks.EarlyStopping`.

    >>> import numpy as np
    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", kl_weight=tfpvae.schedules.LinearWarmup(3))
    >>> vae.compile()
    >>> stopping = EarlyStopping(monitor="loss", min_delta=1000, patience=1)
    >>> images = np.zeros([8, 28, 28, 1], np.uint8)
    >>> history = vae.fit(images, epochs=9, verbose=0, callbacks=[stopping])
    >>> len(history.epoch)  # a step each: the third ends the warm-up, the fourth is no better
    4
    """

    def __repr__(self) -> str:
        return f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience})"

    def on_train_begin(self, logs=None):
        """Starts to count, or continues with the counts of a backup."""
        if not isinstance(self.model, VAE):
            raise TypeError(f"EarlyStopping: wanted a tfpvae.VAE to train, got {self.model!r}.")
        super().on_train_begin(logs)
        self._kept = tf.__internal__.tracking.AutoTrackable()
        self._kept.counts = tf.Variable(np.array(self._counts(), np.float64), trainable=False)
        weights = self.model.get_weights() if self.restore_best_weights else []
        self._kept.weights = [tf.Variable(weight, trainable=False) for weight in weights]
        setattr(self.model.training_state, self._name, self._kept)

    def on_epoch_end(self, epoch, logs=None):
        """Waits for the warm-up, then does what the base class does."""
        self._recall()
        if int(self.model.optimizer.iterations.numpy()) >= self.model.warmup_steps:
            super().on_epoch_end(epoch, logs)
            self.model.training_state.is_over.assign(self.model.stop_training)
        self._kept.counts.assign(self._counts())
        for variable, weight in zip(self._kept.weights, self.best_weights or [], strict=False):
            variable.assign(weight)

    def on_train_end(self, logs=None):
        """Restores the best weights if `restore_best_weights` is set."""
        self._recall()
        super().on_train_end(logs)
        delattr(self.model.training_state, self._name)

    @property
    def _name(self) -> str:
        return f"stopping_by_{self.monitor}"

    def _counts(self) -> list[float]:
        has_best = self.best_weights is not None
        return [self.wait, self.stopped_epoch, self.best_epoch, self.best, has_best]

    def _recall(self) -> None:
        wait, stopped_epoch, best_epoch, self.best, has_best = self._kept.counts.numpy().tolist()
        self.wait, self.stopped_epoch, self.best_epoch = map(int, (wait, stopped_epoch, best_epoch))
        self.best_weights = [w.numpy() for w in self._kept.weights] if has_best else None
