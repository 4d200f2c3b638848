"""Saving and loading of a VAE, whole or not at all."""

import warnings
from pathlib import Path
from typing import Any

import tf_keras

from tfpvae.models import description
from tfpvae.models.signatures import build_signatures
from tfpvae.saving import atomic, finite_weights, model_card, safe_mode
from tfpvae.training import checkpoint_state


class FilesMixin(tf_keras.Model):
    """Mixin of `VAE` that saves and loads it.

    Attributes:
      last_saved: path of the last save, None before.
    """

    last_saved: str | None = None

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        save_format: str | None = None,
        *,
        card: model_card.ModelCard | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the whole model: a `.keras` file, or a folder that is a SavedModel.

        `tf_keras.models.load_model` restores either as a VAE that returns distributions and
        continues training; a file leaves out the state of a legacy optimizer, and a warning says
        so. The folder also loads with TensorFlow alone: its signatures are encode, decode,
        reconstruct, sample and elbo. Its README.md is a model card, which says what the model is,
        how it was trained, with which versions, and how to load it; a card that a user has edited
        is kept.

        Args:
          filepath: the path to write; a name that ends in `.keras` makes a file.
          overwrite: whether to replace an existing model without asking.
          save_format: "tf", "keras" or "h5"; None to infer it from the name.
          card: the data, scores and license for the model card; for a folder only.
          **kwargs: as in `tf_keras.Model.save`.

        Raises:
          OSError: if it cannot be written; what was there before is unchanged.
          ValueError: if a weight is not finite, or a card is for a file; nothing is written then.
        """
        is_file = str(filepath).endswith((".keras", ".h5", ".hdf5"))
        save_format = save_format or (None if is_file else "tf")
        if save_format == "tf":
            # Keras rebuilds the layers from their configs; the signatures serve everyone else.
            kwargs = {"signatures": build_signatures(self), "save_traces": False} | kwargs
        elif card is not None:
            raise ValueError(f"card: wanted None for a file, which has none, got {card!r}.")
        finite_weights.check_weights(self)
        if overwrite or atomic.may_replace(filepath):
            with atomic.replacing(filepath) as path:
                super().save(path, save_format=save_format, **kwargs)
                if save_format == "tf":
                    text = (card or model_card.ModelCard()).text(
                        description.facts(self), sorted(kwargs["signatures"] or ())
                    )
                    model_card.write(path, str(filepath), text)
            self.last_saved = str(filepath)
            if save_format != "tf":
                _warn_of_lost_steps(self)

    def save_weights(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        save_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the weights, whole or not at all; as `tf_keras.Model.save_weights`.

        Raises:
          OSError, ValueError: as `save` does.
        """
        finite_weights.check_weights(self)
        if overwrite or atomic.may_replace(filepath):
            with atomic.replacing(filepath) as path:
                atomic.reserve(path, self.variables)
                super().save_weights(path, save_format=save_format, **kwargs)
            self.last_saved = str(filepath)

    def load_weights(self, filepath: str | Path, *args: Any, **kwargs: Any) -> Any:
        """Reads the weights, all or none; as `tf_keras.Model.load_weights`.

        Raises:
          OSError, ValueError and others: as Keras does; the weights and the optimizer's variables
            are unchanged then.
        """
        before = [(variable, variable.numpy()) for variable in checkpoint_state.variables_of(self)]
        try:
            return super().load_weights(filepath, *args, **kwargs)
        except Exception:
            for variable, value in before:  # HDF5 reads some weights before it meets damage
                variable.assign(value)
            raise

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was; loading calls it, and then restores the optimizer."""
        with safe_mode.guarding(config):
            self.compile(**tf_keras.saving.deserialize_keras_object(config))
            checkpoint_state.build_optimizer(self)
            if not hasattr(self.optimizer, "name"):  # one that scales the loss; Keras asks for it
                self.optimizer.name = type(self.optimizer).__name__


def _warn_of_lost_steps(vae: tf_keras.Model) -> None:
    optimizer = getattr(vae, "optimizer", None)
    if not isinstance(optimizer, tf_keras.optimizers.legacy.Optimizer):
        return
    if steps := int(optimizer.iterations.numpy()):
        warnings.warn(
            f"save: Keras leaves the state of a legacy optimizer out of a file, its {steps} steps "
            "among it, so that a training begins anew with the weights. A folder has the state.",
            stacklevel=3,
        )
