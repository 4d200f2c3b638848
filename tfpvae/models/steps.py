"""One step of training or scoring, and the functions by which Keras runs many."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae._checks import DataSpec
from tfpvae.models import (
    compile_arguments,
    conditioning,
    estimators,
    fit_arguments,
    network_inputs,
    objectives,
)
from tfpvae.training import batch_checks, checkpoint_state, xla_loop
from tfpvae.training.execution import Execution

tfd = tfp.distributions


class Mean(tf_keras.metrics.Mean):
    """Mean that is NaN, not 0, of no values."""

    def update_state(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> Any:
        rank = tf.convert_to_tensor(values).shape.rank
        if rank is not None and rank > 1:  # images, in the loop of a Keras guide
            raise ValueError(
                f"{self.name}: wanted a number for each image, as `loss_terms` returns them, got "
                f"shape {values.shape}."
            )
        return super().update_state(values, sample_weight)

    def result(self) -> tf.Tensor:
        return self.total / self.count

    def load_own_variables(self, store: Any) -> None:
        """Does nothing: sums start anew, and Keras cannot assign them under a strategy."""


class StepsMixin(tf_keras.Model):
    """Mixin of `VAE` with the steps of `fit`, `evaluate` and `predict`.

    By default Keras compiles a step; where XLA pays, many steps are one program.

    Attributes:
      data_spec: the shape and the values of the examples.
      num_classes: of a conditional VAE; else None.
      prior: p(z), or None for a plain autoencoder.
      training_state: seed and stop flag of a training, set by `compile`.
    """

    data_spec: DataSpec
    num_classes: int | None
    prior: tfd.Distribution | None
    training_state: checkpoint_state.CheckpointState
    _loss_terms: Callable[..., objectives.Terms]
    _execution: Execution
    # Functions of Keras, made when they are None.
    train_function: Callable | None
    test_function: Callable | None

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._has_strategy = tf.distribute.has_strategy()  # for several devices or machines
        # Past Keras' tracking, which counts metrics among the weights.
        object.__setattr__(self, "_means", [])
        object.__setattr__(self, "_functions", {})

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """The means of loss, nll, kl and elbo, and the metrics given to `compile`."""
        if not self._means:
            names = compile_arguments.REPORTED[: 3 if self.prior is None else 4]
            self._means.extend(Mean(name) for name in names)
        return [*self._means, *super().metrics]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns."""
        return list(dict.fromkeys(super().metrics_names))

    def get_metrics_result(self) -> dict:
        """Returns the results of the metrics by name.

        Keras has another "loss" once `compute_loss` or `compiled_loss` was called, as in the steps
        of a subclass. It counts where that of tfpvae has no values.
        """
        results = super().get_metrics_result()
        names = {metric.name for metric in super().metrics}
        for metric in self._own_metrics():
            if metric.name in names:
                other = tf.cast(results[metric.name], metric.dtype)
                results[metric.name] = tf.where(metric.count > 0, metric.result(), other)
        return results

    @property
    def execution(self) -> Execution:
        """How steps run, as `compile` decided; plain ones where `run_eagerly` is set later."""
        return Execution() if self.run_eagerly else self._execution

    # Steps

    def train_step(self, data):
        """Updates the weights with one batch, and returns the metrics."""
        return self._report(*self._run(self._train_on, data))

    def test_step(self, data):
        """Returns the metrics after one more batch."""
        return self._report(*self._run(self._score, data))

    def predict_step(self, data):
        """Returns the reconstructions of one batch."""
        images, labels, _, _ = self._checked(data)
        with network_inputs.trusted():
            return estimators.reconstruct(self, conditioning.join(images, labels))

    def train_on_batch(self, x, *args, **kwargs):
        """Runs one step on a batch, and returns the metrics; as `tf_keras.Model.train_on_batch`."""
        fit_arguments.begin_warmup(self, {})
        with batch_checks.faults_named("x", self.data_spec):
            return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        """Returns the metrics of one batch; as `tf_keras.Model.test_on_batch`."""
        with batch_checks.faults_named("x", self.data_spec):
            return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Returns the reconstructions of one batch; as `tf_keras.Model.predict_on_batch`."""
        with batch_checks.faults_named("x", self.data_spec):
            return super().predict_on_batch(x)

    def _checked(self, data: Any) -> tuple:
        batch = conditioning.unpacked(data, self.num_classes)
        return batch_checks.checked(batch, self.data_spec, self.num_classes)

    def _run(self, step: Callable, data: Any) -> tuple[dict, tuple]:
        """Runs one step on a batch; in a graph as a function, which is traced once.

        The loop of Keras traces its body twice.
        """
        run = functools.partial(self._run_checked, step)
        if not tf.inside_function() or self._has_strategy:
            return run(data)
        name = step.__name__
        if name not in self._functions:
            self._functions[name] = tf.function(run, reduce_retracing=True)
        return self._functions[name](data)

    def _run_checked(self, step: Callable, data: Any) -> tuple[dict, tuple]:
        """Runs one step on a batch that is checked outside of XLA."""
        images, labels, targets, sample_weight = self._checked(data)
        data = images, targets if labels is None else labels, sample_weight
        if self.execution.each_by_xla:
            step = tf.function(step, jit_compile=True, reduce_retracing=True)
        # Without valid data nothing runs, not even the count of the optimizer's steps.
        with tf.control_dependencies([images]), network_inputs.trusted():
            return step(data)

    def _score(self, data: Any, present: tf.Tensor | None = None) -> tuple[dict, tuple]:
        return self._objective(data, training=False, present=present)[1:]

    def _train_on(self, data: Any, present: tf.Tensor | None = None) -> tuple[dict, tuple]:
        share = _share_of_batch(data)
        with tf.GradientTape() as tape:
            loss, reported, compared = self._objective(data, training=True, present=present)
            loss = loss * tf.cast(share, loss.dtype)  # the optimizer sums over replicas
        weights = self.trainable_variables
        if self._has_strategy or not isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            self.optimizer.minimize(loss, weights, tape=tape)
        else:  # with nothing to aggregate, for which Keras would keep the graph forever
            gradients = self.optimizer.compute_gradients(loss, weights, tape)
            self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        return reported, compared

    def _objective(
        self, data: Any, training: bool, present: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, dict, tuple]:
        """Returns the loss, the values to report of each image, and the arguments of metrics."""
        images, labels, targets, sample_weight = conditioning.unpacked(data, self.num_classes)
        seed = self._seed(training)
        images = estimators.preprocess(self, images, seed)
        if targets is None:
            targets = images
        else:
            targets = estimators.preprocess(self, targets, estimators.fold_in(seed, 2))
        inputs = conditioning.join(images, labels)
        terms = self._loss_terms(inputs, targets, training, seed, present)
        weight = tf.ones([], terms.nll.dtype)
        if sample_weight is not None:  # Keras passes [B, 1]
            weight = tf.reshape(tf.cast(sample_weight, weight.dtype), tf.shape(terms.nll))
        losses = weight * terms.loss + terms.regularization
        nll, kl = weight * terms.nll, weight * terms.kl
        reported = {"loss": losses, "nll": nll, "kl": kl, "elbo": -nll - kl}
        compared = images, targets, terms.mean, sample_weight
        return objectives.batch_mean(losses, present), reported, compared

    def _report(self, reported: dict, compared: tuple) -> dict:
        """Updates the metrics with one more batch, and returns their results."""
        for metric in self._own_metrics():
            metric.update_state(reported[metric.name])
        return self.compute_metrics(*compared)

    def _own_metrics(self) -> list[Mean]:
        return [metric for metric in self.metrics if isinstance(metric, Mean)]

    def _seed(self, training: bool) -> tf.Tensor:
        """Returns the seed of a step, from its number: a resumed training draws the same."""
        step = tf.cast(self.optimizer.iterations, tf.int32)
        seed = estimators.fold_in(self.training_state.seed, step)
        if not training:
            seed = estimators.fold_in(seed, tf.cast(self._test_counter, tf.int32))
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = estimators.fold_in(seed, replica)
        return seed

    # Functions that run many steps

    def make_train_function(self, force=False):
        """Returns the function that `fit` calls: one program of many steps where that pays."""
        is_due = self.train_function is None or force
        if is_due:
            self._functions.pop("_train_on", None)
        if is_due and isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            # Variables made inside would trace the step twice, and XLA allows none.
            self.optimizer.build(self.trainable_variables)
        if is_due and self.execution.in_loops:
            self.train_function = self._loop(self._train_on, self._train_counter)
            self.train_tf_function = self.train_function
        return super().make_train_function(force and not self.execution.in_loops)

    def make_test_function(self, force=False):
        """Returns the function that `evaluate` calls: one program of many steps where that pays."""
        is_due = self.test_function is None or force
        if is_due:
            self._functions.pop("_score", None)
        if is_due and self.execution.in_loops:
            self.test_function = self._loop(self._score, self._test_counter)
        return super().make_test_function(force and not self.execution.in_loops)

    def _loop(self, step: Callable, counter: tf.Variable) -> Callable:
        """Returns one program of many steps; the metrics get the sums of each call."""
        means = self._own_metrics()

        def sums(data: Any, present: tf.Tensor) -> tf.Tensor:
            with network_inputs.trusted():  # `fault` has looked at the data
                reported, _ = step(data, present)
            counter.assign_add(1)
            present = tf.cast(present, reported["loss"].dtype)
            values = [reported[metric.name] + 0 * present for metric in means]
            return tf.linalg.matvec([*values, present], present)

        def results(sums: tf.Tensor) -> dict:
            for metric, total in zip(means, tf.unstack(sums[:-1]), strict=True):
                metric.update_state(total / sums[-1], sample_weight=sums[-1])
            return self.get_metrics_result()

        def fault(data: Any) -> tf.Tensor:
            batch = conditioning.unpacked(data, self.num_classes)
            return batch_checks.fault(batch, self.data_spec, self.num_classes)

        return xla_loop.many_steps(
            sums, results, len(means) + 1, self._steps_per_execution, self._spec, fault
        )

    def _spec(self, spec: Any) -> Any:
        """Returns the spec of a batch with the shape that all images have."""
        images, _, targets, _ = conditioning.unpacked(spec, self.num_classes)
        of_images = {id(part) for part in (images, targets) if part is not None}

        def whole(part: Any) -> Any:
            if id(part) in of_images:
                return tf.TensorSpec(batch_checks.batch_shape(part, self.data_spec), part.dtype)
            if isinstance(part, tf.TensorSpec) and part.shape.rank is None:
                return tf.TensorSpec([None], part.dtype)
            return part

        return tf.nest.map_structure(whole, spec)

    def _has_own_steps(self) -> bool:
        """Returns whether no subclass and no strategy changes what a step is."""
        names = ("train_step", "test_step", "_train_on", "_objective")
        is_same = all(getattr(type(self), name) is getattr(StepsMixin, name) for name in names)
        return is_same and not self._has_strategy


def _share_of_batch(data: Any) -> tf.Tensor | float:
    """Returns the share of a batch's images that this replica has: 1 for all, 0 for none."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return 1.0
    images = tf.cast(tf.shape(tf.nest.flatten(data)[0])[0], tf.float32)
    return images / tf.distribute.get_replica_context().all_reduce("SUM", images)
