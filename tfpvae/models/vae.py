"""The VAE: an encoder, a decoder and a prior; its loss; and its config.

Mixins add the rest: `FittingMixin` (compile, fit, evaluate, predict), `ProbabilisticMixin` (encode,
decode, sample, elbo and more), on which `ExplorationMixin` is built (interpolate, traverse,
anomaly_score), `DescriptionMixin` (repr, summary), `FilesMixin` (save, load_weights) and
`SettingsMixin` (settings and parts are fixed).
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import divergences, remembered
from tfpvae.distributions.observed import observed
from tfpvae.layers.distribution_lambda import track
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.models import (
    conditioning,
    encoder_kl,
    encoder_losses,
    estimators,
    introspection,
    network_inputs,
    objectives,
)
from tfpvae.models.description import DescriptionMixin
from tfpvae.models.exploration import ExplorationMixin
from tfpvae.models.files import FilesMixin
from tfpvae.models.fitting import FittingMixin
from tfpvae.models.ladders import share_path
from tfpvae.models.settings import SettingsMixin
from tfpvae.networks.autograph import converted
from tfpvae.saving import safe_mode
from tfpvae.schedules import is_schedule

tfd = tfp.distributions


@tf_keras.saving.register_keras_serializable(package="tfpvae")
class VAE(
    SettingsMixin, FittingMixin, ExplorationMixin, DescriptionMixin, FilesMixin, tf_keras.Model
):
    """Variational autoencoder: q(z|x), p(x|z) and p(z), trained on the negative ELBO.

    loss = mean over the batch of [-log p(x|z) + kl_weight * KL(q(z|x) || p(z))]

    with the objective "elbo" and z ~ q(z|x), plus the regularization losses of the layers of both
    networks (Kingma and Welling 2014, equation 10). `fit` and `evaluate` report the loss and,
    whatever the objective and its weights, nll, kl and elbo = -nll - kl, in nats per image.

    Images are float in [0, 1] or uint8, which is divided by 255 in the graph. Other data are
    examples [B, ...] of any shape, such as rows of a table [B, F] or series [B, T, F]; the
    likelihood tells which values they have: numbers in [0, 1], any finite numbers, counts or
    one-hot vectors.

    Networks that also take labels [B], whole numbers that go through a `layers.OneHot`, make a
    conditional VAE: q(z|x, y), p(x|z, y) and p(z). Wherever it takes images or latents, it takes
    their labels too (Sohn, Lee and Yan 2015, equation 4).

    Args:
      encoder: a built `tf_keras` model, images [B, H, W, C], or other examples [B, ...], -> q(z|x);
        or [images, labels].
      decoder: a built `tf_keras` model, latents [B, D] -> p(x|z); or [latents, labels].
      prior: p(z), a `tfd.Distribution` of event shape [D], or the whole KL term, a
        `tfpvae.layers.KLDivergenceRegularizer`; None for the prior of the encoder. A plain
        autoencoder, whose posterior is deterministic, has none.
      name: of the model.
      objective: "elbo"; "iwae", the importance-weighted bound of num_samples draws; "dreg", the
        same bound with the doubly reparameterized gradient. See `objectives`.
      num_samples: S, the draws of z per image in each step, at least 1.
      free_bits: nats per latent dimension that the KL costs nothing for, at least 0; "elbo" only.
      target_rate: nats at which the KL is held: kl_weight * |KL - target_rate| replaces
        kl_weight * KL; "elbo" only.
      dequantize: whether 8-bit pixels get uniform noise of one level, (255 x + u) / 256, wherever
        they are trained on or scored, so that their density is meaningful (Theis, van den Oord and
        Bethge 2016, section 3.1).
      missing: "mask" for data in which NaN is a missing value. The encoder gets 0 in its place, and
        log p(x|z) is that of the observed values (Mattei and Frellsen 2019, equation 3). None to
        refuse NaN.

    Raises:
      TypeError, ValueError: if the networks do not end in distributions, do not fit each other, or
        have no prior.

    >>> import numpy as np
    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense")
    >>> vae.compile()
    >>> history = vae.fit(np.zeros([8, 28, 28, 1], np.uint8), verbose=0)
    >>> sorted(history.history), vae.sample(2, seed=0).shape
    (['elbo', 'kl', 'loss', 'nll'], TensorShape([2, 28, 28, 1]))
    """

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
        missing: str | None = None,
        **kwargs: Any,
    ):
        _checks.eager()
        super().__init__(name=name, **kwargs)
        self.objective, self.num_samples = objective, num_samples
        self.free_bits, self.target_rate = free_bits, target_rate
        self.dequantize, self.missing = dequantize, missing
        share_path(encoder, decoder)
        spec, self.num_classes, posterior = introspection.probe(encoder, decoder)
        # Past Keras' tracking, which would wrap them. The posterior tells kl_method its kind: Keras
        # reads every property as it saves, and a pass of the encoder would draw and add losses.
        object.__setattr__(self, "_data_spec", spec._replace(allows_missing=missing is not None))
        object.__setattr__(self, "_posterior_of_zeros", posterior)
        self.encoder, self.decoder = encoder, decoder
        network_inputs.adapt(self, has_bounds=introspection.has_bounds(decoder))
        # Past Keras' tracking, as in the layers: only the variables are weights of this model.
        kl_regularizer = encoder_kl.kl_term(encoder, posterior, prior, spec.support)
        object.__setattr__(self, "_kl_regularizer", kl_regularizer)
        objectives.check(self, posterior)
        self._prior_is_given = prior is not None
        if self._prior_is_given:
            track(self, kl_regularizer)
        self(conditioning.blank(self.image_shape, self.num_classes))  # builds it, to Keras
        self._clear_losses()

    @property
    def data_spec(self) -> _checks.DataSpec:  # type: ignore[override]
        """The shape of an example, and the values that it may have."""
        return self._data_spec

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return self.data_spec.shape

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of an example, (H, W, C) of an image."""
        return self.data_spec.shape

    @property
    def prior(self) -> Any:  # type: ignore[override]
        """p(z), a `tfd.Distribution`, or None for a plain autoencoder."""
        return self.kl_regularizer and self.kl_regularizer.distribution_b

    @property
    def kl_regularizer(self) -> KLDivergenceRegularizer | None:  # type: ignore[override]
        """The KL term of the loss, or None for a plain autoencoder."""
        return self._kl_regularizer

    @property
    def kl_weight(self) -> Any:
        """The factor of the KL in the loss; with a schedule, a scalar tensor: its current value."""
        optimizer = getattr(self, "optimizer", None)
        step = 0 if optimizer is None else optimizer.iterations
        return 1.0 if self.kl_regularizer is None else self.kl_regularizer.weight_at(step)

    @property
    def kl_method(self) -> str | None:
        """How the KL is computed, "exact" or "monte_carlo"; None for a plain autoencoder."""
        return self.kl_regularizer and self.kl_regularizer.kl_method(self._posterior_of_zeros)

    @property
    def warmup_steps(self) -> int:  # type: ignore[override]
        """The optimizer step at which kl_weight reaches its final value."""
        weight = self.kl_regularizer and self.kl_regularizer.weight
        return getattr(weight, "warmup_steps", 0)

    def build_from_config(self, config: dict) -> None:
        """Does nothing: the constructor builds a VAE."""

    def call(self, images: Any, training: bool | None = None) -> tfd.Distribution:
        """Returns p(x|z) at a draw z ~ q(z|x) of each image, or of [images, labels]."""
        images, labels = conditioning.split(images)
        training = False if training is None else training
        posterior = self.encoder(conditioning.join(images, labels), training=training)
        if self._adds_kl:
            self.add_loss(self.kl_weight * tf.reduce_mean(self.kl_divergence(posterior)))
        latents = conditioning.join(tf.convert_to_tensor(posterior), labels)
        return self.decoder(latents, training=training)

    # The loss

    def loss_terms(
        self, images: Any, labels: Any = None, *, seed: Any = None, training: bool = True
    ) -> objectives.Terms:
        """Computes the terms that `fit` trains on, for custom training loops.

        The loss of a batch is the mean of `loss` over its images, plus `regularization`.

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          labels: of a conditional VAE, whole numbers [B], or one for all images.
          seed: of the draws of z: an int or a pair of ints, or None for new draws each time.
          training: whether layers such as dropout run as in training.

        Returns:
          `objectives.Terms`, whose `loss`, `nll` and `kl` are [B], in nats.

        Raises:
          ValueError, TypeError: for invalid images or labels.

        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense")
        >>> with tf.GradientTape() as tape:
        ...     terms = vae.loss_terms(tf.zeros([8, 28, 28, 1]), seed=0)
        ...     loss = tf.reduce_mean(terms.loss) + terms.regularization
        >>> gradients = tape.gradient(loss, vae.trainable_variables)
        >>> all(gradient is not None for gradient in gradients)
        True
        """
        images = _checks.as_tensor("images", images)
        _checks.array("images", images, self.data_spec)
        labels = conditioning.labels_of(self, labels, images)
        seed = _checks.seed(seed)
        targets = estimators.preprocess(self, images, seed)
        return self._loss_terms(conditioning.join(targets, labels), targets, training, seed)

    @remembered.remembering()
    def _loss_terms(
        self,
        inputs: Any,
        targets: tf.Tensor,
        training: bool,
        seed: tf.Tensor,
        present: tf.Tensor | None = None,
    ) -> objectives.Terms:
        """Computes the terms of the loss for the inputs of the encoder; see `loss_terms`.

        Args:
          inputs: images [B, H, W, C], or [images, labels].
          targets: the images to reconstruct, [B, H, W, C]; NaN where a value is missing.
          training: whether the networks train.
          seed: of the draws of z, int32 [2].
          present: see `objectives.batch_mean`.
        """
        posterior = self.encoder(inputs, training=training)
        latents = objectives.draw_latents(posterior, self.num_samples, seed)  # [S, B, D]
        weighed, decoded = posterior, latents
        if self.objective == "dreg":
            weighed, decoded, draw_weights = objectives.doubly_reparameterized(posterior, latents)
        labels = conditioning.split(inputs)[1]
        likelihood = self.decoder(conditioning.draws(decoded, labels), training=training)
        nll = self._nll(targets, likelihood)  # [S, B]
        # Before the KL: a prior made of the encoder runs it again, with losses of its own.
        if training and self.kl_regularizer is not None:
            encoder_losses.warn_of_unchecked(self.encoder)
        regularization = self._regularization(nll.dtype)
        kl = self._kl_of_draws(posterior, latents, seed)  # [B]
        if self.objective == "elbo":
            counted = objectives.counted_kl(self, posterior, kl, present, latents)
            loss = objectives.negative_elbo(nll, counted, self.kl_weight)
        else:
            log_ratio = divergences.sampled_kl(weighed, self.prior, decoded)
            if self.objective == "dreg":
                draw_weights.append(objectives.normalized_weights(nll, log_ratio, self.kl_weight))
            loss = objectives.negative_iwae(nll, log_ratio, self.kl_weight)
        mean = conditioning.by_draw(likelihood.mean(), self.num_samples)
        return objectives.Terms(
            loss, tf.reduce_mean(nll, 0), kl, tf.reduce_mean(mean, 0), regularization
        )

    def _nll(self, targets: tf.Tensor, likelihood: tfd.Distribution) -> tf.Tensor:
        """Returns the loss given to `compile`, or -log p(x|z) if none was: [S, B], nats."""
        loss = getattr(self, "loss", None) or objectives.negative_log_likelihood
        targets = conditioning.repeat(targets, self.num_samples)
        pair = observed(targets, likelihood, self.data_spec)
        return tf.reshape(converted(loss)(*pair), [self.num_samples, -1])

    def _kl_of_draws(
        self, posterior: tfd.Distribution, latents: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Returns KL(q(z|x) || p(z)), [B]; an estimate uses the decoded draws where it may."""
        term = self.kl_regularizer
        shares_draws = self.num_samples > 1 or (term is not None and term.is_of_the_decoded_draw)
        draws = latents if shares_draws else None
        return converted(self.kl_divergence)(posterior, draws, estimators.fold_in(seed, 1))

    def _regularization(self, dtype: tf.DType) -> tf.Tensor:
        """Returns the sum of the losses that layers added in the last pass, but for the KL."""
        own = {id(loss) for loss in self._eager_losses}  # those of `call`
        losses = encoder_losses.without_kl_terms(self.losses, self.encoder)
        losses = [tf.cast(loss, dtype) for loss in losses if id(loss) not in own]
        return tf.add_n([tf.zeros([], dtype), *losses])

    @property
    def losses(self) -> list[tf.Tensor]:
        """The losses besides the nll: kl_weight * KL, and those that layers add.

        The KL is the one that `fit` trains on. With a prior given to this VAE, or a schedule as its
        weight, it belongs to the last `vae(images)`; else to the last pass of the encoder.
        `free_bits`, `target_rate` and the objectives "iwae" and "dreg" change more than one term of
        the loss: with them, train on `loss_terms(images).loss`.
        """
        losses = super().losses
        return encoder_losses.without_kl_terms(losses, self.encoder) if self._adds_kl else losses

    @property
    def _adds_kl(self) -> bool:
        """Whether the KL differs from the one that the encoder's own layer adds."""
        term = self.kl_regularizer
        return term is not None and (self._prior_is_given or is_schedule(term.weight))

    # Plain data

    def get_config(self) -> dict:
        """Returns the encoder, the decoder and a given prior as plain data."""
        serialize = tf_keras.layers.serialize  # knows both config formats of Keras
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        return {
            "name": self.name,
            **{name: serialize(network) for name, network in networks.items()},
            "input_shapes": {  # of subclassed networks, whose own config has none
                name: introspection.input_shape(name, network)
                for name, network in networks.items()
                if not network._is_graph_network
            },
            "kl": self._kl_regularizer.get_config() if self._prior_is_given else None,
            **self.settings,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "VAE":
        """Builds the VAE that `get_config` described, with new weights.

        Raises:
          ValueError: if the config is broken or, in safe mode, names what is not part of a VAE.
        """
        with safe_mode.guarding(config):
            encoder, decoder = (
                introspection.built(
                    tf_keras.layers.deserialize(config[name], custom_objects),
                    config.get("input_shapes", {}).get(name),
                )
                for name in ("encoder", "decoder")
            )
            kl = config.get("kl")
            prior = kl and KLDivergenceRegularizer.from_config(kl)
            settings = {name: config[name] for name in objectives.SETTINGS if name in config}
            return cls(encoder, decoder, prior=prior, name=config["name"], **settings)
