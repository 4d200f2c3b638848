"""The KL term of the loss, KL(q(z|x) || p(z)): counted once, and saved with its prior."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras.src.engine import base_layer_utils

from tfpvae import _checks
from tfpvae.distributions import divergences
from tfpvae.distributions.deferred import Deferred
from tfpvae.networks.autograph import converted
from tfpvae.saving import functions, serialization
from tfpvae.saving.constructor_call import constructor_call
from tfpvae.schedules import is_schedule

tfd = tfp.distributions
# Kept here, so that a program may put the layers of tfpvae in the place of those of tfp.layers.
_TFPRegularizer: Any = tfp.layers.KLDivergenceRegularizer


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class KLDivergenceRegularizer(tfp.layers.KLDivergenceRegularizer):
    """Regularizer that adds weight * mean over the batch of KL(q(z|x) || p(z)) to the loss.

    Pass it as `activity_regularizer` to a distribution layer, which adds the KL exactly once. The
    KL of a posterior of batch shape [B, T] or [B, H, W], one distribution per position, is the sum
    over the positions and the mean over the batch alone.

    Without a closed form, the KL is estimated as the mean over z drawn from q of
    log q(z|x) - log p(z): with one sample on the very draw that is decoded, with more on draws of
    its own (Kingma and Welling 2014, equations 6 and 7).

    Args:
      distribution_b: the prior p(z), a `tfd.Distribution` with batch shape [], or a Keras model or
        a function without arguments that returns one. The model is called with 0.0.
      use_exact_kl: True for the closed form, an error where there is none; False for the Monte
        Carlo estimate; None for the closed form where there is one, else Monte Carlo.
      test_points_reduce_axis: axes of positions to average over instead of summing. Axes of samples
        and the batch are always averaged over, whether they are named here, as `tfp.layers`
        requires, or not.
      test_points_fn: function from q to the test points; as in `tfp.layers`. A custom function
        is saved by name if registered with `tf_keras.saving.register_keras_serializable`.
      weight: factor of the KL in the loss, at least 0; None is 1. The beta of a beta-VAE
        (Higgins et al. 2017). A `tf.Variable`, which follows `assign` and is never trained; a
        tensor, [] or one weight per example [B]; or a schedule over the optimizer's steps, such as
        `tfpvae.schedules.LinearWarmup`, which a `VAE` follows. Any other model uses the weight
        at the end of the schedule.
      num_samples: number of draws z of a Monte Carlo estimate.

    Raises:
      TypeError, ValueError: for a prior that is not a distribution or cannot be saved, or another
        argument out of range.

    >>> prior = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> kl = KLDivergenceRegularizer(prior, use_exact_kl=True, weight=2.0)
    >>> posterior = tfd.MultivariateNormalDiag([[1.0, 0.0], [0.0, 0.0]])
    >>> kl.kl_divergence(posterior).numpy().tolist(), float(kl(posterior))
    ([0.5, 0.0], 0.5)
    """

    def __init__(
        self,
        distribution_b: tfd.Distribution | tf_keras.Model | Callable[[], tfd.Distribution],
        use_exact_kl: bool | None = False,
        test_points_reduce_axis: Any = (),
        test_points_fn: Callable | str = tf.convert_to_tensor,
        weight: float | tf.Tensor | tf.Variable | Callable | None = None,
        num_samples: int = 1,
    ):
        if isinstance(use_exact_kl, (int, np.integer, np.bool_)) and use_exact_kl in (0, 1):
            use_exact_kl = bool(
                use_exact_kl
            )  # a flag of 0 or 1, which TensorFlow Probability takes
        _checks.flag("use_exact_kl", use_exact_kl, or_none=True)
        self.num_samples = _checks.whole_number("num_samples", num_samples)
        if isinstance(test_points_fn, str):
            test_points_fn = functions.function_from_name(test_points_fn, "test_points_fn")
        functions.warn_unless_named(test_points_fn, "test_points_fn")
        super().__init__(
            _checked_prior(distribution_b),
            use_exact_kl,
            test_points_reduce_axis,
            test_points_fn,
            _checked_weight(weight),
        )
        if tf.executing_eagerly():
            weights = [] if self.weight_variable is None else [self.weight_variable]
            _name_apart([*self.distribution_b.variables, *weights])

    def kl_divergence(
        self, posterior: tfd.Distribution, latents: tf.Tensor | None = None, seed: Any = None
    ) -> tf.Tensor:
        """Computes KL(q || p) of each example, without the weight.

        Args:
          posterior: q(z|x), batch shape [B], or [B, ...] with one distribution per position.
          latents: z drawn from q, [S, B, D], to estimate on where the KL is not exact; None for
            the test points of this term.
          seed: of the draws of this term, if it makes its own.

        Returns:
          [B], nats: the sum over the positions.

        Raises:
          NotImplementedError: if the closed form is required and there is none.
          ValueError: if the prior has another event shape than the posterior.
        """
        self._check_events(posterior)
        if self.use_exact_kl is not False:
            try:
                exact = divergences.exact_kl(posterior, self.distribution_b)
            except NotImplementedError as error:
                if self.use_exact_kl:
                    raise NotImplementedError(
                        f"use_exact_kl: wanted None or False, got True. {error}"
                    ) from error
            else:
                return self._per_example(exact, posterior)
        if latents is None and self.num_samples > 1:
            latents = posterior.sample(self.num_samples, seed=seed)
        if latents is None:
            latents = converted(self.test_points_fn)(posterior)
        estimates = divergences.estimated_kl(posterior, self.distribution_b, latents)
        return self._per_example(estimates, posterior)

    def _per_example(self, values: tf.Tensor, posterior: tfd.Distribution) -> tf.Tensor:
        """Returns [S, ..., B, positions, ...] as [B]: the mean over S, the sum over positions."""
        samples = len(values.shape) - len(posterior.batch_shape)
        named = self.test_points_reduce_axis
        axes = [] if named is None else np.atleast_1d(named).astype(int) % max(1, values.shape.rank)
        positions = [axis for axis in axes if axis > samples]
        values = tf.reduce_mean(values, axis=[*range(samples), *positions])
        return tf.reduce_sum(values, axis=list(range(1, len(values.shape))))

    def _check_events(self, posterior: tfd.Distribution) -> None:
        prior = self.distribution_b
        if not prior.event_shape.is_compatible_with(posterior.event_shape):
            raise ValueError(
                f"distribution_b: wanted event shape {posterior.event_shape}, that of the "
                f"posterior, got event shape {prior.event_shape} and batch shape "
                f"{prior.batch_shape}. tfd.Independent(prior, 1) makes the last batch axis part of "
                "the event."
            )

    @property
    def is_of_the_decoded_draw(self) -> bool:
        """Whether an estimate of this term is on the one draw of z that is decoded."""
        return self.num_samples == 1 and self.test_points_fn is tf.convert_to_tensor

    def kl_method(self, posterior: tfd.Distribution) -> str:
        """Returns how the KL of a posterior is computed, "exact" or "monte_carlo".

        The KL itself is not computed.

        Args:
          posterior: q(z|x), batch shape [B].

        >>> prior = tfd.MultivariateNormalDiag([0.0, 0.0])
        >>> KLDivergenceRegularizer(prior, use_exact_kl=None).kl_method(prior)
        'exact'
        """
        if self.use_exact_kl is None:
            is_exact = divergences.has_exact_kl(posterior, self.distribution_b)
        else:
            is_exact = self.use_exact_kl  # a missing form was refused with the first posterior
        return "exact" if is_exact else "monte_carlo"

    def __call__(self, posterior: tfd.Distribution | tf.Tensor) -> tf.Tensor:
        """Computes weight * mean over the batch of the KL, a scalar in nats.

        Args:
          posterior: q(z|x); or the second output of a layer of `tfp.layers`, which Keras passes.
        """
        distribution = getattr(posterior, "_tfp_distribution", None)
        is_traced = base_layer_utils.call_context().saving
        if is_traced and not isinstance(posterior, tfd.Distribution):
            return tf.zeros([])  # Keras traces each layer of a SavedModel by itself, on tensors
        if distribution is None:
            loss = tf.reduce_mean(self._weighted(self.kl_divergence(posterior)))
            loss.is_kl = True  # by which a VAE tells it from the other losses of the encoder
            return loss
        # Keras divides both outputs' losses by the batch size: KL / B + (B - 1) KL / B = KL.
        loss = self(distribution)
        return tf.cast(tf.shape(posterior)[0] - 1, loss.dtype) * loss

    def _weighted(self, kl: tf.Tensor) -> tf.Tensor:
        """Returns weight * KL of each example; raises for weights of another number of examples."""
        weight = self.weight_at(tf.int32.max)
        if not self.has_weight_per_example:
            return weight * kl
        if kl.shape[:1].is_compatible_with(weight.shape):
            return weight * tf.ensure_shape(kl, weight.shape)  # one KL would be broadcast
        raise ValueError(
            f"weight: wanted one number per example of the batch, {kl.shape[0]}, got "
            f"{weight.shape[0]}. A VAE, whose batches have any size and order, takes one number; "
            "weigh its images by sample_weight, or their KL alone in a custom loop on loss_terms."
        )

    @property
    def has_weight_per_example(self) -> bool:
        """Whether the weight is a tensor [B], of batches of B examples alone."""
        return tf.is_tensor(self.weight) and self.weight.shape.rank == 1

    def weight_at(self, step: Any) -> Any:
        """Returns the weight at a step of the optimizer: a float, or a tensor."""
        if isinstance(self.weight, (int, float, type(None))):
            return 1.0 if self.weight is None else self.weight
        weight = converted(self.weight)(step) if is_schedule(self.weight) else self.weight
        return tf.cast(weight, self.distribution_b.dtype)  # a schedule's is Keras' floatx

    @property
    def weight_variable(self) -> tf.Variable | None:
        """The weight if it is a variable, which the user assigns and no optimizer trains."""
        return self.weight if isinstance(self.weight, tf.Variable) else None

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
        else:
            weight = serialization.to_config(weight, "weight")
        return {
            "distribution_b": serialization.to_config(self.distribution_b, "distribution_b"),
            "use_exact_kl": self.use_exact_kl,
            "test_points_reduce_axis": self.test_points_reduce_axis,
            "test_points_fn": functions.function_to_name(self.test_points_fn, "test_points_fn"),
            "weight": weight,
            "num_samples": self.num_samples,
        }

    @classmethod
    def from_config(cls, config: dict) -> "KLDivergenceRegularizer":
        """Returns the regularizer that `get_config` described."""
        config = dict(config)
        config["distribution_b"] = serialization.from_config(config["distribution_b"])
        weight = config["weight"]
        if isinstance(weight, dict) and "class_name" in weight:
            config["weight"] = tf_keras.saving.deserialize_keras_object(weight)
        elif isinstance(weight, dict):
            config["weight"] = serialization.from_config(weight)
        return cls(**config)


def is_kl(regularizer: Any) -> bool:
    """Returns whether a regularizer adds a KL, one of `tfp.layers` included.

    >>> is_kl(None), is_kl(tf_keras.regularizers.L2())
    (False, False)
    """
    return isinstance(regularizer, _TFPRegularizer)


def _checked_prior(prior: Any) -> tfd.Distribution:
    """Returns a prior as a distribution; raises or warns, before any training, if it is unfit."""
    prior = getattr(prior, "tensor_distribution", prior)  # of the output of a layer
    if callable(prior) and not isinstance(prior, (type, tfd.Distribution)):
        prior = Deferred(prior)
    if not isinstance(prior, tfd.Distribution):
        raise TypeError(
            "distribution_b: wanted the prior, a tfp.distributions.Distribution, or a Keras model "
            f"or a function that returns one, got {prior!r}."
        )
    if tf.executing_eagerly():
        _build_networks(prior)
        try:
            serialization.to_config(prior, "distribution_b")
        except ValueError as error:
            if not isinstance(prior, Deferred):
                raise
            warnings.warn(str(error), stacklevel=4)
    return prior


def _build_networks(prior: tfd.Distribution) -> None:
    """Has the networks inside a prior make their variables, which could not be trained later."""
    if any(
        not layer.built for layer in prior.submodules if isinstance(layer, tf_keras.layers.Layer)
    ):
        prior.log_prob(tf.zeros([1, *prior.event_shape], prior.dtype))


def _name_apart(variables: Sequence[tf.Variable]) -> None:
    """Gives variables that are all called "Variable:0" different names, which HDF5 requires."""
    names = [variable.name for variable in variables]
    for index, (variable, name) in enumerate(zip(variables, names, strict=True)):
        if names.count(name) > 1:
            variable._handle_name = f"{name.removesuffix(':0')}_{index}:0"


def _checked_weight(weight: Any) -> Any:
    """Returns a weight; raises unless it is None, a schedule, a number or a tensor of them."""
    if weight is None or is_schedule(weight):
        return weight
    if not (tf.is_tensor(weight) or isinstance(weight, (tf.Variable, np.ndarray, list, tuple))):
        return _checks.finite_number("weight", weight, minimum=0)
    values = weight if isinstance(weight, tf.Variable) else tf.convert_to_tensor(weight)
    if not (values.dtype.is_floating and values.shape.rank in (0, 1)):
        raise ValueError(
            "weight: wanted a float number or one float number per example, [B], got dtype "
            f"{values.dtype.name} and shape {values.shape}."
        )
    if tf.executing_eagerly():
        for value in np.ravel(values.numpy()):
            _checks.finite_number("weight", float(value), minimum=0)
    return values
