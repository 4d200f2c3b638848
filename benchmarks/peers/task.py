"""The task of all contestants, as plain data."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE = 1e-3
SCALE_FLOOR, SCALE_START = 1e-5, math.log(math.e - 1)  # softplus(SCALE_START) = 1


class Task(NamedTuple):
    """Network and training data.

    Attributes:
      network: its name in `throughput`.
      encoder, decoder: their layers, one (class name of Keras, config, output shape) each.
      posterior: "independent_normal" or "multivariate_normal_tril".
      latent_dim: D.
      batch_size: images per step.
      num_samples: draws per image; more than one select the importance-weighted bound.
      image_shape: (H, W, C).
      images: path of an .npy, uint8 [N, H, W, C].
      variant: options of the contestant; "" for none.
    """

    network: str
    encoder: list[Any]
    decoder: list[Any]
    posterior: str
    latent_dim: int
    batch_size: int
    num_samples: int
    image_shape: list[int]
    images: str
    variant: str = ""

    @classmethod
    def read(cls, path: str) -> "Task":
        """Returns the task that a file describes."""
        return cls(**json.loads(Path(path).read_text()))

    def load(self) -> np.ndarray:
        """Returns the images."""
        return np.load(self.images)

    @property
    def parameters(self) -> int:
        """Number of parameters of q(z|x)."""
        dim = self.latent_dim
        return dim + (dim if self.posterior == "independent_normal" else dim * (dim + 1) // 2)

    @property
    def is_dense(self) -> bool:
        """Whether the networks have no convolutions."""
        return not any("Conv" in name for name, *_ in [*self.encoder, *self.decoder])
