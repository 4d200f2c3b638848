"""Callback that logs scalars, pictures and latents to TensorBoard."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfpvae import _checks, _imports
from tfpvae.callbacks.pictures import assemble, check_pictures, draw_samples, to_bytes
from tfpvae.models import conditioning, estimators, network_inputs

_PAIRS, _HISTOGRAMS = 16, 16  # at most


class TensorBoard(tf_keras.callbacks.TensorBoard):
    """Callback that logs scalars, pictures and latents for `tensorboard --logdir`.

    It is `tf_keras.callbacks.TensorBoard`, which writes loss, nll, kl and elbo of training and
    validation after each epoch, in nats per image. The run "vae" adds, every `every` epochs:
    kl_weight; the first 16 images above their reconstructions; samples from the prior, always of
    the same latents; and for each of the first 16 latent dimensions a histogram of the posterior
    mean over the images. A dimension with the same mean for all images carries no information.

    It needs tensorboard: `pip install "tfpvae[tensorboard]"`.

    Args:
      log_dir: folder of the logs.
      images: [N, H, W, C], float in [0, 1] or uint8; a hundred or so that are not trained on.
      labels: classes of a conditional VAE, whole numbers [N], or one for all images.
      every: number of epochs between pictures, at least 1.
      num_samples: samples per picture, at least 1. A conditional VAE draws its classes in turn; a
        plain autoencoder has no samples.
      seed: seed of the latents, at least 0.
      **kwargs: arguments of `tf_keras.callbacks.TensorBoard`; `write_graph` is False by default.

    Raises:
      ImportError: if tensorboard is not installed.
      TypeError, ValueError: for other arguments; and, when training begins, if the model is not a
        VAE, its images have neither 1 channel nor 3, or images or labels do not fit the model.

    >>> import tempfile
    >>> import tfpvae
    >>> images = np.zeros([8, 28, 28, 1], np.uint8)
    >>> vae = tfpvae.build_vae("dense")
    >>> vae.compile()
    >>> folder = tempfile.mkdtemp()
    >>> try:
    ...     history = vae.fit(images, verbose=0, callbacks=[TensorBoard(folder, images)])
    ...     assert sorted(os.listdir(folder)) == ["train", "vae"]
    ... except ImportError:
    ...     pass  # without tensorboard
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: Any,
        labels: Any = None,
        *,
        every: int = 1,
        num_samples: int = 36,
        seed: int = 0,
        **kwargs: Any,
    ):
        _imports.load("tensorboard", "TensorBoard")
        super().__init__(os.fspath(log_dir), **{"write_graph": False} | kwargs)
        self.images, self.labels = np.asarray(_checks.as_dense("images", images)), labels
        self.every = _checks.whole_number("every", every)
        self.num_samples = _checks.whole_number("num_samples", num_samples)
        self.seed = _checks.whole_number("seed", seed, minimum=0)

    def __repr__(self) -> str:
        return f"TensorBoard({self.log_dir!r}, images {self.images.shape}, every={self.every})"

    def on_train_begin(self, logs=None):
        """Checks the model and the images, and opens the files."""
        check_pictures("TensorBoard", self.model)
        _checks.array("images", self.images, self.model.data_spec)
        labels = conditioning.labels_of(self.model, self.labels, self.images)
        self._inputs = conditioning.join(
            network_inputs.scaled(self.images, self.model.data_spec), labels
        )
        self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, "vae"))
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the scalars, and the rest after every `every` epochs."""
        super().on_epoch_end(epoch, logs)
        if (epoch + 1) % self.every == 0:
            with self._writer.as_default(step=epoch), tf.summary.record_if(True):
                self._show()
            self._writer.flush()

    def on_train_end(self, logs=None):
        """Closes the files."""
        super().on_train_end(logs)
        self._writer.close()

    def _show(self) -> None:
        vae = self.model
        tf.summary.scalar("kl_weight", vae.kl_weight)
        means = estimators.encode(vae, self._inputs).numpy()
        for d in range(min(means.shape[1], _HISTOGRAMS)):
            tf.summary.histogram(f"posterior_mean/{d}", means[:, d])
        images, labels = conditioning.split(conditioning.rows(self._inputs, 0, _PAIRS))
        made = estimators.decode(vae, conditioning.join(tf.constant(means[:_PAIRS]), labels))
        pairs = to_bytes(np.concatenate([images, made]))
        tf.summary.image("reconstructions", assemble(pairs, len(images))[np.newaxis])
        if vae.prior is not None:
            samples = draw_samples(vae, self.num_samples, self.seed)
            tf.summary.image("samples", assemble(samples)[np.newaxis])
