"""Codes, samples, reconstructions and bounds on log p(x) of a VAE."""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae._checks import DataSpec
from tfpvae.layers.kl_regularizer import KLDivergenceRegularizer
from tfpvae.models import conditioning, estimators, introspection

tfd = tfp.distributions

_BATCH_SIZE = 128  # Keras' 32 takes a small network twice the time; more than 128 gains nothing


class ProbabilisticMixin(tf_keras.Model):
    """Mixin of `VAE` with the methods of a probabilistic model.

    Attributes:
      encoder: q(z|x).
      decoder: p(x|z).
      prior: p(z), or None for a plain autoencoder.
      kl_regularizer: the KL term of the loss, or None.
      data_spec: the shape and the values of the examples.
      num_classes: of a conditional VAE; else None.
    """

    encoder: tf_keras.Model
    decoder: tf_keras.Model
    prior: Any
    kl_regularizer: KLDivergenceRegularizer | None
    data_spec: DataSpec
    num_classes: int | None

    def kl_divergence(
        self, posterior: tfd.Distribution, latents: tf.Tensor | None = None, seed: Any = None
    ) -> tf.Tensor:
        """Computes KL(q(z|x) || p(z)) of each image; 0 for a plain autoencoder.

        Args:
          posterior: q(z|x), as `encoder` returns it.
          latents: draws from it, [S, B, D], for an estimate where there is no closed form.
          seed: of the draws of the KL term itself, where it has any.

        Returns:
          [B], nats.
        """
        if self.kl_regularizer is None:
            return tf.zeros(posterior.batch_shape_tensor(), posterior.dtype)
        return self.kl_regularizer.kl_divergence(posterior, latents, seed)

    def encode(self, images: Any, batch_size: int | None = None, labels: Any = None) -> tf.Tensor:
        """Computes the mean of q(z|x) of each image.

        Args:
          images: [N, H, W, C], float in [0, 1] or uint8, or a tf.data.Dataset of batches of them;
            for a conditional VAE of (images, labels).
          batch_size: images per pass of the encoder; None for as many as fit in memory.
          labels: of a conditional VAE, whole numbers [N], or one for all images.

        Returns:
          Latents [N, D].

        Raises:
          ValueError, TypeError: for invalid images or labels.

        >>> import numpy as np
        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense")
        >>> latents = vae.encode(np.zeros([5, 28, 28, 1], np.uint8))
        >>> latents.shape, vae.decode(latents).shape
        (TensorShape([5, 2]), TensorShape([5, 28, 28, 1]))
        """
        if isinstance(images, tf.data.Dataset):
            _no_labels(labels)
            batches = (conditioning.unpacked(batch, self.num_classes) for batch in images)
            codes = [self.encode(part, batch_size, classes) for part, classes, _, _ in batches]
            return tf.concat(codes, axis=0)
        inputs = self._inputs(images, labels)
        return estimators.encode(self, inputs, _size("batch_size", batch_size))

    def decode(self, latents: Any, batch_size: int | None = None, labels: Any = None) -> tf.Tensor:
        """Computes the mean of p(x|z) of each latent.

        Args:
          latents: [N, D], or [D] for one image.
          batch_size: latents per pass of the decoder; None for as many as fit in memory.
          labels: of a conditional VAE, whole numbers [N], or one for all latents.

        Returns:
          Images [N, H, W, C] in [0, 1].

        Raises:
          ValueError, TypeError: for invalid latents or labels.
        """
        latents = tf.cast(_checks.as_tensor("latents", latents), tf_keras.backend.floatx())
        latent_dim = introspection.input_shape("decoder", self.decoder)[0]
        if latents.shape.rank not in (1, 2) or latents.shape[-1] != latent_dim:
            raise ValueError(
                f"latents: wanted shape [N, {latent_dim}], got {tuple(latents.shape)}."
            )
        if not tf.is_symbolic_tensor(latents) and not tf.reduce_all(tf.math.is_finite(latents)):
            raise ValueError("latents: wanted finite numbers, got some that are not finite.")
        latents = tf.reshape(latents, [-1, latent_dim])
        labels = conditioning.labels_of(self, labels, latents)
        inputs = conditioning.join(latents, labels)
        return estimators.decode(self, inputs, _size("batch_size", batch_size))

    def sample(self, num_samples: int, seed: Any = None, labels: Any = None) -> tf.Tensor:
        """Draws images from the prior: the mean of p(x|z) at z ~ p(z).

        To draw the pixels as well: `vae.decoder(vae.prior.sample(num_samples)).sample()`.

        Args:
          num_samples: S, at least 1.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, which does not model the frequency of its classes: whole
            numbers [S], or one for all.

        Returns:
          Images [S, H, W, C] in [0, 1].

        Raises:
          ValueError: for a plain autoencoder, which has no prior.
          ValueError, TypeError: for labels that are missing, wrong or not expected.
        """
        self.check_prior("sample")
        num_samples = _checks.whole_number("num_samples", num_samples)
        latents = self.prior.sample(num_samples, seed=_checks.seed(seed))
        labels = conditioning.labels_of(self, labels, latents)
        return estimators.decode(self, conditioning.join(latents, labels))

    def reconstruct(
        self, images: Any, batch_size: int | None = None, labels: Any = None
    ) -> tf.Tensor:
        """Computes the mean of p(x|z) at z, the mean of q(z|x).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8, or a tf.data.Dataset of batches of them;
            for a conditional VAE of (images, labels).
          batch_size: images at a time; None for 128 of an array.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          Images [B, H, W, C] in [0, 1].

        Raises:
          ValueError, TypeError: for invalid images or labels.
        """
        images = _checks.as_dense("images", images)
        if _checks.is_array(images):
            images = self._inputs(images, labels)
            if tf.is_symbolic_tensor(conditioning.split(images)[0]):
                return estimators.reconstruct(self, images)
            batch_size = batch_size or _BATCH_SIZE
        else:
            _no_labels(labels)
            _checks.examples("images", images, self.data_spec, self.num_classes)
        return tf.convert_to_tensor(self.predict(images, batch_size=batch_size, verbose=0))

    def elbo(
        self, images: Any, num_samples: int = 1, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Computes the evidence lower bound of each image, log p(x|z) - KL(q(z|x) || p(z)).

        log p(x|z) is the mean over draws z ~ q(z|x). The KL is that of the encoder, in closed form
        or estimated on the same draws. kl_weight plays no part.

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: draws of z per image, at least 1.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], nats.

        Raises:
          ValueError: for a plain autoencoder, whose posterior has no density.
          ValueError, TypeError: for invalid images, labels or numbers.
        """
        inputs, num_samples, seed = self.scoring_arguments(
            "elbo", images, num_samples, seed, labels
        )
        return estimators.elbo(self, inputs, num_samples, seed)

    def log_likelihood(
        self, images: Any, num_samples: int = 1000, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Computes the importance-weighted estimate of log p(x) of each image.

        log 1/S sum_s p(x|z_s) p(z_s) / q(z_s|x),  z_s ~ q(z|x)

        is a lower bound in expectation that rises with S (Burda, Grosse and Salakhutdinov 2016,
        equation 8).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: S, draws of z per image, at least 1.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], nats.

        Raises:
          ValueError: for a plain autoencoder, whose posterior has no density.
          ValueError, TypeError: for invalid images, labels or numbers.
        """
        inputs, num_samples, seed = self.scoring_arguments(
            "log_likelihood", images, num_samples, seed, labels
        )
        return estimators.log_likelihood(self, inputs, num_samples, seed)

    def bits_per_dim(
        self, images: Any, num_samples: int = 1000, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Computes -log2 P(x) of each image over its number of values, for 8-bit pixels.

        log P(x) is `log_likelihood`, so that the result is an upper bound in expectation. A density
        of dequantized pixels bounds the mass of their level: log P(x) >= E_u log p(x + u) - H * W *
        C * log 256 (Theis, van den Oord and Bethge 2016, equation 5).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: S, draws of z per image, at least 1.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], bits.

        Raises:
          ValueError: for a Bernoulli likelihood, whose pixels have no levels, and for a density of
            pixels that are not dequantized, which has no bound.
        """
        bits_of_a_level = introspection.bits_of_a_level(self)
        values = math.prod(self.data_spec.shape) * math.log(2)
        return bits_of_a_level - self.log_likelihood(images, num_samples, seed, labels) / values

    def impute(
        self, images: Any, num_samples: int = 1000, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Fills in missing values by their mean given the observed ones.

        sum_s w_s E[x|z_s],  w_s proportional to p(x_observed|z_s) p(z_s) / q(z_s|x),  z_s ~ q(z|x)

        is E[x_missing | x_observed] as S grows (Mattei and Frellsen 2019, equation 12).

        Args:
          images: images or other examples [B, ...], NaN where a value is missing.
          num_samples: S, draws of z per example, at least 1.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, whole numbers [B], or one for all.

        Returns:
          The examples [B, ...] as floats, with what was observed unchanged.

        Raises:
          ValueError: for a VAE that does not take missing values.
          ValueError, TypeError: for invalid examples, labels or numbers.

        >>> import numpy as np
        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense", event_shape=(3,), likelihood="normal", missing="mask")
        >>> vae.impute(np.array([[0.5, np.nan, 1.0]]), seed=0).shape
        TensorShape([1, 3])
        """
        if not self.data_spec.allows_missing:
            raise ValueError("impute: wanted a VAE with missing='mask', got one with missing=None.")
        inputs, num_samples, seed = self.scoring_arguments(
            "impute", images, num_samples, seed, labels
        )
        return estimators.impute(self, inputs, num_samples, seed)

    def scoring_arguments(
        self, method: str, images: Any, num_samples: Any, seed: Any, labels: Any = None
    ) -> tuple[Any, int, tf.Tensor]:
        """Checks the arguments of a method that scores images, and converts them for `estimators`.

        Args:
          method: the name of the method, for the message.
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: draws of z per image.
          seed: an int or a pair of ints, or None.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          The inputs of the encoder (images, or [images, labels]), num_samples, and an int32 [2].

        Raises:
          ValueError, TypeError: naming the argument.
        """
        self.check_prior(method)
        _checks.weights_of_floatx(self)
        images = _checks.as_tensor("images", images)
        _checks.array("images", images, self.data_spec)
        num_samples, seed = _checks.whole_number("num_samples", num_samples), _checks.seed(seed)
        labels = conditioning.labels_of(self, labels, images)
        inputs = conditioning.join(estimators.preprocess(self, images, seed), labels)
        return inputs, num_samples, seed

    def _inputs(self, images: Any, labels: Any) -> Any:
        """Returns the checked inputs of the encoder: images, or [images, labels]."""
        images = _checks.as_dense("images", images)
        _checks.examples("images", images, self.data_spec)
        return conditioning.join(images, conditioning.labels_of(self, labels, images))

    def check_prior(self, method: str) -> None:
        """Checks that this VAE has a prior.

        Raises:
          ValueError: for a plain autoencoder, naming the method that needs a prior.
        """
        if self.prior is None:
            raise ValueError(
                f"{method}: wanted a VAE with a prior, got a plain autoencoder: its posterior is "
                "deterministic. Decode codes of your choice with vae.decode(codes)."
            )


def _no_labels(labels: Any) -> None:
    if labels is not None:
        raise ValueError(f"labels: wanted none beside batches that have them, got {labels!r}.")


def _size(argument: str, size: int | None) -> int | None:
    return None if size is None else _checks.whole_number(argument, size)
