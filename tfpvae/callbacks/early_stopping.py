"""Early stopping that waits for the warm-up of the KL weight."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae.models.vae import VAE


class EarlyStopping(tf_keras.callbacks.EarlyStopping):
    """Stops when what it monitors has stopped improving; as `tf_keras.callbacks.EarlyStopping`.

    While the kl_weight of the VAE warms up its loss is another one at each step, so this waits,
    counting no epoch and keeping no weights, until an epoch ends after the warm-up.

    What it has counted, and the best weights, are in the checkpoints of a training: give it before
    `tf_keras.callbacks.BackupAndRestore`, and what is resumed stops where it would have stopped.

    Args:
      **kwargs: of `tf_keras.callbacks.EarlyStopping`.

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
        """Begins to count, unless a backup brings the counts."""
        if not isinstance(self.model, VAE):
            raise TypeError(f"EarlyStopping: wanted a tfpvae.VAE to train, got {self.model!r}.")
        super().on_train_begin(logs)
        self._kept = tf.__internal__.tracking.AutoTrackable()
        self._kept.counts = tf.Variable(np.array(self._counts(), np.float64), trainable=False)
        weights = self.model.get_weights() if self.restore_best_weights else []
        self._kept.weights = [tf.Variable(weight, trainable=False) for weight in weights]
        setattr(self.model.training_state, self._name, self._kept)

    def on_epoch_end(self, epoch, logs=None):
        """Waits for the warm-up, then does as Keras does."""
        self._recall()
        if int(self.model.optimizer.iterations.numpy()) >= self.model.warmup_steps:
            super().on_epoch_end(epoch, logs)
            self.model.training_state.is_over.assign(self.model.stop_training)
        self._kept.counts.assign(self._counts())
        for variable, weight in zip(self._kept.weights, self.best_weights or [], strict=False):
            variable.assign(weight)

    def on_train_end(self, logs=None):
        """Puts back the best weights, if it is to."""
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
