"""A prior that is made of the encoder: a mixture of its posteriors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae import _checks
from tfpvae.distributions import normal_mixture
from tfpvae.priors.base import DelegatingPrior
from tfpvae.saving import serialization

tfd = tfp.distributions


@serialization.register("tfpvae.VampPrior")
class VampPrior(DelegatingPrior):
    """The mixture of the posteriors of K learned images, p(z) = 1/K sum_k q(z|u_k).

    The variational mixture of posteriors (Tomczak and Welling 2018, equation 9). The
    pseudo-inputs u_k stay in the range of the data: a `tf_keras` optimizer projects them there
    after each step. The encoder of the pseudo-inputs runs in inference mode, so that batch
    normalization and dropout are not affected by them.

    A `VAE` binds the prior to its encoder: `VAE(encoder, decoder, prior=VampPrior(...))`, with the
    encoder of `build_encoder(..., prior=None)`. Until then it has neither a density nor samples.
    The variables of the encoder are not variables of the prior.

    Args:
      latent_dim: D, at least 1.
      image_shape: (height, width, channels) of the encoder's images, or the shape of an example of
        other data.
      num_components: K, at least 1. The paper has 500; a density costs the encoding of K images.
      start_images: training images [N, H, W, C], float in [0, 1] or uint8, N at least K, of which
        K start the pseudo-inputs; None for noise.
      seed: integer >= 0 for the choice of images, or for the noise.
      dtype: "float32" or "float64"; None for Keras' floatx.
      name: name of the distribution.

    Raises:
      ValueError, TypeError: for an argument out of range, or too few images.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", prior=VampPrior(2, (28, 28, 1), num_components=3))
    >>> vae.prior.log_prob(tf.zeros([5, 2])).shape, vae.prior.pseudo_inputs.shape
    (TensorShape([5]), TensorShape([3, 28, 28, 1]))
    """

    def __init__(
        self,
        latent_dim: int,
        image_shape: tuple[int, ...],
        num_components: int = 50,
        start_images: Any = None,
        seed: int = 0,
        dtype: str | None = None,
        name: str = "VampPrior",
    ):
        # Not saved with the arguments: the pseudo-inputs are among the weights of the model.
        parameters = dict(locals()) | {"start_images": None}
        dtype = tf.as_dtype(dtype or tf_keras.backend.floatx()).name
        latent_dim = _checks.whole_number("latent_dim", latent_dim)
        shape = (
            _checks.whole_number("num_components", num_components),
            *_checks.event_shape("image_shape", image_shape),
        )
        rng = np.random.default_rng(_checks.whole_number("seed", seed, minimum=0))
        if start_images is None:
            start = rng.uniform(size=shape)
        else:
            images = np.asarray(_checks.as_dense("start_images", start_images))
            start = _choose(images, shape, rng)
        self._pseudo_inputs = tf.Variable(
            start, dtype=dtype, constraint=self._projected, name="pseudo_inputs"
        )
        self._support = _checks.UNIT_INTERVAL
        self._encoder: Callable | None = None
        super().__init__(latent_dim, dtype, tfd.NOT_REPARAMETERIZED, parameters, name)

    @property
    def pseudo_inputs(self) -> tf.Variable:
        """The pseudo-inputs u_k, [K, H, W, C]."""
        return self._pseudo_inputs

    def bind(
        self, encoder: tf_keras.Model, support: _checks.Support = _checks.UNIT_INTERVAL
    ) -> None:
        """Sets the encoder, images -> q(z|x), whose posteriors are mixed; `VAE` does so.

        Args:
          encoder: of the VAE.
          support: the values of its data.

        Raises:
          ValueError: if the prior is bound to another encoder.
        """
        if self._encoder is not None and self._encoder() is not encoder:
            raise ValueError(
                "prior: wanted a VampPrior of this encoder, got one that is bound to the encoder "
                "of another VAE. Each VAE needs its own."
            )
        # A function hides the encoder's variables from tf.Module.
        self._encoder = lambda: encoder
        self._support = support

    def _projected(self, pseudo_inputs: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(pseudo_inputs, self._support.low, self._support.high)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # no argument is a tensor that could have a batch shape

    def _delegate(self) -> tfd.Distribution:
        if self._encoder is None:
            raise ValueError(
                "prior: wanted a VampPrior that is bound to an encoder, got one that is not yet. "
                "VAE(encoder, decoder, prior=prior) binds it, and build_vae does."
            )
        posteriors = self._encoder()(self._pseudo_inputs, training=False)
        posteriors = getattr(posteriors, "tensor_distribution", posteriors)
        posteriors = getattr(posteriors, "top", posteriors)  # the first group of a ladder
        logits = tf.zeros(self._pseudo_inputs.shape[:1], self.dtype)
        return normal_mixture.mixture(logits, posteriors)


def _choose(images: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draws shape[0] of the images without replacement, float; those of uint8 in [0, 1]."""
    support = _checks.UNIT_INTERVAL if len(shape) == 4 else _checks.REAL
    _checks.array("start_images", images, _checks.DataSpec(shape[1:], support))
    if len(images) < shape[0]:
        raise ValueError(
            f"start_images: wanted at least num_components, {shape[0]} images, got {len(images)}: "
            "pseudo-inputs that start alike stay alike."
        )
    chosen = images[np.sort(rng.choice(len(images), shape[0], replace=False))]
    return chosen / 255 if chosen.dtype == np.uint8 else chosen
