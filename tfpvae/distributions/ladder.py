"""Latents in groups, each conditional on the groups above it.

    p(z) = p(z_0) prod_i p(z_i | z_<i),   q(z|x) = q(z_0|x) prod_i q(z_i | z_<i, x)

with normals below the top group z_0, computed by one network from the top down (Sonderby et al.
2016, section 2.1). Relative to that of the prior, a posterior is N(m + d, (s r)^2), where the prior
is N(m, s^2) and d and r depend on x (Vahdat and Kautz 2020, equation 2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.distributions.flow import fixed_noise
from tfpvae.distributions.remembered import recall, remember

tfd = tfp.distributions

_MOMENT_DRAWS = 16
_RAW_ONE = float(np.log(np.e - 1))  # of which softplus is 1


class Walk(NamedTuple):
    """One pass through the groups of N latents.

    Attributes:
      path: the network that made it; see `tfpvae.networks.ladder.LadderPath`.
      features: of the images as they were passed, or None for a pass without images.
      latents: z of each group, [N, D_i].
      posteriors: q(z_i | z_<i, x) of each group, batch shape [N]; empty without images.
      priors: p(z_i | z_<i) of each group below the top, batch shape [N].
      state: what the path makes of all groups, which decoders take.
    """

    path: Any
    features: tf.Tensor | None
    latents: list[tf.Tensor]
    posteriors: list[tfd.Distribution]
    priors: list[tfd.Distribution]
    state: Any


class LadderPosterior(tfd.Distribution):
    """q(z|x), each group of latents conditional on the groups above it.

    The mean is that of the path of means: each group's mean, given the means above it, which is
    exact where each depends linearly on those above. The variance is that of 16 draws of the same
    noise each time; where the groups do not depend on each other it is exact.

    Args:
      features: of the images, [B, F].
      path: see `tfpvae.networks.ladder.LadderPath`.
      validate_args: not read; nothing is checked here.
      name: of the operations.

    >>> from tfpvae.networks.ladder import DensePath
    >>> path = DensePath([2, 3])
    >>> path.build(None)
    >>> posterior = LadderPosterior(tf.zeros([7, path.num_features]), path)
    >>> posterior.sample(5).shape, posterior.top.event_shape
    (TensorShape([5, 7, 5]), TensorShape([2]))
    """

    def __init__(
        self,
        features: tf.Tensor,
        path: Any,
        validate_args: bool = False,
        name: str = "LadderPosterior",
    ):
        parameters = dict(locals())
        self._features = tf.convert_to_tensor(features)
        # A function hides the network from tf.Module: its weights are those of a layer.
        self._path = lambda: path
        super().__init__(
            dtype=self._features.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"features": tfp.util.ParameterProperties(event_ndims=1)}

    @property
    def path(self) -> Any:
        """The network of the groups, which the prior shares."""
        return self._path()

    @property
    def top(self) -> tfd.Distribution:
        """q(z_0|x), of the first group alone."""
        return _read(self.path, self._features)[0]

    def walk(self, z: tf.Tensor) -> Walk:
        """Returns the pass through the groups at latents [..., D], of batch shape [N]."""
        return walk_at(self.path, z, self._features)

    def by_latents(self, values: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Returns values of N latents, [N, ...], as [S, B, ...] for latents z [S, B, D]."""
        return reshaped(values, z, self._features)

    def _event_shape(self):
        return tf.TensorShape([sum(self.path.sizes)])

    def _event_shape_tensor(self):
        return tf.constant([sum(self.path.sizes)])

    # As in tfd.TransformedDistribution: here the result is the tensor that the caller gets.
    def _call_sample_n(self, sample_shape, seed, **kwargs):
        sample_shape = tf.reshape(tf.convert_to_tensor(sample_shape, tf.int32), [-1])
        seeds = tfp.random.split_seed(seed, n=len(self.path.sizes), salt="LadderPosterior")
        shape = tf.concat([sample_shape, self.batch_shape_tensor()], axis=0)
        walk = descend(
            self.path, lambda i, normal: normal.sample(seed=seeds[i]), self._features, shape
        )
        z = _joined(walk, shape)
        z = self._set_sample_static_shape(z, sample_shape)
        remember(z, walk)
        return z

    def _log_prob(self, z):
        walk = self.walk(z)
        parts = zip(walk.posteriors, walk.latents, strict=True)
        log_prob = tf.add_n([normal.log_prob(latents) for normal, latents in parts])
        return reshaped(log_prob, z, self._features)

    def _mean(self):
        walk = descend(self.path, lambda _, normal: normal.mean(), self._features)
        return _joined(walk, self.batch_shape_tensor())

    def _variance(self):
        noise = fixed_noise(sum(self.path.sizes), _MOMENT_DRAWS)
        noise = tf.split(tf.constant(noise, self.dtype), self.path.sizes, axis=-1)
        shape = tf.concat([[_MOMENT_DRAWS], self.batch_shape_tensor()], axis=0)

        def choose(i: int, normal: tfd.Distribution) -> tf.Tensor:
            count = tf.shape(normal.mean())[0] // _MOMENT_DRAWS
            return normal.mean() + normal.stddev() * tf.repeat(noise[i], count, axis=0)

        draws = _joined(descend(self.path, choose, self._features, shape), shape)
        return tf.math.reduce_variance(draws, axis=0)


