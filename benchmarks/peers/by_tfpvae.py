"""tfpvae: vae.compile() and vae.fit(images)."""

import tf_keras

import tfpvae
from peers.task import LEARNING_RATE, Task


class Trainer:
    """Trainer of a named architecture, or of the layers of the task."""

    def __init__(self, task: Task):
        tf_keras.utils.set_random_seed(0)
        self.task, self.images = task, task.load()
        if task.num_samples > 1:
            options = {
                "architecture": "dense",
                "encoder_backbone": _backbone(task.encoder),
                "decoder_backbone": _backbone(task.decoder),
                "objective": "iwae",
                "num_samples": task.num_samples,
            }
        else:
            options = {"architecture": task.network}
        self.vae = tfpvae.build_vae(
            **options,
            image_shape=tuple(task.image_shape),
            latent_dim=task.latent_dim,
            posterior=task.posterior,
            precision=task.variant or None,
        )
        self.vae.compile(tf_keras.optimizers.Adam(LEARNING_RATE))

    def epoch(self) -> float:
        """Returns the loss of one epoch."""
        history = self.vae.fit(self.images, batch_size=self.task.batch_size, verbose=0)
        return history.history["loss"][0]


def _backbone(layers):
    """Returns a backbone whose layers are built by `build_vae`, with its precision."""
    return lambda tensor: _applied(layers, tensor)


def _applied(layers, tensor):
    for name, config, _ in layers:
        layer = getattr(tf_keras.layers, name).from_config(config)
        tensor = layer(tensor)
    return tensor
