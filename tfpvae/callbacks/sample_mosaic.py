"""Callback that writes mosaics of samples during training."""

import os
from pathlib import Path

import numpy as np
import tf_keras

from tfpvae import _checks
from tfpvae.callbacks.pictures import check_pictures, draw_samples, write_mosaic
from tfpvae.saving.constructor_call import constructor_call

_UNITS = ("epoch", "step")


class SampleMosaic(tf_keras.callbacks.Callback):
    """Callback that writes mosaics of samples from the prior at regular epochs or steps.

    The files are `epoch_0001.png` and so on, or `step_000100.png`. An image has as many pixels in
    the file as in the model. With a standard normal prior all mosaics show the same latents, so
    that each image can be followed through the training. Epochs are counted from `initial_epoch`,
    steps by the optimizer, so that a resumed training continues the numbers. If
    `compile(steps_per_execution=...)` runs several steps at a time, the first step that can be seen
    is drawn. A conditional VAE draws its classes in turn.

    Args:
      folder: folder of the files; created when training begins.
      every: number of epochs or steps between mosaics, at least 1.
      unit: "epoch" or "step".
      num_images: S, samples per mosaic, at least 1.
      seed: seed of the latents, at least 0.

    Attributes:
      samples: dict from the number of the epoch or step to its samples, uint8 [S, H, W, C].

    Raises:
      TypeError, ValueError: for other arguments; and, when training begins, if the model is not a
        VAE with a prior, or its images have neither 1 channel nor 3.

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

    def __repr__(self) -> str:
        names = ("every", "unit", "num_images", "seed")
        arguments = {name: getattr(self, name) for name in names}
        return constructor_call(self, {"folder": str(self.folder)} | arguments)

    def on_train_begin(self, logs=None):
        """Checks the model and creates the folder."""
        check_pictures("SampleMosaic", self.model)
        if self.model.prior is None:
            raise ValueError(
                "SampleMosaic: wanted a VAE with a prior, got a plain autoencoder: its posterior "
                "is deterministic."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._last_step = self._step()

    def on_epoch_end(self, epoch, logs=None):
        """Draws a mosaic after every `every` epochs."""
        if self.unit == "epoch" and (epoch + 1) % self.every == 0:
            self._draw(epoch + 1, f"epoch_{epoch + 1:04d}.png")

    def on_train_batch_end(self, batch, logs=None):
        """Draws a mosaic when the steps reach or pass a multiple of `every`."""
        if self.unit != "step":
            return
        step = self._step()
        if step // self.every > self._last_step // self.every:
            self._draw(step, f"step_{step:06d}.png")
        self._last_step = step

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _draw(self, number: int, name: str) -> None:
        self.samples[number] = draw_samples(self.model, self.num_images, self.seed)
        write_mosaic(self.samples[number], self.folder / name)
