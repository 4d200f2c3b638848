"""Base class of the layers that end an encoder."""

import numpy as np
import tensorflow_probability as tfp

from tfpvae.layers.base import DistributionLayer, shape_of
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer

tfd = tfp.distributions

# As in tfp.layers' MultivariateNormalTriL: softplus underflows to 0 below -104 in float32.
SCALE_FLOOR = 1e-5


class Posterior(DistributionLayer):
    """Base class of the distribution layers that end an encoder, such as `IndependentNormal`.

    A subclass has static methods `params_size` and `scale_params`. Options that they take besides
    the event shape are attributes of the layer, named in `_size_options`.

    >>> from tfpvae import layers
    >>> layer = layers.MultivariateNormalTriL(3)
    >>> isinstance(layer, Posterior), layer.num_params  # 3 means and 6 entries of the scale
    (True, 9)
    """

    _size_options: tuple[str, ...] = ()

    @property
    def num_params(self) -> int:
        """Number of parameters per example that this layer takes, the means first."""
        return int(type(self).params_size(self._event_shape, **self._options()))

    @property
    def takes_maps(self) -> bool:
        """Whether this layer takes the features of a network as they are, without a projection."""
        return False

    @property
    def prior_size(self) -> int:
        """The number of latents whose prior is chosen: all of them."""
        return shape_of(self._event_shape)[0]

    def joint_prior(self, prior: tfd.Distribution) -> tfd.Distribution:
        """Returns the prior of all latents with the chosen one: that itself."""
        return prior

    def start_params(self, scale: float) -> np.ndarray:
        """Returns start values of the parameters after the means, for a posterior of one scale."""
        return type(self).scale_params(self._event_shape, scale, **self._options())

    def with_kl(self, activity_regularizer: KLDivergenceRegularizer) -> "Posterior":
        """Returns a new layer with the same arguments that adds this KL term to the loss."""
        return type(self)(**self.get_config() | {"activity_regularizer": activity_regularizer})

    def _options(self) -> dict:
        return {name: getattr(self, f"_{name}") for name in self._size_options}
