"""The KL term of the loss, KL(q(z|x) || p(z)): counted once, and saved with its prior."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import divergences
from tfpvae.saving import serialization
from tfpvae.saving.constructor_call import constructor_call
from tfpvae.schedules import is_schedule

tfd = tfp.distributions
tfpl = tfp.layers


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class KLDivergenceRegularizer(tfpl.KLDivergenceRegularizer):
    """Regularizer that adds weight * mean over the batch of KL(q(z|x) || p(z)) to the loss.

    Give it as `activity_regularizer` to a layer of `tfpvae.layers`; those add it exactly once.

    Where no closed form is used, the KL is estimated as the mean over z drawn from q of
    log q(z|x) - log p(z): with one sample on the very draw that is decoded, with more on draws of
    its own (Kingma and Welling 2014, equations 6 and 7).

    Args:
      distribution_b: the prior p(z), a `tfd.Distribution` with batch shape [].
      use_exact_kl: True for the closed form, an error where there is none; False for the Monte
        Carlo estimate; None for the closed form where there is one, else Monte Carlo.
      test_points_reduce_axis: axes of the test points to average over, besides the one of
        `num_samples`; as in `tfp.layers`.
      test_points_fn: what gives the test points from q; as in `tfp.layers`. A function of your own
        is saved by name if registered with `tf_keras.saving.register_keras_serializable`.
      weight: factor of the KL in the loss, at least 0; None is 1. The beta of a beta-VAE
        (Higgins et al. 2017). Or a schedule of it over the optimizer's steps, such as
        `tfpvae.schedules.LinearWarmup`, which a `VAE` follows; a model that is none takes the
        weight that it ends with.
      num_samples: how many z a Monte Carlo estimate draws.

    Raises:
      TypeError, ValueError: for a prior that is none, or that cannot be saved.

    >>> prior = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> kl = KLDivergenceRegularizer(prior, use_exact_kl=True, weight=2.0)
    >>> posterior = tfd.MultivariateNormalDiag([[1.0, 0.0], [0.0, 0.0]])
    >>> kl.kl_divergence(posterior).numpy().tolist(), float(kl(posterior))
    ([0.5, 0.0], 0.5)
    """

    def __init__(
        self,
        distribution_b: tfd.Distribution,
        use_exact_kl: bool | None = False,
        test_points_reduce_axis: Any = (),
        test_points_fn: Callable | str = tf.convert_to_tensor,
        weight: float | Callable | None = None,
        num_samples: int = 1,
    ):
        if not isinstance(distribution_b, tfd.Distribution):
            raise TypeError(
                "distribution_b: wanted the prior, a tfp.distributions.Distribution, "
                f"got {distribution_b!r}."
            )
        _checks.flag("use_exact_kl", use_exact_kl, or_none=True)
        if weight is not None and not is_schedule(weight):
            weight = _checks.finite_number("weight", weight, minimum=0)
        # Written now, so that a prior that cannot be saved is refused before any training.
        serialization.to_config(distribution_b, "distribution_b")
        self.num_samples = _checks.whole_number("num_samples", num_samples)
        if isinstance(test_points_fn, str):
            test_points_fn = serialization.function_from_name(test_points_fn, "test_points_fn")
        super().__init__(
            distribution_b, use_exact_kl, test_points_reduce_axis, test_points_fn, weight
        )

    def kl_divergence(
        self, posterior: tfd.Distribution, latents: tf.Tensor | None = None, seed: Any = None
    ) -> tf.Tensor:
        """Returns KL(q || p) of each image, without the weight.

        Args:
          posterior: q(z|x), batch shape [B].
          latents: z drawn from q, [S, B, D], to estimate on where the KL is not exact; None for
            the test points of this term.
          seed: of those, where they are drawn for it alone.

        Returns:
          [B], nats.

        Raises:
          NotImplementedError: if the closed form was demanded and there is none.
        """
        if self.use_exact_kl is not False:
            try:
                return divergences.exact_kl(posterior, self.distribution_b)
            except NotImplementedError as error:
                if self.use_exact_kl:
                    raise NotImplementedError(
                        f"use_exact_kl: wanted None or False, got True. {error}"
                    ) from error
        if latents is None and self.num_samples > 1:
            latents = posterior.sample(self.num_samples, seed=seed)
        if latents is not None:
            estimates = divergences.sampled_kl(posterior, self.distribution_b, latents)
            return tf.reduce_mean(estimates, axis=0)
        latents = self.test_points_fn(posterior)
        estimates = divergences.sampled_kl(posterior, self.distribution_b, latents)
        return tf.reduce_mean(estimates, axis=self.test_points_reduce_axis)

    @property
    def is_of_the_decoded_draw(self) -> bool:
        """Whether the one draw of z that is decoded is what this term is estimated on."""
        return self.num_samples == 1 and self.test_points_fn is tf.convert_to_tensor

    def kl_method(self, posterior: tfd.Distribution) -> str:
        """Returns how the KL of a posterior is found: "exact" or "monte_carlo".

        Nothing of the KL is computed.

        Args:
          posterior: q(z|x), batch shape [B].

        >>> prior = tfd.MultivariateNormalDiag([0.0, 0.0])
        >>> KLDivergenceRegularizer(prior, use_exact_kl=None).kl_method(prior)
        'exact'
        """
        if self.use_exact_kl is None:
            is_exact = divergences.has_exact_kl(posterior, self.distribution_b)
        else:
            is_exact = self.use_exact_kl  # one that is missing was refused with the first posterior
        return "exact" if is_exact else "monte_carlo"

    def __call__(self, posterior: tfd.Distribution) -> tf.Tensor:
        """Returns weight * mean over the batch of the KL, a scalar in nats."""
        mean = tf.reduce_mean(self.kl_divergence(posterior))
        return self.weight_at(tf.int32.max) * mean

    def weight_at(self, step: Any) -> Any:
        """Returns the weight at a step of the optimizer: a float, or a scalar of a schedule."""
        if is_schedule(self.weight):
            return tf.cast(self.weight(step), self.distribution_b.dtype)  # Keras' own is float32
        return 1.0 if self.weight is None else self.weight

    def with_prior(self, prior: tfd.Distribution) -> "KLDivergenceRegularizer":
        """Returns the same term against another prior."""
        return type(self)(
            prior,
            self.use_exact_kl,
            self.test_points_reduce_axis,
            self.test_points_fn,
            self.weight,
            self.num_samples,
        )

    def __repr__(self) -> str:
        names = ("distribution_b", "use_exact_kl", "weight", "num_samples")
        return constructor_call(self, {name: getattr(self, name) for name in names})

    def get_config(self) -> dict:
        """Returns the constructor's arguments as plain data, the prior by name and parameters."""
        weight = self.weight
        if is_schedule(weight):
            weight = tf_keras.saving.serialize_keras_object(weight)
        return {
            "distribution_b": serialization.to_config(self.distribution_b, "distribution_b"),
            "use_exact_kl": self.use_exact_kl,
            "test_points_reduce_axis": self.test_points_reduce_axis,
            "test_points_fn": serialization.function_to_name(self.test_points_fn, "test_points_fn"),
            "weight": weight,
            "num_samples": self.num_samples,
        }

    @classmethod
    def from_config(cls, config: dict) -> "KLDivergenceRegularizer":
        """Returns the regularizer that `get_config` described."""
        config = dict(config)
        config["distribution_b"] = serialization.from_config(config["distribution_b"])
        if isinstance(config["weight"], dict):
            config["weight"] = tf_keras.saving.deserialize_keras_object(config["weight"])
        return cls(**config)
