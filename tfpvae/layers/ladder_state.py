"""Layer of a decoder that goes down a ladder: from all latents to the state after them."""

from typing import Any

import tf_keras

from tfpvae.distributions.ladder import walk_at
from tfpvae.layers.distribution_lambda import register
from tfpvae.networks.ladder import LadderPath


@register
class LadderState(tf_keras.layers.Layer):
    """Layer from latents [B, D] to the state of a path after all groups.

    A `VAE` makes its path that of the encoder's posterior layer, `tfpvae.layers.Ladder`: prior,
    posterior and decoder then share one network. Of a draw that was made by this path in the same
    step, the state is not computed again.

    Args:
      path: a `tfpvae.networks.ladder.LadderPath`.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> import tensorflow as tf
    >>> from tfpvae.networks.ladder import DensePath
    >>> LadderState(DensePath([2, 3], hidden_units=[8]))(tf.zeros([4, 5])).shape
    TensorShape([4, 8])
    """

    def __init__(self, path: LadderPath | dict, **kwargs: Any):
        # Latents stay the very tensors of full precision that were drawn.
        dtype = tf_keras.mixed_precision.global_policy().variable_dtype
        super().__init__(**{"dtype": dtype, "autocast": False} | kwargs)
        self.path = tf_keras.layers.deserialize(path) if isinstance(path, dict) else path

    def build(self, input_shape) -> None:
        """Makes the layers of the path."""
        if not self.path.built:
            self.path.build([None, self.path.num_features])
        super().build(input_shape)

    def call(self, inputs):
        return walk_at(self.path, inputs).state

    def share(self, path: LadderPath) -> None:
        """Replaces the path by another of the same arguments, and its weights.

        Raises:
          ValueError: for a path of other arguments.
        """
        if path is self.path:
            return
        ours, theirs = ({**p.get_config(), "name": None} for p in (self.path, path))
        if ours != theirs:
            raise ValueError(
                "decoder: wanted one that goes down the ladder of the encoder, "
                f"{theirs}, got {ours}."
            )
        self.path = path

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**super().get_config(), "path": tf_keras.layers.serialize(self.path)}
