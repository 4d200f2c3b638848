"""How a VAE is trained and scored: compile, fit, evaluate, predict."""

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.models import conditioning, fit_arguments, objectives
from tfpvae.models.objectives import negative_log_likelihood
from tfpvae.models.steps import Steps
from tfpvae.training import (
    batch_checks,
    checkpoint_state,
    execution,
    exhaustion,
    input_pipeline,
    monitors,
)

tfd = tfp.distributions


class Training(Steps):
    """How `VAE` is trained on what Keras takes, its steps being those of `Steps`."""

    _training_state = None  # what is left when BackupAndRestore deletes Keras' own

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._order = input_pipeline.Order()

    def compile(
        self,
        optimizer: str | tf_keras.optimizers.Optimizer = "adam",
        loss: Callable[[tf.Tensor, tfd.Distribution], tf.Tensor] | None = None,
        *,
        jit_compile: bool | None = None,
        steps_per_execution: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the optimizer and what `tf_keras.Model.compile` takes besides.

        Args:
          optimizer: a `tf_keras` optimizer or its name.
          loss: (images, p(x|z)) -> [B]; None for the negative log likelihood.
          jit_compile: whether steps are compiled by XLA; None to do so where it pays: for layers
            that are known to be dense, and on a GPU for convolutions too.
          steps_per_execution: steps of one call from Python; None, or Keras' "auto", for so many as
            take about a tenth of a second, and for one where a callback asks for each.
          **kwargs: as in `tf_keras.Model.compile`. Metrics compare images with the mean of p(x|z).
        """
        _checks.eager()
        _checks.not_keras_3("optimizer", optimizer)
        for argument in ("metrics", "weighted_metrics"):
            for metric in tf.nest.flatten(kwargs.get(argument)):
                _checks.not_keras_3(argument, metric)
        loss = loss or negative_log_likelihood
        if not callable(loss):
            raise TypeError(
                f"loss: wanted a function of (images, likelihood) that returns [B], got {loss!r}."
            )
        if loss is not negative_log_likelihood:
            objectives.check_loss(self, loss)
        steps_per_execution = None if steps_per_execution == "auto" else steps_per_execution
        restored = getattr(self, "optimizer", None) if kwargs.get("from_serialized") else None
        super().compile(
            optimizer=optimizer,
            loss=loss,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            **kwargs,
        )
        self._progress = (
            checkpoint_state.Progress()
        )  # not before: a SavedModel that is loaded brings none
        self._has_metrics = bool(kwargs.get("metrics") or kwargs.get("weighted_metrics"))
        self._by_xla = self._xla_pays() if jit_compile is None else bool(jit_compile)
        if self._has_own_steps():
            self.jit_compile = False  # XLA leaves out checks, which `_run` has outside of it
        self._chooses_steps = steps_per_execution is None
        # Whether Keras' functions are loops, and of several steps; not for Keras to track.
        object.__setattr__(self, "_made", {})
        if restored is not None:  # Keras restores an optimizer from SavedModel and drops it here
            checkpoint_state.restore_optimizer(self, restored)

    def get_compile_config(self) -> dict | None:
        """Returns what `compile` was given as plain data; Keras asks for it to save a `.keras`."""
        config = super().get_compile_config()
        loss = config and config["loss"]
        if isinstance(loss, dict) and loss.get("class_name") == "function":
            # tf_keras 2.18 leaves out the package, and then takes whatever ends with the name.
            loss["config"] = tf_keras.saving.get_registered_name(self.loss)
        return config

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on images; as `tf_keras.Model.fit`, but the images need not be given twice.

        Args:
          x: images [B, H, W, C], float in [0, 1] or uint8, or a tf.data.Dataset of batches of
            them. Pairs (images, images) work too; the second are the ones to reconstruct. Of a
            conditional VAE the second are the labels.
          y: None, or the images to reconstruct; of a conditional VAE the labels, whole numbers [B].
          *args: as in `tf_keras.Model.fit`.
          **kwargs: as in `tf_keras.Model.fit`; validation_data takes images in the same forms.

        Returns:
          A `tf_keras.callbacks.History` of loss, nll, kl and elbo, nats an image.

        Raises:
          ValueError, TypeError: before training, for what are no images of this model.
        """
        method = super().fit
        given = fit_arguments.training_arguments(method, self, x, y, *args, **kwargs)
        given = conditioning.weighed_by_class(given, self.num_classes)
        for callback in _callbacks(given):
            monitors.let_elbo_rise(callback)
        counter = exhaustion.EpochCounter()
        given["callbacks"] = exhaustion.with_counter(given.get("callbacks"), counter)
        with (
            self._steps_for(given, "train_function", "test_function"),
            batch_checks.faults_named("x", self._train_counter),
        ):
            history = method(**self._ordered(given))
        counter.leave_out_empty_epoch(history)
        step = int(self.optimizer.iterations.numpy())  # also of a MirroredVariable
        if step < self.warmup_steps:
            warnings.warn(
                f"kl_weight: training ended at step {step}, before its warm-up does at step "
                f"{self.warmup_steps}.",
                stacklevel=2,
            )
        return history

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Returns loss, nll, kl and elbo, nats an image; as `tf_keras.Model.evaluate`."""
        method = super().evaluate
        given = fit_arguments.training_arguments(method, self, x, y, *args, **kwargs)
        if given.get("_use_cached_eval_dataset"):  # of a fit, which has prepared all
            if getattr(self, "_eval_data_handler", None) is not None:
                # Keras takes data that once were fewer than said for data that are at an end.
                self._eval_data_handler._insufficient_data = False
            with batch_checks.faults_named("validation_data", self._test_counter):
                return method(**given)
        named = batch_checks.faults_named("x", self._test_counter)
        with self._progress.kept(), self._steps_for(given, "test_function"), named:
            parts = input_pipeline.given_of(given, "x", "y", "sample_weight")
            counts = given.get("batch_size"), given.get("steps"), self._steps_a_run()
            batches, steps = self._batches(parts, *counts)
            if batches is not None:
                given |= {"x": batches, "y": None, "sample_weight": None, "batch_size": None}
            return method(**given | {"steps": steps})

    def predict(self, x, batch_size=None, verbose="auto", steps=None, **kwargs):
        """Returns the reconstructions of images, as an array; as `tf_keras.Model.predict`.

        A conditional VAE takes [images, labels], or batches of (images, labels).
        """
        if batch_size is not None:
            _checks.whole_number("batch_size", batch_size)
        _checks.images("x", x, self.image_shape, self.num_classes)
        is_pair = self.num_classes is not None and isinstance(x, (list, tuple))
        batches, steps = self._batches(tuple(x) if is_pair else (x,), batch_size, steps)
        x, batch_size = (x, batch_size) if batches is None else (batches, None)
        with batch_checks.faults_named("x", self._predict_counter):
            return super().predict(x, batch_size, verbose, steps, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        """Returns the metrics of one step on a batch; as `tf_keras.Model.train_on_batch`."""
        with batch_checks.faults_named("x"):
            return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        """Returns the metrics of one batch; as `tf_keras.Model.test_on_batch`."""
        with batch_checks.faults_named("x"):
            return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Returns the reconstructions of one batch; as `tf_keras.Model.predict_on_batch`."""
        with batch_checks.faults_named("x"):
            return super().predict_on_batch(x)

    # In which order images come, also when training is resumed

    def _ordered(self, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `fit` with batches for arrays, in an order that can be resumed.

        steps_per_epoch makes epochs of another kind.
        """
        left = given.get("steps_per_epoch") or given.get("shuffle") == "batch"
        if left or not input_pipeline.are_arrays(
            input_pipeline.given_of(given, "x", "y", "sample_weight")
        ):
            x = input_pipeline.untuned(given.get("x"))
            self._order.dataset = x if isinstance(x, tf.data.Dataset) else None
            given |= {"x": x}
            steps = given.get("steps_per_epoch")
            if steps and self._order.dataset is not None and not self._has_strategy:
                first = given.get("initial_epoch", 0)
                left = exhaustion.epochs_of(x, steps, given.get("epochs", 1) - first)
                given["epochs"] = first + left
        else:
            self._order.dataset = None
            given |= input_pipeline.for_fit(self._order, steps=self._steps_a_run(), **given)
        unseen, steps = given.get("validation_data"), given.get("validation_steps")
        size = given.get("validation_batch_size") or given.get("batch_size")
        parts = tuple(unseen) if isinstance(unseen, (list, tuple)) else (unseen,)
        a_run = self._steps_a_run()
        batches, steps = self._batches(parts, size, steps, a_run, "validation_steps")
        seen = {} if batches is None else {"validation_data": batches}
        return given | seen | {"validation_steps": steps}

    def _batches(
        self,
        parts: tuple,
        batch_size: int | None,
        steps: int | None,
        a_run: int | None = None,
        argument: str = "steps",
    ) -> tuple[tf.data.Dataset | None, int | None]:
        """Returns batches to look at once, of arrays or a dataset, and how many they are to be.

        None for what Keras takes as it is, and where Keras counts them. a_run is how many batches
        of arrays come at once.
        """
        if len(parts) == 1 and isinstance(parts[0], tf.data.Dataset):
            known = steps if steps is None else exhaustion.steps_of(argument, parts[0], steps)
            return input_pipeline.untuned(parts[0]), known
        if steps is not None or self._has_strategy or not input_pipeline.are_arrays(parts):
            return None, steps
        if a_run is not None:  # of which Keras would count the runs
            steps = math.ceil(len(parts[0]) / (batch_size or 32))
        return input_pipeline.in_order(parts, batch_size or 32, a_run), steps

    def _maybe_load_initial_counters_from_ckpt(self, steps_per_epoch, initial_epoch):
        """Returns the epoch and the batch that training begins with: Keras asks before it begins.

        Weights, optimizer and seed are then those of a backup, if there is one.
        """
        own = super()._maybe_load_initial_counters_from_ckpt
        epoch, batch = own(steps_per_epoch, initial_epoch)
        self._order.begin(self._progress.seed, epoch, batch)
        if self._order.dataset is not None:
            for _ in range(initial_epoch, epoch):
                iter(self._order.dataset)  # its next shuffle is another
        is_over = bool(self._progress.is_over.numpy())  # a MirroredVariable itself is always true
        return (sys.maxsize, 0) if is_over else (epoch, batch)

    @contextlib.contextmanager
    def _steps_for(self, given: dict[str, Any], *functions: str) -> Iterator[None]:
        """Sets the draws of a `fit` or `evaluate`, and how many steps each of its calls runs."""
        with self.distribute_strategy.scope():  # all workers' new variables begin as the first's
            drawn = tf.Variable(_checks.seed(None), trainable=False)
        self._progress.seed.assign(drawn.read_value())
        self._progress.is_over.assign(False)
        self._progress.generators = checkpoint_state.generators(self)
        before = int(self._steps_per_execution.numpy())  # in a callback of a fit, that of the fit
        steps = self._steps_a_call(given) if self._chooses_steps else before
        wanted = self._runs_in_loops(), steps > 1
        for name in functions:
            made = self._made.get(name, (False, False))
            if made[0] is not wanted[0] or made[1] < wanted[1]:
                setattr(self, name, None)
                self._made[name] = wanted
        self._steps_per_execution.assign(steps)
        try:
            yield
        finally:
            self._steps_per_execution.assign(before)

    def _steps_a_run(self) -> int | None:
        """Returns how many batches of arrays come at once; None for one batch after the other."""
        return int(self._steps_per_execution.numpy()) if self._runs_in_loops() else None

    def _steps_a_call(self, given: dict[str, Any]) -> int:
        each = any(c._implements_train_batch_hooks() for c in _callbacks(given))
        size = given.get("batch_size") or 32
        wanted = given.get("steps_per_epoch", given.get("steps"))
        counts = [input_pipeline.count(given.get("x"), size, wanted)]
        if given.get("validation_data") is not None:
            unseen = given["validation_data"], given.get("validation_batch_size") or size
            counts.append(input_pipeline.count(*unseen, given.get("validation_steps")))
        if each or self.run_eagerly or self._has_strategy or None in counts:
            return 1
        if set(counts) == {1} and not self._runs_in_loops():
            return 1  # Keras' loop is traced twice
        return execution.steps_a_call(self, size)


def _callbacks(given: dict[str, Any]) -> list[tf_keras.callbacks.Callback]:
    callbacks = given.get("callbacks") or []
    callbacks = getattr(callbacks, "callbacks", callbacks)  # a CallbackList
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
