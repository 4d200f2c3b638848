"""The model: an encoder, a decoder and a prior; one objective, and saving."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks, atomic, conditioning, finite, inference, objectives, parts, strangers
from tfpvae.answers import Answers
from tfpvae.regularizers import KLDivergenceRegularizer
from tfpvae.signatures import build_signatures

tfd = tfp.distributions

_SETTINGS = ("objective", "num_samples", "free_bits", "target_rate", "dequantize")

_register = tf_keras.saving.register_keras_serializable(package="tfpvae")


@_register
def negative_log_likelihood(images: tf.Tensor, likelihood: tfd.Distribution) -> tf.Tensor:
    """Returns -log p(x|z) of each image, summed over its pixels: [B], nats."""
    return -likelihood.log_prob(images)


@_register
class VAE(Answers):
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
        super().__init__(name=name, **kwargs)
        self.objective, self.num_samples = objective, num_samples
        self.free_bits, self.target_rate = free_bits, target_rate
        self.dequantize = dequantize
        self.image_shape, self.num_classes, posterior = parts.probe(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        # Past Keras' tracking, as in the layers: only the variables are weights of this model.
        object.__setattr__(self, "_kl", parts.kl_term(encoder, posterior, prior))
        objectives.check(self, posterior)
        self._prior_is_given = prior is not None
        self._prior_variables = [] if prior is None else list(self.prior.variables)
        # Past it too, since Keras counts the metrics it tracks among the weights.
        names = ("loss", "nll", "kl") if self._kl is None else ("loss", "nll", "kl", "elbo")
        object.__setattr__(self, "_means", [tf_keras.metrics.Mean(name) for name in names])
        # Keras calls a model built once it was called.
        self(conditioning.blank(self.image_shape, self.num_classes))

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

    def call(self, images: Any, training: bool | None = None) -> tfd.Distribution:
        """Returns p(x|z) for one z ~ q(z|x) an image; of a conditional VAE for [images, labels]."""
        images, labels = conditioning.split(images)
        given = conditioning.join(inference.scaled(images), labels)
        posterior = self.encoder(given, training=training)
        given = conditioning.join(tf.convert_to_tensor(posterior), labels)
        return self.decoder(given, training=training)

    # Training

    def compile(
        self,
        optimizer: str | tf_keras.optimizers.Optimizer = "adam",
        loss: Callable[[tf.Tensor, tfd.Distribution], tf.Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets the optimizer and what `tf_keras.Model.compile` takes besides.

        Args:
          optimizer: a `tf_keras` optimizer or its name.
          loss: (images, p(x|z)) -> [B]; None for the negative log likelihood.
          **kwargs: as in `tf_keras.Model.compile`. Metrics compare images with the mean of p(x|z).
        """
        loss = loss or negative_log_likelihood
        if not callable(loss):
            raise TypeError(
                f"loss: wanted a function of (images, likelihood) that returns [B], got {loss!r}."
            )
        restored = getattr(self, "optimizer", None) if kwargs.get("from_serialized") else None
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        if restored is not None:  # Keras restores an optimizer from SavedModel and drops it here
            self.optimizer.build(self.trainable_variables)
            # Not strict: an optimizer that has not stepped yet was saved without its slots.
            for variable, saved in zip(self.optimizer.variables, restored.variables, strict=False):
                variable.assign(saved)

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
        history = method(**_checks.training_arguments(method, self, x, y, *args, **kwargs))
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
        return method(**_checks.training_arguments(method, self, x, y, *args, **kwargs))

    def predict(self, x, *args, **kwargs):
        """Returns the reconstructions of images, as an array; as `tf_keras.Model.predict`.

        A conditional VAE takes [images, labels], or batches of (images, labels).
        """
        _checks.images("x", x, self.image_shape, self.num_classes)
        return super().predict(x, *args, **kwargs)

    def train_step(self, data):
        """Returns the metrics of one step of the optimizer on -ELBO."""
        with tf.GradientTape() as tape:
            loss, metrics = self._objective(data, training=True)
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            loss = loss / replicas  # the optimizer sums over replicas
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return metrics

    def test_step(self, data):
        """Returns the metrics of one batch."""
        return self._objective(data, training=False)[1]

    def predict_step(self, data):
        """Returns the reconstructions of one batch."""
        images, labels, _, _ = conditioning.unpacked(data, self.num_classes)
        return inference.reconstruct(self, conditioning.join(inference.scaled(images), labels))

    def _objective(self, data: Any, training: bool) -> tuple[tf.Tensor, dict]:
        found = conditioning.unpacked(data, self.num_classes)
        images, labels, targets, sample_weight = found
        images = inference.pixels(self, images)
        targets = images if targets is None else inference.pixels(self, targets)
        given = conditioning.join(images, labels)
        loss, nll, kl, mean, rest = objectives.terms(self, given, targets, training)
        weight = tf.ones([], nll.dtype)
        if sample_weight is not None:  # Keras hands over [B, 1]
            weight = tf.reshape(tf.cast(sample_weight, nll.dtype), tf.shape(nll))
        losses = weight * loss + rest
        reported = {"loss": losses, "nll": weight * nll, "kl": weight * kl}
        reported["elbo"] = -reported["nll"] - reported["kl"]
        for metric in self._means:
            metric.update_state(reported[metric.name])
        metrics = self.compute_metrics(images, targets, mean, sample_weight)
        return tf.reduce_mean(losses), metrics

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
        finite.check_weights(self)
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
        finite.check_weights(self)
        if overwrite or atomic.may_replace(filepath):
            with atomic.replacing(filepath) as path:
                atomic.reserve(path, self.variables)
                super().save_weights(path, save_format=save_format, **kwargs)
            self.last_saved = str(filepath)

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
        with strangers.guarding(config):
            encoder = tf_keras.layers.deserialize(config["encoder"], custom_objects)
            decoder = tf_keras.layers.deserialize(config["decoder"], custom_objects)
            kl = config.get("kl")
            prior = kl and KLDivergenceRegularizer.from_config(kl)
            settings = {name: config[name] for name in _SETTINGS if name in config}
            return cls(encoder, decoder, prior=prior, name=config["name"], **settings)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as the saved model was; loading calls it, and then restores the optimizer."""
        with strangers.guarding(config):
            self.compile(**tf_keras.saving.deserialize_keras_object(config))
            self.optimizer.build(self.trainable_variables)

    def summary(self, *args, expand_nested: bool = True, **kwargs) -> None:
        """Prints the layers of the two networks; as `tf_keras.Model.summary`."""
        super().summary(*args, expand_nested=expand_nested, **kwargs)
