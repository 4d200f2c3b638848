"""Layer that adds a KL to the loss and returns the distribution that it is given."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.layers.distribution_lambda import register, track
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer

tfd = tfp.distributions
_TFPKLDivergenceAddLoss: Any = tfp.layers.KLDivergenceAddLoss
_TERM = KLDivergenceRegularizer.__name__


@register
class KLDivergenceAddLoss(tfp.layers.KLDivergenceAddLoss):
    """Layer after a distribution layer that adds weight * mean KL(q(z|x) || p(z)) to the loss.

    Args:
      distribution_b: the prior p(z); this and the others as in `KLDivergenceRegularizer`.
      use_exact_kl: whether to use the closed form.
      test_points_reduce_axis: axes of positions to average over instead of summing; None for none.
      test_points_fn: function from q to the test points.
      weight: factor of the KL.
      num_samples: number of draws of a Monte Carlo estimate.
      **kwargs: arguments of `tf_keras.layers.Layer`.

    Raises:
      TypeError, ValueError: as `KLDivergenceRegularizer` does.

    >>> layer = KLDivergenceAddLoss(tfd.MultivariateNormalDiag([0.0, 0.0]), use_exact_kl=True)
    >>> posterior = layer(tfd.MultivariateNormalDiag([[1.0, 0.0], [0.0, 0.0]]))
    >>> [float(loss) for loss in layer.losses]
    [0.25]
    """

    def __init__(
        self,
        distribution_b: tfd.Distribution | tf_keras.Model | Callable[[], tfd.Distribution],
        use_exact_kl: bool | None = False,
        test_points_reduce_axis: Any = None,
        test_points_fn: Callable | str = tf.convert_to_tensor,
        weight: float | tf.Tensor | tf.Variable | Callable | None = None,
        num_samples: int = 1,
        **kwargs: Any,
    ):
        # Past the __init__ of the tfp.layers class, which would track the prior as a module.
        super(_TFPKLDivergenceAddLoss, self).__init__(**kwargs)
        regularizer = KLDivergenceRegularizer(
            distribution_b,
            use_exact_kl,
            test_points_reduce_axis,
            test_points_fn,
            weight,
            num_samples,
        )
        object.__setattr__(self, "_regularizer", regularizer)
        track(self, regularizer)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{str(self._regularizer).removeprefix(_TERM)}"

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data."""
        return {**tf_keras.layers.Layer.get_config(self), **self._regularizer.get_config()}

    @classmethod
    def from_config(cls, config: dict) -> "KLDivergenceAddLoss":
        """Returns the layer that `get_config` described."""
        names = tf_keras.layers.Layer().get_config().keys() & config.keys()
        own = {name: value for name, value in config.items() if name not in names}
        term = KLDivergenceRegularizer.from_config(own)
        arguments = (
            term.distribution_b,
            term.use_exact_kl,
            term.test_points_reduce_axis,
            term.test_points_fn,
            term.weight,
            term.num_samples,
        )
        return cls(*arguments, **{name: config[name] for name in names})
