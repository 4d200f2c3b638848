"""What a VAE draws while it learns: mosaics as files, and what TensorBoard shows."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from PIL import Image

from tfpvae import _checks, conditioning, inference, inputs
from tfpvae.figures import tiles
from tfpvae.vae import VAE

_UNITS = ("epoch", "step")
_GAP = 2  # white pixels between two images
_PAIRS, _HISTOGRAMS = 16, 16  # at most, of a TensorBoard


class SampleMosaic(tf_keras.callbacks.Callback):
    """Writes a mosaic of samples from the prior every so many epochs or steps.

    The files are `epoch_0001.png` and so on, or `step_000100.png`: every pixel of an image is one
    of the file. All mosaics of a standard normal prior show the same latents, so that one sees each
    image change. Epochs are counted as `initial_epoch` says, steps as the optimizer counts them, so
    that training which is resumed goes on where it was. Where `compile(steps_per_execution=...)`
    makes Keras pass over some steps, the first step after them is drawn. Of a conditional VAE the
    images are of its classes in turn.

    Args:
      folder: where to; made when training begins.
      every: epochs or steps from one mosaic to the next, at least 1.
      unit: "epoch" or "step".
      num_images: S, samples in a mosaic, at least 1.
      seed: of the latents, at least 0.

    Attributes:
      samples: dict from the number of the epoch or step to its samples, uint8 [S, H, W, C].

    Raises:
      TypeError, ValueError: for other arguments; and, when training begins, if the model is no VAE
        with a prior, or its images have neither 1 channel nor 3.

    >>> import tempfile
    >>> import numpy as np
    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense")
    >>> vae.compile()
    >>> mosaic = SampleMosaic(tempfile.mkdtemp(), every=2, num_images=9)
    >>> images = np.zeros([8, 28, 28, 1], np.uint8)
    >>> history = vae.fit(images, epochs=4, verbose=0, callbacks=[mosaic])
    >>> {epoch: samples.shape for epoch, samples in mosaic.samples.items()}
    {2: (9, 28, 28, 1), 4: (9, 28, 28, 1)}
    >>> sorted(path.name for path in mosaic.folder.iterdir())
    ['epoch_0002.png', 'epoch_0004.png']
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        every: int = 1,
        unit: str = "epoch",
        num_images: int = 64,
        seed: int = 0,
    ):
        super().__init__()
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"folder: wanted a path, got {folder!r}.")
        _checks.one_of("unit", unit, _UNITS)
        self.folder = Path(folder)
        self.every = _checks.whole_number("every", every)
        self.unit = unit
        self.num_images = _checks.whole_number("num_images", num_images)
        self.seed = _checks.whole_number("seed", seed, minimum=0)
        self.samples: dict[int, np.ndarray] = {}

    def on_train_begin(self, logs=None):
        """Refuses a model that has nothing to sample, and makes the folder."""
        _wants_pictures("SampleMosaic", self.model)
        if self.model.prior is None:
            raise ValueError(
                "SampleMosaic: wanted a VAE with a prior, got a plain autoencoder: its posterior "
                "is deterministic."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._last_step = self._step()

    def on_epoch_end(self, epoch, logs=None):
        """Draws after every so many epochs."""
        if self.unit == "epoch" and (epoch + 1) % self.every == 0:
            self._draw(epoch + 1, f"epoch_{epoch + 1:04d}.png")

    def on_train_batch_end(self, batch, logs=None):
        """Draws when another multiple of so many steps is reached or was passed."""
        if self.unit != "step":
            return
        step = self._step()
        if step // self.every > self._last_step // self.every:
            self._draw(step, f"step_{step:06d}.png")
        self._last_step = step

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _draw(self, number: int, name: str) -> None:
        self.samples[number] = _samples(self.model, self.num_images, self.seed)
        _write(self.samples[number], self.folder / name)


class TensorBoard(tf_keras.callbacks.TensorBoard):
    """Writes what `tensorboard --logdir` shows: scalars in nats, pictures, what the latents do.

    As `tf_keras.callbacks.TensorBoard`, which writes loss, nll, kl and elbo of training and of
    validation, nats an image, after each epoch. Besides, in the run "vae", every so many epochs:
    kl_weight; the first 16 images over their reconstructions; samples from the prior, always of
    the same latents; and for each of the first 16 latent dimensions a histogram, over the images,
    of the posterior's mean. A dimension whose mean is the same for all images says nothing.

    It needs tensorboard: `pip install "tfpvae[tensorboard]"`.

    Args:
      log_dir: where to.
      images: [N, H, W, C], float in [0, 1] or uint8, some hundred that are not trained on.
      labels: of a conditional VAE, whole numbers [N], or one for all images.
      every: epochs from one writing of pictures to the next, at least 1.
      num_samples: samples in a picture, at least 1. Of a conditional VAE they are of its classes in
        turn; a plain autoencoder has none.
      seed: of the latents, at least 0.
      **kwargs: of `tf_keras.callbacks.TensorBoard`; no graph is written unless asked for.

    Raises:
      ImportError: without tensorboard.
      TypeError, ValueError: for other arguments; and, when training begins, if the model is no VAE,
        its images have neither 1 channel nor 3, or images or labels are not those of the model.

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
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "TensorBoard: wanted tensorboard, got none installed; "
                'pip install "tfpvae[tensorboard]".'
            )
        super().__init__(os.fspath(log_dir), **{"write_graph": False} | kwargs)
        self.images, self.labels = np.asarray(_checks.as_dense("images", images)), labels
        self.every = _checks.whole_number("every", every)
        self.num_samples = _checks.whole_number("num_samples", num_samples)
        self.seed = _checks.whole_number("seed", seed, minimum=0)

    def on_train_begin(self, logs=None):
        """Refuses a model or images that there is nothing to show of."""
        _wants_pictures("TensorBoard", self.model)
        _checks.array("images", self.images, self.model.image_shape)
        labels = conditioning.labels_of(self.model, self.labels, self.images)
        self._given = conditioning.join(inputs.scaled(self.images), labels)
        self._writer = tf.summary.create_file_writer(os.path.join(self.log_dir, "vae"))
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the scalars, and the rest every so many epochs."""
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
        step = inference.images_a_pass(vae)
        starts = range(0, len(self.images), step)
        pieces = [conditioning.rows(self._given, i, i + step) for i in starts]
        means = np.concatenate([vae.encoder(piece).mean() for piece in pieces])
        for d in range(min(means.shape[1], _HISTOGRAMS)):
            tf.summary.histogram(f"posterior_mean/{d}", means[:, d])
        images, labels = conditioning.split(conditioning.rows(self._given, 0, _PAIRS))
        made = inference.decode(vae, conditioning.join(tf.constant(means[:_PAIRS]), labels))
        pairs = _bytes(np.concatenate([images, made]))
        tf.summary.image("reconstructions", _assembled(pairs, len(images))[np.newaxis])
        if vae.prior is not None:
            samples = _samples(vae, self.num_samples, self.seed)
            tf.summary.image("samples", _assembled(samples)[np.newaxis])


def _wants_pictures(callback: str, model: Any) -> None:
    """Raises unless a model is a VAE of images that make a picture."""
    if not isinstance(model, VAE):
        raise TypeError(f"{callback}: wanted a tfpvae.VAE to train, got {model!r}.")
    if model.image_shape[-1] not in (1, 3):
        raise ValueError(
            f"{callback}: wanted images of 1 channel or 3, "
            f"got the image_shape {tuple(model.image_shape)}."
        )


def _samples(vae: VAE, num_samples: int, seed: int) -> np.ndarray:
    """Returns samples [S, H, W, C], uint8; of a conditional VAE of its classes in turn."""
    classes = vae.num_classes
    labels = None if classes is None else np.arange(num_samples) % classes
    return _bytes(vae.sample(num_samples, seed=seed, labels=labels).numpy())


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.round(255 * images).astype(np.uint8)


def _assembled(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Returns images [S, H, W, C] as one picture, nearly a square unless columns are given."""
    return tiles.assembled(images, columns or tiles.square_columns(images.shape), _GAP, 255)


def _write(images: np.ndarray, path: Path) -> None:
    """Writes images [S, H, W, C], uint8, as one picture, whole or not at all."""
    picture = _assembled(images)
    partial = path.with_name(f"{path.name}.partial")
    try:
        Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(partial, "PNG")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
