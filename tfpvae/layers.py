"""Distribution layers: drop-in `tfp.layers` whose KL counts once and whose models can be saved.

On the plain stack `DistributionLambda.call` returns (distribution, value) and Keras regularizes
each of the two outputs, so the KL enters the loss twice; and the layer's config is a pickled
function. Here the layer itself adds the KL, once, and its config is its arguments.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks, serialization
from tfpvae.regularizers import KLDivergenceRegularizer

__all__ = [
    "Deterministic",
    "IndependentBernoulli",
    "IndependentContinuousBernoulli",
    "IndependentNormal",
    "KLDivergenceRegularizer",
    "MultivariateNormalTriL",
]

tfd = tfp.distributions
tfpl = tfp.layers

# softplus underflows to 0 below -104 in float32; the same shift as FillScaleTriL in tfp.layers.
SCALE_FLOOR = 1e-5

_register = tf_keras.saving.register_keras_serializable(package="tfpvae")


class _DistributionLayer(tfpl.DistributionLambda):
    """What every head shares: the KL added once, and a config of plain arguments."""

    def __init__(
        self,
        make_distribution_fn: Callable[[tf.Tensor], tfd.Distribution],
        event_shape: int | Sequence[int],
        convert_to_tensor_fn: Callable | str,
        validate_args: bool,
        activity_regularizer: KLDivergenceRegularizer | None = None,
        **kwargs: Any,
    ):
        if not isinstance(activity_regularizer, (KLDivergenceRegularizer, type(None))):
            raise TypeError(
                "activity_regularizer: wanted a tfpvae.layers.KLDivergenceRegularizer or None, "
                f"got {activity_regularizer!r}."
            )
        if isinstance(convert_to_tensor_fn, str):
            convert_to_tensor_fn = serialization.function_from_name(convert_to_tensor_fn)
        # A head, and the loss that follows it, stays in full precision under a mixed policy.
        kwargs.setdefault("dtype", tf_keras.mixed_precision.global_policy().variable_dtype)
        # Past the __init__ of the tfp.layers class, whose distribution is another.
        tfpl.DistributionLambda.__init__(self, make_distribution_fn, convert_to_tensor_fn, **kwargs)
        self._event_shape = event_shape
        self._validate_args = validate_args
        # Not by plain assignment: Keras would track the regularizer as a module. Its variables
        # are tracked instead, as this layer's own weights, which every format saves.
        object.__setattr__(self, "_kl_regularizer", activity_regularizer)
        if activity_regularizer is not None:
            self._prior_variables = list(activity_regularizer.distribution_b.variables)

    @property
    def activity_regularizer(self) -> KLDivergenceRegularizer | None:
        """The KL term that this layer adds to the loss."""
        return self._kl_regularizer

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the draw, [B, ...]; the plain layer answers for both of its outputs."""
        return (None, *_shape_of(self._event_shape))

    def call(self, inputs, *args, **kwargs):
        outputs = super().call(inputs, *args, **kwargs)
        if self._kl_regularizer is not None:
            distribution = outputs[0] if isinstance(outputs, tuple) else outputs
            self.add_loss(self._kl_regularizer(distribution))
        return outputs

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        regularizer = self._kl_regularizer
        return {
            **tf_keras.layers.Layer.get_config(self),
            **self._event_config(),
            "convert_to_tensor_fn": serialization.function_to_name(
                self._convert_to_tensor_fn, "convert_to_tensor_fn"
            ),
            "validate_args": self._validate_args,
            "activity_regularizer": regularizer and regularizer.get_config(),
        }

    def _event_config(self) -> dict:
        return {"event_shape": _shape_of(self._event_shape)}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None):
        """Returns the layer that `get_config` described."""
        del custom_objects  # Keras passes it; classes are found by their registered names
        config = dict(config)
        if config["activity_regularizer"] is not None:
            config["activity_regularizer"] = KLDivergenceRegularizer.from_config(
                config["activity_regularizer"]
            )
        return cls(**config)


@_register
class IndependentNormal(_DistributionLayer, tfpl.IndependentNormal):
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

    def get_config(self) -> dict:
        return {**super().get_config(), "scale_floor": self._scale_floor}


@_register
class MultivariateNormalTriL(_DistributionLayer, tfpl.MultivariateNormalTriL):
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

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        return {**super().get_config(), "scale_floor": self._scale_floor}


@_register
class Deterministic(_DistributionLayer):
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
            values = _to_events(values, event_shape)
            point = tfd.Deterministic(values, validate_args=validate_args)
            return tfd.Independent(point, len(_shape_of(event_shape)))

        super().__init__(new, event_shape, convert_to_tensor_fn, validate_args, **kwargs)

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of values an example."""
        del name  # as in tfp.layers
        return math.prod(_shape_of(event_shape))


@_register
class IndependentBernoulli(_DistributionLayer, tfpl.IndependentBernoulli):
    """Layer that turns prod(event_shape) logits an example into independent Bernoullis.

    For binary pixels a probability mass. With grey pixels in [0, 1] its log_prob is the
    cross-entropy, which is no density.

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      sample_dtype: dtype of the draws; None for that of the logits.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> likelihood.mean().shape
    TensorShape([3, 2, 2, 1])
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        sample_dtype: Any = None,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        if sample_dtype is not None:
            sample_dtype = tf.as_dtype(sample_dtype).name
        super().__init__(
            lambda t: IndependentBernoulli.new(t, event_shape, sample_dtype, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._sample_dtype = sample_dtype

    def get_config(self) -> dict:
        return {**super().get_config(), "sample_dtype": self._sample_dtype}


@_register
class IndependentContinuousBernoulli(_DistributionLayer):
    """Layer that turns prod(event_shape) logits an example into continuous Bernoullis.

    A density on [0, 1]: p(x) = C(l) l^x (1 - l)^(1 - x) with l = sigmoid(logit). Its mean is not l
    (Loaiza-Ganem and Cunningham 2019, equation 7).

    Args:
      event_shape: shape of one draw, such as image_shape.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      **kwargs: of `tf_keras.layers.Layer`.

    >>> likelihood = IndependentContinuousBernoulli([2, 2, 1])(tf.zeros([3, 4]))
    >>> float(likelihood.mean()[0, 0, 0, 0])
    0.5
    """

    def __init__(
        self,
        event_shape: int | Sequence[int] = (),
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            lambda t: IndependentContinuousBernoulli.new(t, event_shape, validate_args),
            event_shape,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )

    @staticmethod
    def new(
        params: tf.Tensor,
        event_shape: int | Sequence[int] = (),
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """Returns Independent(ContinuousBernoulli) from logits [..., prod(event_shape)]."""
        with tf.name_scope(name or "IndependentContinuousBernoulli"):
            logits = _to_events(params, event_shape)
            bernoulli = tfd.ContinuousBernoulli(
                logits, dtype=logits.dtype, validate_args=validate_args
            )
            return tfd.Independent(bernoulli, len(_shape_of(event_shape)))

    @staticmethod
    def params_size(event_shape: int | Sequence[int] = (), name: str | None = None) -> int:
        """Returns the number of logits an example."""
        del name  # as in tfp.layers
        return math.prod(_shape_of(event_shape))


def _shape_of(event_shape: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(int(side) for side in np.atleast_1d(event_shape))


def _to_events(params: tf.Tensor, event_shape: int | Sequence[int]) -> tf.Tensor:
    """Returns parameters [..., prod(event_shape)] as [..., *event_shape]."""
    params = tf.convert_to_tensor(params)
    return tf.reshape(params, tf.concat([tf.shape(params)[:-1], _shape_of(event_shape)], axis=0))
