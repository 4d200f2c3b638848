"""Layers that end an encoder: q(z|x)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.layers.distribution_layer import DistributionLayer, register, shape_of, to_events

tfd = tfp.distributions
tfpl = tfp.layers

# As in tfp.layers' MultivariateNormalTriL: softplus underflows to 0 below -104 in float32.
SCALE_FLOOR = 1e-5


@register
class IndependentNormal(DistributionLayer, tfpl.IndependentNormal):
    """Layer that turns 2 * prod(event_shape) parameters an example into independent normals.

    scale = softplus(second half of the parameters) + scale_floor.

    Args:
      event_shape: shape of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least standard deviation, at least 0. It bounds the density, and with it the
        KL, when the network is sure of a value.
      **kwargs: of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = IndependentNormal(2)(tf.zeros([3, 4]))
    >>> posterior.batch_shape, posterior.event_shape
    (TensorShape([3]), TensorShape([2]))
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        super().__init__(
            lambda t: IndependentNormal.new(t, event_shape, validate_args, scale_floor=floor),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
    ) -> tfd.Distribution:
        """Returns Independent(Normal) from parameters [..., 2 * prod(event_shape)]."""
        plain = tfpl.IndependentNormal.new(params, event_shape, validate_args, name)
        normal = plain.distribution
        return plain.copy(distribution=normal.copy(scale=normal.scale + scale_floor))

    @staticmethod
    def scale_params(event_shape: int | Sequence[int], scale: float) -> np.ndarray:
        """Returns the second half of the parameters of normals of one scale, less floor."""
        return np.full(math.prod(shape_of(event_shape)), tfp.math.softplus_inverse(scale))

    def get_config(self) -> dict:
        return {**super().get_config(), "scale_floor": self._scale_floor}


@register
class MultivariateNormalTriL(DistributionLayer, tfpl.MultivariateNormalTriL):
    """Layer that turns D + D * (D + 1) / 2 parameters into a normal with full covariance.

    The scale is lower triangular, with softplus(parameter) + scale_floor on its diagonal.

    Args:
      event_size: D, the size of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least diagonal element of the scale, at least 0.
      **kwargs: of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = MultivariateNormalTriL(2)(tf.zeros([3, 5]))
    >>> posterior.covariance().shape
    TensorShape([3, 2, 2])
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        super().__init__(
            lambda t: MultivariateNormalTriL.new(t, event_size, validate_args, scale_floor=floor),
            event_size,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor

    @staticmethod
    def new(
        params: tf.Tensor,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
    ) -> tfd.Distribution:
        """Returns MultivariateNormalTriL from parameters [..., D + D * (D + 1) / 2]."""
        with tf.name_scope(name or "MultivariateNormalTriL"):
            params = tf.convert_to_tensor(params)
            floor = np.array(scale_floor, params.dtype.as_numpy_dtype)
            scale_tril = tfp.bijectors.FillScaleTriL(
                tfp.bijectors.Softplus(), diag_shift=floor, validate_args=validate_args
            )
            return tfd.MultivariateNormalTriL(
                loc=params[..., :event_size],
                scale_tril=scale_tril(params[..., event_size:]),
                validate_args=validate_args,
            )

    @staticmethod
    def scale_params(event_size: int, scale: float) -> np.ndarray:
        """Returns the parameters after the means of a normal of scale * identity, less floor."""
        fill = tfp.bijectors.FillScaleTriL(tfp.bijectors.Softplus(), diag_shift=None)
        return fill.inverse(scale * tf.eye(event_size)).numpy()

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        return {**super().get_config(), "scale_floor": self._scale_floor}


@register
class Deterministic(DistributionLayer):
    """Layer that turns prod(event_shape) values an example into a point mass at them.

    The posterior of a plain autoencoder: its draw and its mean are the code, and it has no KL.

    Args:
      event_shape: shape of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> Deterministic(2)(tf.constant([[3.0, 4.0]])).sample().numpy().tolist()
    [[3.0, 4.0]]
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        def new(values: tf.Tensor) -> tfd.Distribution:
            values = to_events(values, event_shape)
            point = tfd.Deterministic(values, validate_args=validate_args)
            return tfd.Independent(point, len(shape_of(event_shape)))

        super().__init__(new, event_shape, convert_to_tensor_fn, validate_args, **kwargs)

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of values an example."""
        del name  # as in tfp.layers
        return math.prod(shape_of(event_shape))

    @staticmethod
    def scale_params(event_shape: int | Sequence[int], scale: float) -> np.ndarray:
        """Returns no parameters: a point has no scale."""
        del event_shape, scale
        return np.zeros(0)
