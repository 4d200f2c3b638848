"""A prior that has a name and plain arguments, and leaves the mathematics to a distribution."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae.saving.constructor_call import constructor_call

tfd = tfp.distributions


class DelegatingPrior(tfd.Distribution):
    """A distribution over latents that is what `_delegate()` returns, and is saved by arguments.

    Such a prior is no CompositeTensor, unlike a subclass of `tfd.TransformedDistribution`, which
    `tf.Module` takes apart into its tensor arguments; the variables that it makes itself would be
    lost to a module that holds it.
    """

    def __init__(
        self,
        latent_dim: int,
        dtype: str,
        reparameterization_type: Any,
        parameters: dict[str, Any],
        name: str,
    ):
        self._latent_dim = latent_dim
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters | {"dtype": dtype},
            name=name,
        )

    def __repr__(self) -> str:
        arguments = {name: self.parameters[name] for name in self.parameters if name != "dtype"}
        return constructor_call(self, arguments)

    def _delegate(self) -> tfd.Distribution:
        raise NotImplementedError

    def _event_shape(self):
        return tf.TensorShape([self._latent_dim])

    def _event_shape_tensor(self):
        return tf.constant([self._latent_dim])

    def _log_prob(self, value):
        return self._delegate().log_prob(value)

    def _sample_n(self, n, seed=None):
        return self._delegate().sample(n, seed=seed)

    def _mean(self):
        return self._delegate().mean()

    def _variance(self):
        return self._delegate().variance()
