"""Paths through the latent space of a VAE, and anomaly scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfpvae import _checks
from tfpvae.distributions.observed import observed
from tfpvae.models import conditioning, estimators
from tfpvae.models.probabilistic import ProbabilisticMixin

_VALUES = tuple(np.linspace(-3.0, 3.0, 9).tolist())  # nearly all of a standard normal prior


class ExplorationMixin(ProbabilisticMixin):
    """Mixin of `VAE` that looks into its latent space, and scores how unusual images are."""

    def interpolate(
        self, first: Any, second: Any, num_steps: int = 9, labels: Any = None
    ) -> tf.Tensor:
        """Decodes the straight line between the codes of two images.

        A code is the mean of q(z|x). `figures.interpolation` draws the result.

        Args:
          first: the images at the start: one, [H, W, C], or N of them, [N, H, W, C]; float in
            [0, 1] or uint8.
          second: the images at the end, in the same form.
          num_steps: S, images on each line, with both ends, at least 2.
          labels: of a conditional VAE, whole numbers [N], or one for all images.

        Returns:
          Images in [0, 1], [S, H, W, C] of two images, [N, S, H, W, C] of N pairs.

        Raises:
          ValueError, TypeError: for invalid images, labels or numbers.

        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense", image_shape=(8, 8, 1))
        >>> black, white = np.zeros([8, 8, 1]), np.ones([8, 8, 1])
        >>> vae.interpolate(black, white, num_steps=5).shape
        TensorShape([5, 8, 8, 1])
        """
        _checks.whole_number("num_steps", num_steps, minimum=2)
        first, is_single = self._batch_of("first", first)
        second, _ = self._batch_of("second", second)
        if first.shape != second.shape:
            raise ValueError(f"second: wanted shape {first.shape} of first, got {second.shape}.")
        labels = conditioning.labels_of(self, labels, first)
        starts, ends = (self.encode(images, labels=labels) for images in (first, second))
        shares = tf.cast(tf.linspace(0.0, 1.0, num_steps), starts.dtype)[:, tf.newaxis]
        paths = starts[:, tf.newaxis] + shares * (ends - starts)[:, tf.newaxis]
        images = self._decode_paths(paths, labels)
        return images[0] if is_single else images

    def traverse(
        self,
        image: Any,
        values: Sequence[float] = _VALUES,
        dimensions: Sequence[int] | None = None,
        labels: Any = None,
    ) -> tf.Tensor:
        """Decodes the code of an image with one latent dimension at a time set to other values.

        The other dimensions keep the mean of q(z|x). `figures.traversal` draws the result
        (Higgins et al. 2017, figure 1).

        Args:
          image: one image, [H, W, C] or [1, H, W, C], float in [0, 1] or uint8.
          values: S values of a dimension; by default 9 from -3 to 3.
          dimensions: the indices of the dimensions, from 0; None for all, in their order.
          labels: the label of the image, for a conditional VAE.

        Returns:
          Images in [0, 1], [D, S, H, W, C], a row for each of the dimensions.

        Raises:
          ValueError, TypeError: for an invalid image, label, value or dimension.

        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense", image_shape=(8, 8, 1), latent_dim=3)
        >>> vae.traverse(np.zeros([8, 8, 1]), values=[-2, 0, 2], dimensions=[0, 2]).shape
        TensorShape([2, 3, 8, 8, 1])
        """
        image, _ = self._batch_of("image", image)
        if len(image) != 1:
            raise ValueError(f"image: wanted one image, got {len(image)}.")
        steps = np.asarray(values)
        is_numeric = steps.ndim == 1 and steps.size > 0 and steps.dtype.kind in "iuf"
        if not is_numeric or not np.isfinite(steps).all():
            raise ValueError(f"values: wanted finite numbers [S], got {values!r}.")
        labels = conditioning.labels_of(self, labels, image)
        code = self.encode(image, labels=labels).numpy()[0]
        rows = range(len(code)) if dimensions is None else list(dimensions)
        if not len(rows) or not all(row in range(len(code)) for row in rows):
            raise ValueError(
                f"dimensions: wanted whole numbers from 0 to {len(code) - 1}, got {dimensions!r}."
            )
        paths = np.tile(code, [len(rows), len(steps), 1])
        for path, row in zip(paths, rows, strict=True):
            path[:, row] = steps
        labels = None if labels is None else tf.repeat(labels, len(rows))
        return self._decode_paths(tf.constant(paths), labels)

    def anomaly_score(
        self,
        images: Any,
        num_samples: int = 10,
        seed: Any = None,
        labels: Any = None,
    ) -> tf.Tensor:
        """Computes how unusual each image is for this VAE: the higher, the more.

        The score is the negative `elbo`, an upper bound in expectation on -log p(x); of a plain
        autoencoder, -log p(x|z) at the code of the image (An and Cho 2015, section 4). A threshold
        is a quantile of the scores of normal images that the VAE was not trained on.

        Args:
          images: [B, H, W, C], float in [0, 1] or uint8.
          num_samples: draws of z per image, at least 1; a plain autoencoder draws none.
          seed: an int or a pair of ints, or None for new draws each time.
          labels: of a conditional VAE, whole numbers [B], or one for all images.

        Returns:
          [B], nats.

        Raises:
          ValueError, TypeError: for invalid images, labels or numbers.

        >>> import tfpvae
        >>> vae = tfpvae.build_vae("dense", image_shape=(8, 8, 1))
        >>> vae.anomaly_score(np.zeros([5, 8, 8, 1]), seed=0).shape
        TensorShape([5])
        """
        if self.prior is not None:
            return -self.elbo(images, num_samples, seed, labels)
        images, _ = self._batch_of("images", images)
        labels = conditioning.labels_of(self, labels, images)
        targets = estimators.preprocess(self, images, _checks.seed(seed))
        scores = []
        for chunk in estimators.chunks(conditioning.join(targets, labels), size=128):
            part, classes = conditioning.split(chunk)
            codes = conditioning.join(self.encoder(chunk).mean(), classes)
            values, likelihood = observed(part, self.decoder(codes), self.data_spec)
            scores.append(-likelihood.log_prob(values))
        return tf.concat(scores, axis=0)

    def _batch_of(self, argument: str, images: Any) -> tuple[tf.Tensor, bool]:
        """Returns checked images as a batch, and whether they were a single image."""
        images = _checks.as_tensor(argument, images)
        is_single = images.shape == self.event_shape
        images = images[tf.newaxis] if is_single else images
        _checks.array(argument, images, self.data_spec)
        return images, is_single

    def _decode_paths(self, paths: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """Returns the images of codes [N, S, D], as [N, S, H, W, C], for labels [N] or None."""
        count, steps, size = paths.shape
        labels = None if labels is None else tf.repeat(labels, steps)
        images = self.decode(tf.reshape(paths, [-1, size]), labels=labels)
        return tf.reshape(images, [count, steps, *images.shape[1:]])
