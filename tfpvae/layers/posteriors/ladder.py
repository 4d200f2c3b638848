"""Posterior layer of latents in groups, each conditional on the groups above it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_probability as tfp
import tf_keras

from tfpvae.distributions.ladder import LadderPosterior
from tfpvae.layers.base import register, size_of
from tfpvae.layers.posteriors.base import SCALE_FLOOR, Posterior
from tfpvae.layers.posteriors.independent_normal import IndependentNormal
from tfpvae.networks.ladder import DensePath, LadderPath, split_sizes
from tfpvae.priors.ladder import Ladder as LadderPrior

tfd = tfp.distributions


@register
class Ladder(Posterior):
    """Layer that turns features of an image into groups of normals, each given those above it.

    q(z|x) = q(z_0|x) prod_i q(z_i | z_<i, x),  p(z) = p(z_0) prod_i p(z_i | z_<i)

    share one network from the top group down, the path, whose weights are weights of this layer.
    The prior of its KL term is a `tfpvae.priors.Ladder`, bound to that path. KL(q || p) is the sum
    over the groups of the KL of each group, in closed form, given the groups above it at a draw
    (Sonderby et al. 2016, section 2.1).

    Args:
      event_size: D, of all groups together, at least 2.
      convert_to_tensor_fn: the tensor that stands for the distribution in the layers after it.
      validate_args: not read; the distributions check nothing.
      scale_floor: the least scale of a normal, at least 0.
      path: a `tfpvae.networks.ladder.LadderPath` of event_size latents; None for a `DensePath` of
        two groups, the top one of half the latents.
      **kwargs: of `tf_keras.layers.Layer`; `activity_regularizer` takes the KL term.

    Raises:
      ValueError: for a path of another size.

    >>> import tensorflow as tf
    >>> layer = Ladder(5)
    >>> posterior = layer(tf.zeros([7, layer.num_params]))
    >>> posterior.log_prob(posterior.sample(3)).shape, posterior.top.event_shape
    (TensorShape([3, 7]), TensorShape([2]))
    """

    def __init__(
        self,
        event_size: int,
        convert_to_tensor_fn: Callable | str = tfd.Distribution.sample,
        validate_args: bool = False,
        scale_floor: float = SCALE_FLOOR,
        path: LadderPath | dict | None = None,
        **kwargs: Any,
    ):
        event_size = size_of("event_size", event_size, minimum=2)
        network: Any = path
        if path is None:
            network = DensePath(split_sizes(event_size), scale_floor=scale_floor, name="path")
        elif isinstance(path, dict):  # of a config
            network = tf_keras.layers.deserialize(path)
        if sum(network.sizes) != event_size:
            raise ValueError(
                f"path: wanted groups of {event_size} latents together, got {network.sizes}."
            )
        super().__init__(
            lambda t: LadderPosterior(t, self.path, validate_args),
            event_size,
            convert_to_tensor_fn,
            validate_args,
            **kwargs,
        )
        self.path: LadderPath = network
        self._bind()

    def build(self, input_shape) -> None:
        # Not in call: a Lambda layer, as this one is to Keras, must not make variables there.
        if not self.path.built:
            self.path.build([None, self.path.num_features])
        super().build(input_shape)

    @property
    def num_params(self) -> int:
        """The number of features an image that this layer takes, the top group's means first."""
        return self.path.num_features

    @property
    def takes_maps(self) -> bool:
        """Whether this layer takes the maps of a convolutional network, as they are."""
        return self.path.takes_maps

    @property
    def prior_size(self) -> int:
        """The size of the top group, whose prior is chosen; the path holds the others'."""
        return self.path.sizes[0]

    def joint_prior(self, prior: tfd.Distribution) -> tfd.Distribution:
        """Returns the prior of all groups with one for the top group."""
        if isinstance(prior, LadderPrior):
            return prior
        return LadderPrior(sum(self.path.sizes), prior)

    def start_params(self, scale: float) -> np.ndarray:
        """Returns what the features after the top group's means start as, for one scale of it."""
        raw = IndependentNormal.scale_params(self.prior_size, scale)
        return np.concatenate([raw, np.zeros(self.num_params - 2 * self.prior_size)])

    def _set_regularizer(self, regularizer: Any) -> None:
        super()._set_regularizer(regularizer)
        self._bind()

    def _bind(self) -> None:
        """Binds the prior of the KL term to the path, once both are there."""
        prior = getattr(self.activity_regularizer, "distribution_b", None)
        if isinstance(prior, LadderPrior) and hasattr(self, "path"):
            prior.bind(self.path)

    def _event_config(self) -> dict:
        return {"event_size": self._event_shape}

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {
            **super().get_config(),
            "scale_floor": self.path.scale_floor,
            "path": tf_keras.layers.serialize(self.path),
        }
