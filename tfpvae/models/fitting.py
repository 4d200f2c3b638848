"""Training and scoring a VAE with Keras: compile, fit, evaluate, predict."""

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
from tfpvae.models import compile_arguments, fit_arguments, objectives
from tfpvae.models.steps import StepsMixin
from tfpvae.training import (
    averages,
    batch_checks,
    checkpoint_state,
    execution,
    exhaustion,
    input_pipeline,
    monitors,
)

tfd = tfp.distributions


class FittingMixin(StepsMixin):
    """Mixin of `VAE` that Keras trains and scores it with.

    Attributes:
      warmup_steps: the optimizer step at which kl_weight reaches its final value.
    """

    warmup_steps: int
    _training_state = None  # remains when BackupAndRestore deletes Keras' own

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._order = input_pipeline.Order()
        # The execution that each of Keras' functions was made for; not for Keras to track.
        object.__setattr__(self, "_made_for", {})

    def compile(
        self,
        optimizer: str | tf_keras.optimizers.Optimizer = "adam",
        loss: Callable[[tf.Tensor, tfd.Distribution], tf.Tensor] | None = None,
        *,
        jit_compile: bool | None = None,
        steps_per_execution: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the optimizer and the other options of `tf_keras.Model.compile`.

        Args:
          optimizer: a `tf_keras` optimizer or its name.
          loss: (images, p(x|z)) -> [B]; None for the negative log-likelihood.
          jit_compile: whether XLA compiles steps; None to compile them where it pays: for layers
            that are known to be dense, and on a GPU for convolutions too.
          steps_per_execution: steps of one call from Python; None or "auto" for as many as take
            about a tenth of a second, and for one where a callback needs each step.
          **kwargs: as in `tf_keras.Model.compile`. Metrics compare images with the mean of p(x|z).

        Raises:
          TypeError, ValueError: for a loss that does not return one number per image, for
            loss_weights, for a metric named as one that is reported already, and for objects of
            Keras 3.
        """
        _checks.eager()
        compile_arguments.check(self, {"optimizer": optimizer, **kwargs})
        loss = loss or objectives.negative_log_likelihood
        if not callable(loss):
            raise TypeError(
                f"loss: wanted a function of (images, likelihood) that returns [B], got {loss!r}."
            )
        if loss is not objectives.negative_log_likelihood:
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
        _ = self.optimizer.iterations  # a legacy one makes it when first asked, even in a loop
        self.training_state = checkpoint_state.CheckpointState()  # a SavedModel brings none
        self._execution = execution.decide(
            self,
            jit_compile,
            has_own_steps=self._has_own_steps() and not self.run_eagerly,
            has_metrics=bool(kwargs.get("metrics") or kwargs.get("weighted_metrics")),
            is_likelihood=loss is objectives.negative_log_likelihood,
            chooses_steps=steps_per_execution is None,
        )
        if self._has_own_steps():
            self.jit_compile = False  # `_run` keeps the checks, which XLA drops, outside of it
        self._made_for.clear()
        if restored is not None:  # Keras restores an optimizer from a SavedModel and drops it here
            checkpoint_state.restore_optimizer(self, restored)

    def get_compile_config(self) -> dict | None:
        """Returns the arguments of `compile` as plain data, for a `.keras` file."""
        config = super().get_compile_config()
        loss = config and config["loss"]
        if isinstance(loss, dict) and loss.get("class_name") == "function":
            # tf_keras 2.18 drops the package, and then takes any function whose name ends alike.
            loss["config"] = tf_keras.saving.get_registered_name(self.loss)
        return config

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on images; as `tf_keras.Model.fit`, without passing the images twice.

        Args:
          x: images [B, H, W, C], float in [0, 1] or uint8, or a tf.data.Dataset of batches of
            them. Pairs (images, images) work too; the second are the ones to reconstruct. For a
            conditional VAE the second are the labels.
          y: None, or the images to reconstruct; for a conditional VAE the labels, whole numbers
            [B].
          *args: as in `tf_keras.Model.fit`.
          **kwargs: as in `tf_keras.Model.fit`; validation_data takes images in the same forms.

        Returns:
          A `tf_keras.callbacks.History` of loss, nll, kl and elbo, in nats per image.

        Raises:
          ValueError, TypeError: before training, for data that are not images of this model; and
            at the first batch that is not, whose number the message names. The weights are then
            those before that batch.
        """
        keras_fit = super().fit
        arguments = self._checked_arguments(keras_fit, x, y, *args, **kwargs)
        arguments = fit_arguments.with_class_weight(arguments, self.num_classes)
        fit_arguments.begin_warmup(self, arguments)
        for callback in fit_arguments.callbacks_of(arguments):
            monitors.let_elbo_rise(callback)
        empty_epochs = exhaustion.EmptyEpochs()
        arguments["callbacks"] = fit_arguments.with_callbacks(
            self, arguments.get("callbacks"), averages.ConstrainedAverages(), empty_epochs
        )
        with (
            self._prepared(arguments, "train_function", "test_function"),
            batch_checks.faults_named("x", self.data_spec, self._train_counter),
        ):
            arguments = self._with_batches(arguments)
            history = keras_fit(**fit_arguments.with_progress(self, arguments))
        empty_epochs.clean(history)
        object.__setattr__(self, "last_fit", history)  # Keras' own, `evaluate` replaces
        step = int(self.optimizer.iterations.numpy())  # works for a MirroredVariable too
        if step < self.warmup_steps:
            warnings.warn(
                f"kl_weight: training ended at step {step}, before its warm-up does at step "
                f"{self.warmup_steps}.",
                stacklevel=2,
            )
        return history

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Computes loss, nll, kl and elbo, in nats per image; as `tf_keras.Model.evaluate`."""
        keras_evaluate = super().evaluate
        arguments = self._checked_arguments(keras_evaluate, x, y, *args, **kwargs)
        if arguments.get("_use_cached_eval_dataset"):  # during a fit, which has prepared it
            if getattr(self, "_eval_data_handler", None) is not None:
                # Keras takes data that were once too few for data that are exhausted.
                self._eval_data_handler._insufficient_data = False
            with batch_checks.faults_named("validation_data", self.data_spec, self._test_counter):
                return keras_evaluate(**arguments)
        with (
            self.training_state.kept(),
            self._prepared(arguments, "test_function"),
            batch_checks.faults_named("x", self.data_spec, self._test_counter),
        ):
            parts = input_pipeline.data_of(arguments, "x", "y", "sample_weight")
            batches, steps = self._batches(
                parts, arguments.get("batch_size"), arguments.get("steps"), self._batches_per_run()
            )
            if batches is not None:
                arguments |= {"x": batches, "y": None, "sample_weight": None, "batch_size": None}
            arguments = fit_arguments.with_progress(self, arguments)
            return keras_evaluate(**arguments | {"steps": steps})

    def predict(self, x, batch_size=None, verbose="auto", steps=None, **kwargs):
        """Computes the reconstructions of images, as an array; as `tf_keras.Model.predict`.

        A conditional VAE takes [images, labels], or batches of (images, labels).
        """
        if batch_size is not None:
            _checks.whole_number("batch_size", batch_size)
        x = x if isinstance(x, (list, tuple)) else _checks.as_dense("x", x)
        _checks.examples("x", x, self.data_spec, self.num_classes)
        is_pair = self.num_classes is not None and isinstance(x, (list, tuple))
        batches, steps = self._batches(tuple(x) if is_pair else (x,), batch_size, steps)
        x, batch_size = (x, batch_size) if batches is None else (batches, None)
        arguments = fit_arguments.with_progress(self, {"verbose": verbose} | kwargs)
        with batch_checks.faults_named("x", self.data_spec, self._predict_counter):
            return super().predict(x, batch_size, steps=steps, **arguments)

    def _checked_arguments(self, method: Callable, *args: Any, **kwargs: Any) -> dict[str, Any]:
        arguments = fit_arguments.checked(method, self, *args, **kwargs)
        if not self._is_compiled:
            raise RuntimeError(
                f"{method.__name__}: wanted a compiled VAE, got none; vae.compile() first."
            )
        return arguments

    # Batches, and the order in which they come

    def _with_batches(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `fit` with arrays as batches, in an order that can be resumed.

        Arrays stay arrays where steps_per_epoch makes epochs of another length.
        """
        parts = input_pipeline.data_of(arguments, "x", "y", "sample_weight")
        has_other_epochs = arguments.get("steps_per_epoch") or arguments.get("shuffle") == "batch"
        self._order.dataset = None
        if has_other_epochs or not input_pipeline.are_arrays(parts):
            arguments |= self._with_dataset(arguments)
        else:
            steps = self._batches_per_run()
            arguments |= input_pipeline.for_fit(self._order, steps=steps, **arguments)
        unseen = arguments.get("validation_data")
        parts = tuple(unseen) if isinstance(unseen, (list, tuple)) else (unseen,)
        size = arguments.get("validation_batch_size") or arguments.get("batch_size")
        steps, per_run = arguments.get("validation_steps"), self._batches_per_run()
        batches, steps = self._batches(parts, size, steps, per_run, "validation_steps")
        if batches is not None:
            arguments["validation_data"] = batches
        return arguments | {"validation_steps": steps}

    def _with_dataset(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `fit` that depend on a dataset whose order is the user's."""
        x = input_pipeline.untuned(arguments.get("x"))
        if not isinstance(x, tf.data.Dataset):
            return {"x": x}
        self._order.dataset = x
        steps = arguments.get("steps_per_epoch")
        if not steps or self._has_strategy:
            return {"x": x}
        first = arguments.get("initial_epoch", 0)
        epochs = exhaustion.available_epochs(x, steps, arguments.get("epochs", 1) - first)
        return {"x": x, "epochs": first + epochs}

    def _batches(
        self,
        parts: tuple,
        batch_size: int | None,
        steps: int | None,
        batches_per_run: int | None = None,
        argument: str = "steps",
    ) -> tuple[tf.data.Dataset | None, int | None]:
        """Returns a dataset for one pass, and its number of batches.

        The dataset is None for data that Keras takes unchanged; the number is None where Keras
        counts the batches.

        Args:
          parts: arrays that belong together, or one dataset.
          batch_size: of arrays; None for 32.
          steps: the number of batches that the user asked for.
          batches_per_run: the number of batches of arrays in one `input_pipeline.Run`.
          argument: the name of `steps`, for the warning.
        """
        if len(parts) == 1 and isinstance(parts[0], tf.data.Dataset):
            if steps is not None:
                steps = exhaustion.available_steps(argument, parts[0], steps)
            return input_pipeline.untuned(parts[0]), steps
        if steps is not None or self._has_strategy or not input_pipeline.are_arrays(parts):
            return None, steps
        if batches_per_run is not None:  # Keras would count the runs
            steps = math.ceil(len(parts[0]) / (batch_size or 32))
        return input_pipeline.in_order(parts, batch_size or 32, batches_per_run), steps

    def _maybe_load_initial_counters_from_ckpt(self, steps_per_epoch, initial_epoch):
        """Returns the epoch and the batch that training starts with, which Keras asks for.

        By now weights, optimizer and seed are those of a backup, if there is one.
        """
        own = super()._maybe_load_initial_counters_from_ckpt
        epoch, batch = own(steps_per_epoch, initial_epoch)
        self._order.begin(self.training_state.seed, epoch, batch)
        if self._order.dataset is not None:
            for _ in range(initial_epoch, epoch):
                iter(self._order.dataset)  # advances the order that its shuffle takes next
        # A MirroredVariable itself is always true.
        is_over = bool(self.training_state.is_over.numpy())
        return (sys.maxsize, 0) if is_over else (epoch, batch)

    # How steps run

    @contextlib.contextmanager
    def _prepared(self, arguments: dict[str, Any], *functions: str) -> Iterator[None]:
        """Sets the seed of a `fit` or `evaluate`, and how many steps one call from Python runs.

        Args:
          arguments: of `fit` or `evaluate`.
          *functions: names of the functions that Keras runs the steps with.
        """
        with self.distribute_strategy.scope():  # variables of all workers start as the first's
            seed = tf.Variable(_checks.seed(None), trainable=False)
        self.training_state.seed.assign(seed.read_value())
        self.training_state.is_over.assign(False)
        self.training_state.generators = checkpoint_state.generators_of(self)
        before = int(self._steps_per_execution.numpy())  # of the fit, inside one of its callbacks
        steps = self._steps_per_call(arguments) if self.execution.chooses_steps else before
        for name in functions:
            in_loops, runs_several = self._made_for.get(name, (False, False))
            # A function that runs several steps also runs one.
            if in_loops is not self.execution.in_loops or (steps > 1 and not runs_several):
                setattr(self, name, None)
                self._made_for[name] = (self.execution.in_loops, steps > 1)
        self._steps_per_execution.assign(steps)
        try:
            yield
        finally:
            self._steps_per_execution.assign(before)

    def _batches_per_run(self) -> int | None:
        """Returns how many batches of arrays come at once; None for one after another."""
        return int(self._steps_per_execution.numpy()) if self.execution.in_loops else None

    def _steps_per_call(self, arguments: dict[str, Any]) -> int:
        """Chooses how many steps one call from Python runs; one where a callback needs each."""
        get, count = arguments.get, input_pipeline.count_batches
        size = get("batch_size") or 32
        counts = [count(get("x"), size, get("steps_per_epoch", get("steps")))]
        if get("validation_data") is not None:
            unseen_size = get("validation_batch_size") or size
            counts.append(count(get("validation_data"), unseen_size, get("validation_steps")))
        needs_each = any(
            c._implements_train_batch_hooks() for c in fit_arguments.callbacks_of(arguments)
        )
        if needs_each or self.run_eagerly or self._has_strategy or None in counts:
            return 1
        if set(counts) == {1} and not self.execution.in_loops:
            return 1  # without Keras' loop, whose body is traced twice
        return execution.steps_per_call(self, size)