def descend(
    path: Any,
    choose: Callable[[int, Any], tf.Tensor],
    features: tf.Tensor | None = None,
    shape: Any = None,
) -> Walk:
    """Returns the pass through all groups, from the top down.

    Args:
      path: see `tfpvae.networks.ladder.LadderPath`.
      choose: (number of the group, its distribution) -> its latents, [N, D_i]. The distribution is
        q(z_i | z_<i, x); without features p(z_i | z_<i), and None for the top.
      features: of images, [..., F].
      shape: to which the batch shape of the features is broadcast before it is flattened to [N];
        None for no broadcasting.

    >>> from tfpvae.networks.ladder import DensePath
    >>> path = DensePath([2, 3])
    >>> path.build(None)
    >>> walk = descend(path, lambda i, _: tf.zeros([7, path.sizes[i]]))
    >>> [prior.batch_shape for prior in walk.priors]
    [TensorShape([7])]
    """
    flat = None if features is None else _flat(features, shape)
    top, context = (None, None) if flat is None else _read(path, flat)
    latents, posteriors, priors = [choose(0, top)], [] if top is None else [top], []
    state = path.start(latents[0])
    for i in range(1, len(path.sizes)):
        conditional = prior = _normal(path.prior_params(i, state), path.scale_floor)
        priors.append(prior)
        if flat is not None:
            params = path.posterior_params(i, state, context)
            conditional = _relative(prior, params, path.scale_floor)
            posteriors.append(conditional)
        latents.append(choose(i, conditional))
        state = path.down(i, state, latents[i])
    return Walk(path, features, latents, posteriors, priors, state)


def walk_at(path: Any, z: tf.Tensor, features: tf.Tensor | None = None) -> Walk:
    """Returns the pass through the groups at given latents; that of a draw may be remembered.

    Args:
      path: see `tfpvae.networks.ladder.LadderPath`.
      z: latents, [..., D].
      features: of images, [..., F], to whose batch shape the latents are broadcast.

    >>> from tfpvae.networks.ladder import DensePath
    >>> path = DensePath([2, 3])
    >>> path.build(None)
    >>> [part.shape for part in walk_at(path, tf.zeros([4, 7, 5])).latents]
    [TensorShape([28, 2]), TensorShape([28, 3])]
    """
    walk = recall(z)
    if walk is not None and walk.path is path and (features is None or walk.features is features):
        return walk
    shape = _shape(z, features)
    parts = tf.split(_flat(z, shape), path.sizes, axis=-1)
    walk = descend(path, lambda i, _: parts[i], features, shape)
    remember(z, walk)
    return walk


def reshaped(values: tf.Tensor, z: tf.Tensor, features: tf.Tensor | None = None) -> tf.Tensor:
    """Returns values of N latents, [N, ...], with the batch shape of the latents in place of N.

    >>> reshaped(tf.zeros([6]), tf.zeros([2, 3, 5])).shape
    TensorShape([2, 3])
    """
    inner = tf.shape(values)[1:]
    result = tf.reshape(values, tf.concat([_shape(z, features), inner], axis=0))
    static = z.shape[:-1]
    if features is not None:
        static = tf.broadcast_static_shape(static, features.shape[:-1])
    return tf.ensure_shape(result, static.concatenate(values.shape[1:]))


def _read(path: Any, features: tf.Tensor) -> tuple[tfd.Distribution, Any]:
    """Returns q(z_0|x), and what the posteriors of the other groups take of the images."""
    params, context = path.read(features)
    return _normal(params, path.scale_floor), context


def _joined(walk: Walk, shape: Any) -> tf.Tensor:
    z = tf.concat(walk.latents, axis=-1)
    return tf.reshape(z, tf.concat([shape, [z.shape[-1]]], axis=0))


def _shape(z: tf.Tensor, features: tf.Tensor | None) -> tf.Tensor:
    shape = tf.shape(z)[:-1]
    if features is None:
        return shape
    return tf.broadcast_dynamic_shape(shape, tf.shape(features)[:-1])


def _flat(tensor: tf.Tensor, shape: Any) -> tf.Tensor:
    """Returns [..., F] as [N, F], broadcast to a shape before."""
    size = tensor.shape[-1]
    if shape is not None:
        tensor = tf.broadcast_to(tensor, tf.concat([shape, [size]], axis=0))
    return tf.ensure_shape(tf.reshape(tensor, [-1, size]), [None, size])


def _normal(params: tf.Tensor, floor: float) -> tfd.Distribution:
    loc, raw = tf.split(params, 2, axis=-1)
    return tfd.Independent(tfd.Normal(loc, tf.math.softplus(raw) + floor), 1)


def _relative(prior: tfd.Distribution, params: tf.Tensor, floor: float) -> tfd.Distribution:
    shift, raw = tf.split(params, 2, axis=-1)
    ratio = tf.math.softplus(raw + _RAW_ONE) + floor
    normal = prior.distribution
    return tfd.Independent(tfd.Normal(normal.loc + shift, normal.scale * ratio), 1)
