"""What a trained VAE answers: samples, reconstructions, bounds on log p(x)."""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.models import conditioning, estimators, introspection

tfd = tfp.distributions

_BATCH_SIZE = 128  # with Keras' 32 a small network takes twice the time, with more no less


class Answers(tf_keras.Model):
    """What `VAE` answers; it has the parts that are asked: encoder, decoder, prior, KL term."""

    def kl_divergence(self, posterior: tfd.Distribution, latents=None, seed=None) -> tf.Tensor:
        """Returns KL(q(z|x) || p(z)) of each image, [B], nats: 0 for a plain autoencoder.

        Args:
          posterior: q(z|x), as `encoder` gives it.
          latents: draws of it, [S, B, D], to estimate on where the KL is not exact.
          seed: of the draws of the KL term's own, where it has some.
        """
        if self._kl is None:
            return tf.zeros(posterior.batch_shape_tensor(), posterior.dtype)
        return self._kl.kl_divergence(posterior, latents, seed)

    def sample(self, num_samples: int, seed: Any = None, labels: Any = None) -> tf.Tensor:
        """Returns images from the prior: the mean of p(x|z) at z ~ p(z).

        For draws of the pixels as well: `vae.decoder(vae.prior.sample(num_samples)).sample()`.

        Args:
          num_samples: S, at least 1.
          seed: None for new draws each time, else an int or two of them.
          labels: of a conditional VAE, which knows nothing of how often its classes come: whole
            numbers [S], or one for all.

        Returns:
          Images [S, H, W, C] in [0, 1].

        Raises:
          ValueError: for a plain autoencoder, which has no prior.
          ValueError, TypeError: for labels that are missing, wrong or not wanted.
        """
        self._wants_prior("sample")
        num_samples = _checks.whole_number("num_samples", num_samples)
        latents = self.prior.sample(num_samples, seed=_checks.seed(seed))
        labels = conditioning.labels_of(self, labels, latents)
        return estimators.decode(self, conditioning.join(latents, labels))

    def reconstruct(
        self, images: Any, batch_size: int | None = None, labels: Any = None
    ) -> tf.Tensor:
        """Returns the mean of p(x|z) at z, the mean of q(z|x).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8, or a tf.data.Dataset of them; for a
            conditional VAE one of (images, labels).
          batch_size: images at a time; None for 128 of an array.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          Images [B, H, W, C] in [0, 1].
        """
        images = _checks.as_dense("images", images)
        if _checks.is_array(images):
            _checks.array("images", images, self.image_shape)
            images = conditioning.join(images, conditioning.labels_of(self, labels, images))
            if tf.is_symbolic_tensor(conditioning.split(images)[0]):
                return estimators.reconstruct(self, images)
            batch_size = batch_size or _BATCH_SIZE
        elif labels is not None:
            raise ValueError(f"labels: wanted none beside batches that have them, got {labels!r}.")
        return tf.convert_to_tensor(self.predict(images, batch_size=batch_size, verbose=0))

    def elbo(
        self, images: Any, num_samples: int = 1, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Returns the evidence lower bound of each image, log p(x|z) - KL(q(z|x) || p(z)).

        log p(x|z) is the mean over draws z ~ q(z|x); the KL is the encoder's: exact, or estimated
        on the same draws. kl_weight plays no part.

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: draws of z an image.
          seed: None for new draws each time, else an int or two of them.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], nats.

        Raises:
          ValueError: for a plain autoencoder, whose posterior has no density.
          ValueError, TypeError: for images, labels or numbers that are wrong.
        """

        return estimators.elbo(self, *self._scoring("elbo", images, num_samples, seed, labels))

    def log_likelihood(
        self, images: Any, num_samples: int = 1000, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Returns the importance-weighted estimate of log p(x) of each image.

        log 1/S sum_s p(x|z_s) p(z_s) / q(z_s|x), z_s ~ q(z|x): a lower bound in expectation that
        rises with S (Burda, Grosse and Salakhutdinov 2016, equation 8).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: S, draws of z an image.
          seed: None for new draws each time, else an int or two of them.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], nats.

        Raises:
          ValueError: for a plain autoencoder, whose posterior has no density.
          ValueError, TypeError: for images, labels or numbers that are wrong.
        """

        arguments = self._scoring("log_likelihood", images, num_samples, seed, labels)
        return estimators.log_likelihood(self, *arguments)

    def bits_per_dim(
        self, images: Any, num_samples: int = 1000, seed: Any = None, labels: Any = None
    ) -> tf.Tensor:
        """Returns -log2 P(x) of each image over the number of its values, for 8-bit pixels.

        log P(x) is `log_likelihood`, so what comes back is an upper bound in expectation. A density
        of dequantized pixels bounds the mass of their level: log P(x) >= E_u log p(x + u) - H * W *
        C * log 256 (Theis, van den Oord and Bethge 2016, equation 5).

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: S, draws of z an image.
          seed: None for new draws each time, else an int or two of them.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], bits.

        Raises:
          ValueError: where it means nothing: for a Bernoulli, whose pixels have no levels, and for
            a density of pixels that are not dequantized, which has no bound.
        """
        bits_of_a_level = introspection.bits_of_a_level(self)
        values = math.prod(self.image_shape) * math.log(2)
        return bits_of_a_level - self.log_likelihood(images, num_samples, seed, labels) / values

    def _wants_prior(self, method: str) -> None:
        if self.prior is None:
            raise ValueError(
                f"{method}: wanted a VAE with a prior, got a plain autoencoder: its posterior is "
                "deterministic. Decode codes of your choice with vae.decoder(codes)."
            )

    def _scoring(
        self, method: str, images: Any, num_samples: Any, seed: Any, labels: Any = None
    ) -> tuple:
        self._wants_prior(method)
        _checks.weights_of_floatx(self)
        images = _checks.as_tensor("images", images)
        _checks.array("images", images, self.image_shape)
        num_samples, seed = _checks.whole_number("num_samples", num_samples), _checks.seed(seed)
        labels = conditioning.labels_of(self, labels, images)
        given = conditioning.join(estimators.pixels(self, images, seed), labels)
        return given, num_samples, seed
