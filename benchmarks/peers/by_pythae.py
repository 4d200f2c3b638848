"""pythae: its VAE and its trainer, with networks of the same sizes, dense networks only."""

import contextlib
import io
import logging
import math
import tempfile

import torch
from pythae.data.datasets import DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn

from peers.by_torch import translated
from peers.task import LEARNING_RATE, Task


class Encoder(BaseEncoder):
    """The layers of the task and two heads, as pythae requires."""

    def __init__(self, task: Task):
        super().__init__()
        layers, shape = translated(task.encoder, task.image_shape)
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.mean = nn.Linear(math.prod(shape), task.latent_dim)
        self.log_variance = nn.Linear(math.prod(shape), task.latent_dim)

    def forward(self, x):
        x = self.layers(x)
        return ModelOutput(embedding=self.mean(x), log_covariance=self.log_variance(x))


class Decoder(BaseDecoder):
    """The layers of the task and a sigmoid, as pythae requires."""

    def __init__(self, task: Task):
        super().__init__()
        layers, _ = translated(task.decoder, [task.latent_dim])
        self.layers = nn.Sequential(*layers)

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))


class Images(torch.utils.data.Dataset):
    """Float images one at a time, like the data sets of pythae."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return DatasetOutput(data=self.images[index])


class Trainer:
    """Runs the trainer of pythae for one epoch at a time."""

    def __init__(self, task: Task):
        torch.manual_seed(0)
        self.task = task
        images = torch.from_numpy(task.load()).permute(0, 3, 1, 2)
        self.images = Images(images.float() / 255)
        config = VAEConfig(
            input_dim=tuple(images.shape[1:]),
            latent_dim=task.latent_dim,
            reconstruction_loss="bce",
        )
        self.model = VAE(config, encoder=Encoder(task), decoder=Decoder(task))
        logging.disable(logging.INFO)

    def epoch(self) -> float:
        """Returns the loss of one epoch."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            config = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=1,
                learning_rate=LEARNING_RATE,
                per_device_train_batch_size=self.task.batch_size,
                optimizer_cls="Adam",
                no_cuda=True,
            )
            trainer = BaseTrainer(self.model, self.images, training_config=config)
            trainer.prepare_training()
            return float(trainer.train_step(epoch=1))
