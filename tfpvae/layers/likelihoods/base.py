"""Base class of the layers that end a decoder."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae.layers.base import DistributionLayer, shape_of
from tfpvae.layers.distribution_lambda import LayerOutput

# What log_prob is: see LikelihoodLayer.scores.
BINARY_MASS = "binary_mass"
DENSITY = "density"
MASS = "mass"


class LikelihoodLayer(DistributionLayer):
    """A layer that ends a decoder; what `build_decoder` and a VAE have to know of it.

    Its input is [B, H * W * V], flattened [H, W, V]: V values for each pixel, the locations (what
    the mean goes by) first, V = params_size(event_shape) / (H * W).

    Attributes:
      scores: what log_prob is the log of. "binary_mass": the probability of pixels that are 0 or 1.
        "density": a density of pixels in [0, 1], in units of that interval. "mass": the probability
        of pixels that have one of the 256 levels of 8 bits. Numbers of one kind compare with each
        other; a density and a mass of the same 8-bit pixels do after log 256 is taken off the
        density's, pixel for pixel and channel for channel.
      locations: how many locations a channel has: one, or one a component of a mixture.
      event_shape: of one draw, such as image_shape.
      has_bounds: whether draws lie in [0, 1].
    """

    scores: str
    locations = 1
    has_bounds = True

    @property
    def event_shape(self) -> tuple[int, ...]:
        return shape_of(self._event_shape)

    def call(self, inputs, *args, **kwargs):
        outputs = super().call(inputs, *args, **kwargs)
        distribution = outputs[0] if isinstance(outputs, tuple) else outputs
        distribution.__class__ = _CoerciblePixels
        return outputs


class _CoerciblePixels(LayerOutput):
    """Distribution of a layer that keeps uint8 pixels, of which its base makes floats."""

    def _call_log_prob(self, value, name, **kwargs):
        return super()._call_log_prob(_keep_bytes(value), name, **kwargs)

    def _call_prob(self, value, name, **kwargs):
        return super()._call_prob(_keep_bytes(value), name, **kwargs)


def _keep_bytes(value: Any) -> Any:
    is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8
    return tf.convert_to_tensor(value) if is_bytes else value


def channels_last(event_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Returns an event shape as a tuple; raises unless it has an axis of channels."""
    shape = shape_of(event_shape)
    if not shape:
        raise ValueError(f"event_shape: wanted at least one side, got {event_shape!r}.")
    return shape


def positive(raw: tf.Tensor, start: float, floor: float) -> tf.Tensor:
    """Returns softplus(raw + c) + floor, with c such that raw = 0 gives start + floor."""
    return tf.math.softplus(raw + math.log(math.expm1(start))) + floor
