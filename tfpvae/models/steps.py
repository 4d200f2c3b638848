"""One step of training or scoring, and how Keras is made to run many.

By default a step is what Keras compiles; where XLA pays, many steps are one program.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.models import conditioning, estimators, inputs, objectives
from tfpvae.models.probabilistic import Answers
from tfpvae.training import batch_checks, checkpoint_state, execution, xla_loop

tfd = tfp.distributions


class Mean(tf_keras.metrics.Mean):
    """Mean that is NaN, not 0, of no value at all."""

    def result(self) -> tf.Tensor:
        return self.total / self.count

    def load_own_variables(self, store: Any) -> None:
        """Does nothing: sums begin anew, and Keras cannot assign them under a strategy."""


class Steps(Answers):
    """The steps of `VAE`; it has the parts that `Answers` asks for, and an objective.

    What `compile` sets: whether XLA compiles steps, whether there are metrics of a user's own, and
    what of a training is in its backups.
    """

    train_function: Callable | None  # Keras' own, made anew where they are None
    test_function: Callable | None
    _by_xla: bool
    _has_metrics: bool
    _progress: checkpoint_state.Progress

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._has_strategy = tf.distribute.has_strategy()  # for several devices or machines

    def train_step(self, data):
        """Returns the metrics of one step of the optimizer on -ELBO."""
        return self._noted(*self._run(self._learn, data))

    def test_step(self, data):
        """Returns the metrics of one batch."""
        return self._noted(*self._run(self._score, data))

    def predict_step(self, data):
        """Returns the reconstructions of one batch."""
        images, labels, _, _ = self._checked(data)
        with inputs.trusted():
            return estimators.reconstruct(self, conditioning.join(images, labels))

    def _checked(self, data: Any) -> tuple:
        batch = conditioning.unpacked(data, self.num_classes)
        return batch_checks.checked(batch, self.image_shape, self.num_classes)

    def _run(self, step: Callable, data: Any) -> tuple[dict, tuple]:
        """Runs one step on a batch that is checked outside of XLA."""
        images, labels, targets, sample_weight = self._checked(data)
        data = images, targets if labels is None else labels, sample_weight
        if self._compiles_each_step():
            step = tf.function(step, jit_compile=True, reduce_retracing=True)
        # Without data nothing runs, not even the count of the optimizer's steps.
        with tf.control_dependencies([images]), inputs.trusted():
            return step(data)

    def _score(self, data: Any) -> tuple[dict, tuple]:
        return self._objective(data, training=False)[1:]

    def _learn(self, data: Any, present: tf.Tensor | None = None) -> tuple[dict, tuple]:
        share = _share(data)
        with tf.GradientTape() as tape:
            loss, reported, compared = self._objective(data, training=True, present=present)
            loss = loss * tf.cast(share, loss.dtype)  # the optimizer sums over replicas
        weights = self.trainable_variables
        if self._has_strategy or not isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            self.optimizer.minimize(loss, weights, tape=tape)
        else:  # there is nothing to add up, for which Keras would keep the graph forever
            gradients = self.optimizer.compute_gradients(loss, weights, tape)
            self.optimizer.apply_gradients(gradients, skip_gradients_aggregation=True)
        return reported, compared

    def _objective(
        self, data: Any, training: bool, present: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, dict, tuple]:
        """Returns the loss, what is reported of each image, and what metrics of a user compare."""
        found = conditioning.unpacked(data, self.num_classes)
        images, labels, targets, sample_weight = found
        seed = self._seed(training)
        images = estimators.pixels(self, images, seed)
        if targets is None:
            targets = images
        else:
            targets = estimators.pixels(self, targets, estimators.fold_in(seed, 2))
        given = conditioning.join(images, labels)
        terms = objectives.terms(self, given, targets, training, seed, present)
        loss, nll, kl, mean, rest = terms
        weight = tf.ones([], nll.dtype)
        if sample_weight is not None:  # Keras hands over [B, 1]
            weight = tf.reshape(tf.cast(sample_weight, nll.dtype), tf.shape(nll))
        losses = weight * loss + rest
        reported = {"loss": losses, "nll": weight * nll, "kl": weight * kl}
        reported["elbo"] = -reported["nll"] - reported["kl"]
        compared = images, targets, mean, sample_weight
        return objectives.batch_mean(losses, present), reported, compared

    def _noted(self, reported: dict, compared: tuple) -> dict:
        """Returns the metrics, which have seen one more batch."""
        for metric in self._means:
            metric.update_state(reported[metric.name])
        return self.compute_metrics(*compared)

    def _seed(self, training: bool) -> tf.Tensor:
        """Returns the seed of one step: of its number, so that it draws the same when resumed."""
        seed = estimators.fold_in(self._progress.seed, tf.cast(self.optimizer.iterations, tf.int32))
        if not training:
            seed = estimators.fold_in(seed, tf.cast(self._test_counter, tf.int32))
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = estimators.fold_in(seed, replica)
        return seed

    def make_train_function(self, force=False):
        """Returns what `fit` calls: many steps compiled as one where that pays."""
        is_made = self.train_function is None or force
        if is_made and isinstance(self.optimizer, tf_keras.optimizers.Optimizer):
            # Variables made inside would have the step traced twice; XLA takes none at all.
            self.optimizer.build(self.trainable_variables)
        if is_made and self._runs_in_loops():
            step = lambda data, present: self._learn(data, present)[0]  # noqa: E731
            self.train_function = self._loop(step, self._train_counter)
            self.train_tf_function = self.train_function
        return super().make_train_function(force and not self._runs_in_loops())

    def make_test_function(self, force=False):
        """Returns what `evaluate` calls: many steps compiled as one where that pays."""
        if (self.test_function is None or force) and self._runs_in_loops():
            step = lambda data, present: self._objective(data, False, present)[1]  # noqa: E731
            self.test_function = self._loop(step, self._test_counter)
        return super().make_test_function(force and not self._runs_in_loops())

    def _loop(self, step: Callable, counter: tf.Variable) -> Callable:
        """Returns many steps as one, whose sums the metrics see once a call."""

        def summed(data: Any, present: tf.Tensor) -> tf.Tensor:
            reported = step(data, present)
            counter.assign_add(1)
            present = tf.cast(present, reported["loss"].dtype)
            values = [reported[metric.name] + 0 * present for metric in self._means]
            return tf.linalg.matvec([*values, present], present)

        def results(sums: tf.Tensor) -> dict:
            for metric, total in zip(self._means, tf.unstack(sums[:-1]), strict=True):
                metric.update_state(total / sums[-1], sample_weight=sums[-1])
            return self.get_metrics_result()

        def fault(data: Any) -> tf.Tensor:
            batch = conditioning.unpacked(data, self.num_classes)
            return batch_checks.fault(batch, self.image_shape, self.num_classes)

        count = len(self._means) + 1
        return xla_loop.many_steps(
            summed, results, count, self._steps_per_execution, self._spec, fault
        )

    def _spec(self, spec: Any) -> Any:
        """Returns the spec of a batch with the shape that all images have."""
        images, _, targets, _ = conditioning.unpacked(spec, self.num_classes)
        shape = [None, *self.image_shape]
        of_images = {id(part) for part in (images, targets) if part is not None}

        def whole(part: Any) -> Any:
            if id(part) in of_images:
                return tf.TensorSpec(shape, part.dtype)
            if isinstance(part, tf.TensorSpec) and part.shape.rank is None:
                return tf.TensorSpec([None], part.dtype)
            return part

        return tf.nest.map_structure(whole, spec)

    def _xla_pays(self) -> bool:
        """Returns whether XLA is known to take all that a step consists of, and pays."""
        own = (type(self.prior).__module__ or "").split(".")[0]
        return (
            self._steps_are_own()
            and self.loss is objectives.negative_log_likelihood
            and own in ("builtins", "tensorflow_probability", "tfpvae")
            and execution.xla_pays(self)
        )

    def _compiles_each_step(self) -> bool:
        is_own = self._has_own_steps() and not self.run_eagerly
        return self._by_xla and is_own and not self._runs_in_loops()

    def _steps_are_own(self) -> bool:
        return self._has_own_steps() and not self.run_eagerly and not self._has_metrics

    def _has_own_steps(self) -> bool:
        """Returns whether no subclass and no strategy changes what a step is."""
        names = ("train_step", "test_step", "_learn", "_objective")
        is_same = all(getattr(type(self), name) is getattr(Steps, name) for name in names)
        return is_same and not self._has_strategy

    def _runs_in_loops(self) -> bool:
        is_new = isinstance(self.optimizer, tf_keras.optimizers.Optimizer)
        return self._by_xla and execution.is_dense(self) and is_new and self._steps_are_own()


def _share(data: Any) -> tf.Tensor | float:
    """Returns which part of a step's images one replica has: 1 of all, 0 of none."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return 1.0
    mine = tf.cast(tf.shape(tf.nest.flatten(data)[0])[0], tf.float32)
    return mine / tf.distribute.get_replica_context().all_reduce("SUM", mine)
