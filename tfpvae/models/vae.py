"""The model: an encoder, a decoder and a prior; its loss, and saving."""

from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.models import (
    conditioning,
    description,
    estimators,
    inputs,
    introspection,
    objectives,
)
from tfpvae.models.fitting import Training
from tfpvae.models.signatures import build_signatures
from tfpvae.models.steps import Mean
from tfpvae.saving import atomic, finite_weights, safe_mode
from tfpvae.schedules import is_schedule
from tfpvae.training import checkpoint_state
from tfpvae.training.checkpoint_state import state

tfd = tfp.distributions

_SETTINGS = ("objective", "num_samples", "free_bits", "target_rate", "dequantize")


_register = tf_keras.saving.register_keras_serializable(package="tfpvae")


@_register
class VAE(Training):
    """Variational autoencoder: q(z|x), p(x|z) and p(z), trained on -ELBO.

    With the objective "elbo", loss = mean over the batch of [-log p(x|z) + kl_weight * KL(q(z|x) ||
    p(z))], the first a mean over draws z ~ q(z|x), plus the regularization losses of the two
    networks' own layers (Kingma and Welling 2014, equation 10). `fit` and `evaluate` report loss,
    and, whatever the objective and its weights, nll, kl and elbo = -nll - kl: nats an image.

    Images are float in [0, 1] or uint8, which are divided by 255 in the graph.

    Of networks that take labels [B] as well, whole numbers that go through a `layers.OneHot`, the
    VAE is conditional: q(z|x, y), p(x|z, y) and p(z), and wherever images or latents go in their
    labels do too (Sohn, Lee and Yan 2015, equation 4).

    Args:
      encoder: a built `tf_keras` model, images [B, H, W, C] -> q(z|x); or [images, labels].
      decoder: a built `tf_keras` model, latents [B, D] -> p(x|z); or [latents, labels].
      prior: p(z), a `tfd.Distribution` of event shape [D], or the whole KL term, a
        `tfpvae.layers.KLDivergenceRegularizer`; None for the one of the encoder. A plain
        autoencoder, of a deterministic posterior, has none.
      name: of the model.
      objective: what is trained on: "elbo"; "iwae", the importance-weighted bound of num_samples
        draws; "dreg", the same with the doubly reparameterised gradient. See `objectives`.
      num_samples: S, draws of z an image at each step.
      free_bits: nats of the KL of a latent dimension that cost nothing; with "elbo" alone.
      target_rate: nats that the KL is held to: kl_weight * |KL - target_rate| takes the place of
        kl_weight * KL; with "elbo" alone.
      dequantize: whether uniform noise of one level is added to 8-bit pixels, (255 x + u) / 256,
        wherever they are trained on or scored, so that a density of them means something (Theis,
        van den Oord and Bethge 2016, section 3.1).

    Raises:
      TypeError, ValueError: if the two do not end in distributions or do not fit each other, or
        there is no prior.

    >>> import numpy as np
    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense")
    >>> vae.compile()
    >>> history = vae.fit(np.zeros([8, 28, 28, 1], np.uint8), verbose=0)
    >>> sorted(history.history), vae.sample(2, seed=0).shape
    (['elbo', 'kl', 'loss', 'nll'], TensorShape([2, 28, 28, 1]))
    """

    last_saved: str | None = None  # where to

    def __init__(
        self,
        encoder: tf_keras.Model,
        decoder: tf_keras.Model,
        prior: tfd.Distribution | KLDivergenceRegularizer | None = None,
        name: str = "vae",
        *,
        objective: str = "elbo",
        num_samples: int = 1,
        free_bits: float = 0.0,
        target_rate: float | None = None,
        dequantize: bool = False,
        **kwargs: Any,
    ):
        _checks.eager()
        super().__init__(name=name, **kwargs)
        self.objective, self.num_samples = objective, num_samples
        self.free_bits, self.target_rate = free_bits, target_rate
        self.dequantize = dequantize
        self.image_shape, self.num_classes, posterior = introspection.probe(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        inputs.adapt(self, has_bounds=introspection.has_bounds(decoder))
        # Past Keras' tracking, as in the layers: only the variables are weights of this model.
        object.__setattr__(self, "_kl", introspection.kl_term(encoder, posterior, prior))
        objectives.check(self, posterior)
        self._prior_is_given = prior is not None
        self._prior_variables = [] if prior is None else list(self.prior.variables)
        # Past it too, since Keras counts the metrics it tracks among the weights.
        names = ("loss", "nll", "kl") if self._kl is None else ("loss", "nll", "kl", "elbo")
        object.__setattr__(self, "_means", [Mean(name) for name in names])
        # Keras calls a model built once it was called.
        self(conditioning.blank(self.image_shape, self.num_classes))
        self._clear_losses()

    @property
    def prior(self) -> Any:
        """p(z), a `tfd.Distribution`, or None for a plain autoencoder."""
        return self._kl and self._kl.distribution_b

    @property
    def kl_weight(self) -> Any:
        """The factor of the KL in the loss; a schedule's, a scalar tensor, at the present step."""
        optimizer = getattr(self, "optimizer", None)
        step = 0 if optimizer is None else optimizer.iterations
        return 1.0 if self._kl is None else self._kl.weight_at(step)

    @property
    def kl_method(self) -> str | None:
        """How the KL is computed, "exact" or "monte_carlo"; None for a plain autoencoder."""
        posterior = self.encoder(conditioning.blank(self.image_shape, self.num_classes))
        return self._kl and self._kl.kl_method(posterior)

    @property
    def warmup_steps(self) -> int:
        """The step of the optimizer from which on kl_weight is the one it ends with."""
        return getattr(self._kl and self._kl.weight, "warmup_steps", 0)

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        """The means of loss, nll, kl and elbo, and the metrics given to `compile`."""
        return [*self._means, *super().metrics]

    def build_from_config(self, config: dict) -> None:
        """Does nothing: a VAE is built as soon as it is made."""

    def call(self, images: Any, training: bool | None = None) -> tfd.Distribution:
        """Returns p(x|z) for one z ~ q(z|x) an image; of a conditional VAE for [images, labels]."""
        images, labels = conditioning.split(images)
        training = False if training is None else training
        posterior = self.encoder(conditioning.join(images, labels), training=training)
        if self._adds_kl:
            self.add_loss(self.kl_weight * tf.reduce_mean(self.kl_divergence(posterior)))
        latents = conditioning.join(tf.convert_to_tensor(posterior), labels)
        return self.decoder(latents, training=training)

    @property
    def losses(self) -> list[tf.Tensor]:
        """The losses besides the nll: kl_weight * KL, and what the layers add.

        The KL is what `fit` trains on. That of a prior given to this VAE, or with a schedule as
        its weight, belongs to the last `vae(images)`; any other to the last pass of the encoder.
        `free_bits`, `target_rate` and the objectives "iwae" and "dreg" change more than a term of
        the loss: with them, train on `loss_terms(images).loss`.
        """
        losses = super().losses
        return introspection.without_kl_terms(losses, self.encoder) if self._adds_kl else losses

    @property
    def _adds_kl(self) -> bool:
        """Whether the KL is not the one that the encoder's own layer adds."""
        return self._kl is not None and (self._prior_is_given or is_schedule(self._kl.weight))

    def loss_terms(
        self, images: Any, labels: Any = None, *, seed: Any = None, training: bool = True
    ) -> objectives.Terms:
        """Computes the terms that `fit` trains on, for custom training loops.

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          labels: of a conditional VAE, whole numbers [B], or one for all images.
          seed: of the draws of z; None for new draws each time, else an int or two of them.
          training: whether layers such as dropout run as in training.

        Returns:
          `objectives.Terms`: `loss`, `nll` and `kl` of each image, [B] nats; `mean`, the mean of
          p(x|z), [B, H, W, C]; `rest`, what the layers' own regularizers add, a scalar. The loss of
          a batch is the mean of `loss`, plus `rest`.

        Raises:
          ValueError, TypeError: for images or labels that are wrong.

        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense")
        >>> with tf.GradientTape() as tape:
        ...     terms = vae.loss_terms(tf.zeros([8, 28, 28, 1]), seed=0)
        ...     loss = tf.reduce_mean(terms.loss) + terms.rest
        >>> gradients = tape.gradient(loss, vae.trainable_variables)
        >>> all(gradient is not None for gradient in gradients)
        True
        """
        images = _checks.as_tensor("images", images)
        _checks.array("images", images, self.image_shape)
        labels = conditioning.labels_of(self, labels, images)
        seed = _checks.seed(seed)
        targets = estimators.pixels(self, images, seed)
        given = conditioning.join(targets, labels)
        return objectives.terms(self, given, targets, training, seed)

    # Saving

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        save_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the whole model: a `.keras` file, or a folder that is a SavedModel.

        `tf_keras.models.load_model` brings either back as a VAE that returns distributions and
        goes on training. The folder answers to TensorFlow alone too: its signatures are encode,
        decode, reconstruct, sample and elbo.

        Args:
          filepath: where to; a name that ends in `.keras` makes a file.
          overwrite: whether to replace what is there without asking.
          save_format: "tf", "keras" or "h5"; None to go by the name.
          **kwargs: as in `tf_keras.Model.save`.

        Raises:
          OSError: if it cannot be written; what was there before is then as it was.
          ValueError: if a weight is no finite number; nothing is written then.
        """
        is_file = str(filepath).endswith((".keras", ".h5", ".hdf5"))
        save_format = save_format or (None if is_file else "tf")
        if save_format == "tf":
            # The layers are rebuilt from their configs; the signatures are for everybody else.
            kwargs = {"signatures": build_signatures(self), "save_traces": False} | kwargs
        finite_weights.check_weights(self)
        if overwrite or atomic.may_replace(filepath):
            with atomic.replacing(filepath) as path:
                super().save(path, save_format=save_format, **kwargs)
            self.last_saved = str(filepath)

    def save_weights(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        save_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the weights alone, whole or not at all; as `tf_keras.Model.save_weights`.

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
        """Reads the weights alone, all of them or none; as `tf_keras.Model.load_weights`.

        Raises:
          OSError, ValueError and others: as Keras does; the weights and the optimizer's variables
            are then as they were.
        """
        held = [(variable, variable.numpy()) for variable in state(self)]
        try:
            return super().load_weights(filepath, *args, **kwargs)
        except Exception:
            for variable, value in held:  # HDF5 has some read before it comes to what is broken
                variable.assign(value)
            raise

    def get_config(self) -> dict:
        """Returns the encoder, the decoder and a given prior as plain data."""
        serialize = tf_keras.layers.serialize  # knows both of Keras' config formats
        return {
            "name": self.name,
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "kl": self._kl.get_config() if self._prior_is_given else None,
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "VAE":
        """Returns the VAE that `get_config` described, with new weights.

        Raises:
          ValueError: if none can be built of it, or, in safe mode, it names what is no part of one.
        """
        with safe_mode.guarding(config):
            encoder = tf_keras.layers.deserialize(config["encoder"], custom_objects)
            decoder = tf_keras.layers.deserialize(config["decoder"], custom_objects)
            kl = config.get("kl")
            prior = kl and KLDivergenceRegularizer.from_config(kl)
            settings = {name: config[name] for name in _SETTINGS if name in config}
            return cls(encoder, decoder, prior=prior, name=config["name"], **settings)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was; loading calls it, and then restores the optimizer."""
        with safe_mode.guarding(config):
            self.compile(**tf_keras.saving.deserialize_keras_object(config))
            checkpoint_state.build_optimizer(self)

    def __repr__(self) -> str:
        return description.one_line(self) if self.built else super().__repr__()

    def _repr_html_(self) -> str:
        return description.table(self)

    def summary(self, *args, expand_nested: bool = True, **kwargs) -> None:
        """Prints the VAE in a line, then its layers; as `tf_keras.Model.summary`."""
        (kwargs.get("print_fn") or print)(repr(self))
        super().summary(*args, expand_nested=expand_nested, **kwargs)
