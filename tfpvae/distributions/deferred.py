"""Distribution that a Keras model or a function returns, computed anew for each use."""

from collections.abc import Callable
from typing import Any

import tensorflow_probability as tfp
import tf_keras

from tfpvae.saving import serialization

tfd = tfp.distributions


@serialization.register("tfpvae.Deferred")
class Deferred(tfd.Distribution):
    """Distribution given by the model or function that makes it.

    `tfp.layers.KLDivergenceRegularizer` takes such priors. The variables of the model, or of the
    distribution that the function returns, are the variables of this distribution.

    Args:
      source: a Keras model, which is called with 0.0, or a function without arguments; either
        returns a `tfd.Distribution`.
      name: of the distribution.

    Raises:
      TypeError: if `source` returns something else.

    >>> import tensorflow as tf
    >>> Deferred(lambda: tfd.MultivariateNormalDiag(tf.zeros([2]))).event_shape
    TensorShape([2])
    """

    def __init__(self, source: Callable[..., tfd.Distribution], name: str = "Deferred"):
        parameters = dict(locals())
        network = source if isinstance(source, tf_keras.layers.Layer) else None
        # A function hides the model from tf.Module, whose order of its variables is not Keras'.
        self._make = (lambda: source()) if network is None else (lambda: source(0.0))
        first = self.current()
        self._shapes = first.batch_shape, first.event_shape
        self._tracked = list(first.variables if network is None else network.weights)
        super().__init__(
            dtype=first.dtype,
            reparameterization_type=first.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # no argument is a tensor

    def current(self) -> tfd.Distribution:
        """Returns the distribution for the present values of the variables."""
        made: Any = self._make()
        made = getattr(made, "tensor_distribution", made)
        if not isinstance(made, tfd.Distribution):
            raise TypeError(
                "distribution_b: wanted a model or a function that returns a tfd.Distribution, got "
                f"one that returns {type(made).__name__}."
            )
        return made

    def _batch_shape(self):
        return self._shapes[0]

    def _batch_shape_tensor(self):
        return self.current().batch_shape_tensor()

    def _event_shape(self):
        return self._shapes[1]

    def _event_shape_tensor(self):
        return self.current().event_shape_tensor()

    def _log_prob(self, value):
        return self.current().log_prob(value)

    def _sample_n(self, n, seed=None):
        return self.current().sample(n, seed=seed)

    def _mean(self):
        return self.current().mean()

    def _variance(self):
        return self.current().variance()

    def _mode(self):
        return self.current().mode()

    def _entropy(self):
        return self.current().entropy()


def undeferred(distribution: tfd.Distribution) -> tfd.Distribution:
    """Returns the distribution inside the output of a layer or a `Deferred`; any other unchanged.

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> undeferred(normal) is normal
    True
    """
    distribution = getattr(distribution, "tensor_distribution", distribution)
    return distribution.current() if isinstance(distribution, Deferred) else distribution
