"""Layers that end an encoder: q(z|x)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks, divergences
from tfpvae.layers.distribution_layer import DistributionLayer, register, shape_of, to_events
from tfpvae.regularizers import KLDivergenceRegularizer

tfd = tfp.distributions
tfpl = tfp.layers

# As in tfp.layers' MultivariateNormalTriL: softplus underflows to 0 below -104 in float32.
SCALE_FLOOR = 1e-5
# Of the parameters of a low rank's factors, which so start small beside the diagonal.
_FACTOR_SCALE = 0.1
# Of a factor: log det and density cancel in float32 by its square, and end in NaN from 1000 on.
_FACTOR_LIMIT = 30.0


class Posterior(DistributionLayer):
    """A distribution layer that can end an encoder: it knows how many parameters it takes.

    A class of it has static methods `params_size` and `scale_params`, whose options besides the
    event shape are attributes of the layer, named in `_size_options`.
    """

    _size_options: tuple[str, ...] = ()

    @property
    def num_params(self) -> int:
        """The number of parameters an example that this layer takes, the means first."""
        return int(type(self).params_size(self._event_shape, **self._options()))

    def start_params(self, scale: float) -> np.ndarray:
        """Returns what the parameters after the means start as, for a posterior of one scale."""
        return type(self).scale_params(self._event_shape, scale, **self._options())

    def with_kl(self, activity_regularizer: KLDivergenceRegularizer) -> "Posterior":
        """Returns a new layer of the same arguments that adds this KL term to the loss."""
        return type(self)(**self.get_config() | {"activity_regularizer": activity_regularizer})

    def _options(self) -> dict:
        return {name: getattr(self, f"_{name}") for name in self._size_options}


@register
class IndependentNormal(Posterior, tfpl.IndependentNormal):
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


class NormalTriL(tfd.MultivariateNormalTriL):
    """The normal of that name, with moments of operations that LiteRT and ONNX have."""

    def _mean(self):
        return tf.identity(self.loc)

    def _stddev(self):
        return tf.norm(self.scale.to_dense(), axis=-1)


@register
class MultivariateNormalTriL(Posterior, tfpl.MultivariateNormalTriL):
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
        event_size = _checks.whole_number("event_size", event_size)
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
            raw = tfp.math.fill_triangular(params[..., event_size:])
            # FillScaleTriL, which has the gradient of set_diag, does not train under XLA.
            diagonal = np.eye(event_size, dtype=bool)
            scale_tril = tf.where(diagonal, tf.math.softplus(raw) + scale_floor, raw)
            return NormalTriL(
                loc=params[..., :event_size], scale_tril=scale_tril, validate_args=validate_args
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


class NormalDiagPlusLowRank(tfd.MultivariateNormalDiagPlusLowRankCovariance):
    """The normal of that name, with a density that trains under XLA."""

    def _log_prob(self, value):
        # log q = -1/2 (|r|^2 - |L^-1 W'r|^2 + log det S + D log 2 pi), r = (z - loc) / d, W = U / d
        variances, factors = self.cov_diag_factor, self.cov_perturb_factor
        log_det, lower = divergences.low_rank_log_det(variances, factors)
        inverse = 1 / tf.sqrt(variances)
        residual = (value - self.loc) * inverse
        shared = tf.linalg.matvec(factors * inverse[..., tf.newaxis], residual, transpose_a=True)
        lower = tf.broadcast_to(lower, tf.concat([tf.shape(shared), tf.shape(lower)[-1:]], axis=0))
        shared = tf.linalg.triangular_solve(lower, shared[..., tf.newaxis])[..., 0]
        distance = tf.reduce_sum(residual**2, axis=-1) - tf.reduce_sum(shared**2, axis=-1)
        constant = variances.shape[-1] * math.log(2 * math.pi)
        return -(distance + log_det + constant) / 2


@register
class MultivariateNormalLowRank(Posterior):
    """Layer of a normal whose covariance is diagonal plus low rank, from D * (2 + rank) parameters.

    covariance = diag(d)^2 + U U', d = softplus(parameter) + scale_floor, U = diag(d) W of shape
    [D, rank], W = 30 tanh(parameter / 300). So D * rank numbers say how the latents go together,
    where a full covariance takes D * (D - 1) / 2. Density, draws and KL are exact. With U written
    as a multiple of d, log det = 2 sum log d + log det(I + W'W) loses nothing where d is small; in
    float32 the density's terms cancel as W grows: where all of W is at its limit, log q is right
    to 1e-2 nats for D = 10 and to half a nat for D = 128.

    Rezende, Mohamed and Wierstra 2014, section 4.3, of rank 1.

    Args:
      event_size: D, the size of one draw, such as latent_dim.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: whether the distribution checks its parameters, at some cost.
      scale_floor: the least element of d, at least 0.
      rank: number of columns of U, at least 1. D - 1 of them make up every covariance; two are
        the fewest by which one group of latents can go together without the rest.
      **kwargs: of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    >>> posterior = MultivariateNormalLowRank(5, rank=1)(tf.zeros([3, 15]))
    >>> posterior.covariance().shape
    TensorShape([3, 5, 5])
    """

    _size_options = ("rank",)

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        rank: int = 2,
        **kwargs: Any,
    ):
        event_size = _checks.whole_number("event_size", event_size)
        floor = _checks.finite_number("scale_floor", scale_floor, minimum=0)
        rank = _checks.whole_number("rank", rank)
        super().__init__(
            lambda t: MultivariateNormalLowRank.new(
                t, event_size, validate_args, scale_floor=floor, rank=rank
            ),
            event_size,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self._scale_floor = floor
        self._rank = rank

    @staticmethod
    def new(
        params: tf.Tensor,
        event_size: int,
        validate_args: bool = False,
        name: str | None = None,
        scale_floor: float = SCALE_FLOOR,
        rank: int = 2,
    ) -> tfd.Distribution:
        """Returns MultivariateNormalDiagPlusLowRankCovariance from [..., D * (2 + rank)]."""
        with tf.name_scope(name or "MultivariateNormalLowRank"):
            loc, raw, factors = tf.split(params, [event_size, event_size, -1], axis=-1)
            diagonal = tf.nn.softplus(raw) + tf.cast(scale_floor, raw.dtype)
            factors = tf.tanh(_FACTOR_SCALE / _FACTOR_LIMIT * factors)
            factors = _FACTOR_LIMIT * to_events(factors, (event_size, rank))
            return NormalDiagPlusLowRank(
                loc=loc,
                cov_diag_factor=diagonal**2,
                cov_perturb_factor=diagonal[..., tf.newaxis] * factors,
                validate_args=validate_args,
            )

    @staticmethod
    def params_size(event_size: int, rank: int = 2, name: str | None = None) -> int:
        """Returns the number of parameters an example, D * (2 + rank)."""
        del name  # as in tfp.layers
        return event_size * (2 + rank)

    @staticmethod
    def scale_params(event_size: int, scale: float, rank: int = 2) -> np.ndarray:
        """Returns the parameters after the means of a normal of about scale * identity."""
        # At 0, or all alike, the columns of U would have no gradient, or all the same. These are
        # the orthogonal ones of a cosine transform; variances are 1e-4 larger for them.
        rows, columns = np.ogrid[0.5:event_size, 1 : rank + 1]
        factors = 0.01 / _FACTOR_SCALE * np.cos(np.pi * rows * columns / event_size)
        raw = np.full(event_size, tfp.math.softplus_inverse(scale))
        return np.concatenate([raw, factors.ravel()])

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        return {**super().get_config(), "scale_floor": self._scale_floor, "rank": self._rank}


@register
class Deterministic(Posterior):
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
