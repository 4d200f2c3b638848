"""The convolutional ladder: its parts for the builders, and the path that its networks share."""

from typing import Any

import tensorflow as tf
import tf_keras

from tfpvae import _checks, layers
from tfpvae.layers.ladder_state import LadderState
from tfpvae.models.decoders import likelihood_layer
from tfpvae.networks.convolutional_ladder import ConvolutionalPath, maps_encoder
from tfpvae.networks.residual import to_pixels
from tfpvae.networks.structure import layers_of

OPTIONS = ("depth", "groups", "latent_channels", "patch", "width")


def ladder_parts(
    image_shape: tuple[int, int, int],
    likelihood: Any,
    scale_floor: float,
    options: dict[str, Any] | None,
) -> dict[str, Any]:
    """Returns the arguments of the builders for a convolutional ladder.

    Args:
      image_shape: (height, width, channels).
      likelihood: see `build_decoder`.
      scale_floor: the least scale of a normal.
      options: of `ConvolutionalPath`, by name; None for the defaults.

    Returns:
      latent_dim, posterior, encoder_backbone and decoder_backbone.

    Raises:
      TypeError, ValueError: for an unknown option, or one out of range.

    >>> parts = ladder_parts((28, 28, 1), "bernoulli", 1e-5, {"latent_channels": 2, "groups": 1})
    >>> parts["latent_dim"]  # 7 x 7 x 2 and 14 x 14 x 2
    490
    """
    image_shape = _checks.image_shape(image_shape)
    if not isinstance(options, dict | None):
        raise TypeError(f"backbone_options: wanted a dict or None, got {options!r}.")
    options = options or {}
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise ValueError(
            f"backbone_options: wanted some of {[*OPTIONS]} for 'ladder', got {unknown}."
        )
    path = ConvolutionalPath(image_shape, scale_floor=scale_floor, name="path", **options)
    arguments = path.get_config()
    size = sum(path.sizes)

    height, width, _ = image_shape
    head = likelihood_layer(likelihood, image_shape, is_of_images=True)
    values = head.params_size(image_shape) // (height * width)

    def decoder(latents: tf.Tensor) -> tf.Tensor:
        state = LadderState(tf_keras.layers.serialize(path), name="top_down")(latents)
        return to_pixels(state, height, width, values, arguments["patch"], arguments["width"])

    return {
        "latent_dim": size,
        "posterior": layers.Ladder(size, path=path, name="posterior"),
        "encoder_backbone": maps_encoder(
            arguments["width"], arguments["depth"], arguments["patch"]
        ),
        "decoder_backbone": decoder,
    }


def share_path(encoder: tf_keras.Model, decoder: tf_keras.Model) -> None:
    """Makes the path of a ladder's decoder that of the encoder, with the encoder's weights.

    Raises:
      ValueError: for a decoder whose encoder has no such path.

    >>> import tfpvae
    >>> options = {"width": 2, "latent_channels": 1, "groups": 1}
    >>> vae = tfpvae.build_vae("ladder", image_shape=(28, 28, 1), backbone_options=options)
    >>> vae.encoder.get_layer("posterior").path is vae.decoder.get_layer("top_down").path
    True
    """
    states = [layer for layer in layers_of(decoder) if isinstance(layer, LadderState)]
    if not states:
        return
    heads = [layer for layer in layers_of(encoder) if isinstance(layer, layers.Ladder)]
    if not heads:
        raise ValueError(
            "encoder: wanted one that ends in a tfpvae.layers.Ladder, as the decoder goes down its "
            "path, got one without."
        )
    for state in states:
        state.share(heads[-1].path)
