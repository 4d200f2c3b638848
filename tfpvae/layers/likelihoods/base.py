"""Base class of the layers that end a decoder."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae import _checks
from tfpvae.layers.base import DistributionLayer, shape_of
from tfpvae.layers.distribution_lambda import LayerOutput

# Kinds of log_prob: see LikelihoodLayer.scores.
BINARY_MASS = "binary_mass"
CATEGORY_MASS = "category_mass"
COUNT_MASS = "count_mass"
DENSITY = "density"
MASS = "mass"


class LikelihoodLayer(DistributionLayer):
    """Base class of the layers that end a decoder, with the properties that a `VAE` reads.

    The input is [B, H * W * V], flattened from [H, W, V]: V = params_size(event_shape) / (H * W)
    values for each pixel, the locations, from which the mean is computed, first. Other data than
    images have any sides in the place of H and W, or none.

    Attributes:
      scores: kind of log_prob. "binary_mass": log probability of pixels that are 0 or 1.
        "density": log density in units of the data, for pixels those of [0, 1]. "mass": log
        probability of pixels at one of the 256 levels of 8 bits. "count_mass" and "category_mass":
        log probability of counts and of categories. Scores of one kind compare with each other; a
        density of 8-bit pixels compares with a mass after log 256 per pixel and channel is
        subtracted from it.
      locations: number of locations per channel: one, or one per component of a mixture.
      event_shape: shape of one draw, such as image_shape.
      support: the values of the data, a `Support`.
      has_bounds: whether draws are such values.
    """

    scores: str
    support = _checks.UNIT_INTERVAL
    locations = 1
    has_bounds = True

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one draw, such as image_shape."""
        return shape_of(self._event_shape)

    def call(self, inputs, *args, **kwargs):
        """Makes the distribution, whose log_prob takes uint8 images as well."""
        outputs = super().call(inputs, *args, **kwargs)
        distribution = outputs[0] if isinstance(outputs, tuple) else outputs
        distribution.__class__ = _CoerciblePixels
        return outputs


class _CoerciblePixels(LayerOutput):
    """Distribution of a layer that keeps uint8 pixels, which its base converts to floats."""

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
