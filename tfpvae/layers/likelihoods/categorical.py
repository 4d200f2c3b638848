"""Likelihood layer with independent categorical distributions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.events import EventDistribution
from tfpvae.layers.base import register, shape_of, to_events
from tfpvae.layers.likelihoods.base import CATEGORY_MASS, LikelihoodLayer, channels_last

tfd = tfp.distributions


@register
class CategoricalLikelihood(LikelihoodLayer):
    """Layer that turns K logits a value into independent categoricals over one-hot vectors.

    Data are one-hot vectors [B, ..., K], or ids, whole numbers [B, ...] from 0 to K - 1, of which a
    VAE makes one-hot vectors.

    Args:
      event_shape: (..., K), K the number of categories, such as (50, 4) of 50 bases of DNA.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    >>> likelihood = CategoricalLikelihood([2, 4])(tf.zeros([3, 8]))
    >>> likelihood.mean()[0, 0].numpy().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    scores = CATEGORY_MASS
    support = _checks.ONE_HOT

    def __init__(
        self,
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str = "mean",
        validate_args: bool = False,
        **kwargs: Any,
    ):
        shape = channels_last(event_shape)
        super().__init__(self._new, shape, convert_to_tensor_fn, validate_args, **kwargs)

    def _new(self, params: tf.Tensor) -> tfd.Distribution:
        shape = self.event_shape
        categorical = tfd.OneHotCategorical(
            to_events(params, shape), dtype=params.dtype, validate_args=self._validate_args
        )
        return EventDistribution(categorical, len(shape) - 1)

    @staticmethod
    def params_size(event_shape: int | Sequence[int]) -> int:
        """Returns the number of parameters per example, one for each value of the event."""
        return math.prod(shape_of(event_shape))
