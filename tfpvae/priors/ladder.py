"""The prior of a ladder: groups of latents, each conditional on those above it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfpvae import _checks
from tfpvae.distributions.ladder import Walk, descend, reshaped, walk_at
from tfpvae.priors.base import DelegatingPrior
from tfpvae.saving import serialization

tfd = tfp.distributions


@serialization.register("tfpvae.Ladder")
class Ladder(DelegatingPrior):
    """p(z) = p(z_0) prod_i p(z_i | z_<i), with normals below the top group.

    The path, the network of p(z_i | z_<i), is that of a posterior `tfpvae.layers.Ladder`, whose
    weights it is made of: the layer binds a prior that is part of its KL term, and a `VAE` one that
    it is given. Until then it has neither a density nor samples. Its own variables are those of the
    top group's prior.

    Args:
      latent_dim: D, of all groups together, at least 2.
      top: p(z_0), a `tfd.Distribution` over the top group; a `VampPrior` is the mixture of
        q(z_0|u_k), as the two-level VAE of Tomczak and Welling 2018, section 4.
      dtype: "float32" or "float64"; None for that of the top.
      name: of the distribution.

    Raises:
      TypeError, ValueError: for a top that is no distribution over fewer than latent_dim numbers.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", posterior="ladder", latent_dim=5, prior="flow")
    >>> vae.prior.top.event_shape, vae.prior.sample(3).shape
    (TensorShape([2]), TensorShape([3, 5]))
    """

    def __init__(
        self,
        latent_dim: int,
        top: tfd.Distribution,
        dtype: str | None = None,
        name: str = "Ladder",
    ):
        parameters = dict(locals())
        latent_dim = _checks.whole_number("latent_dim", latent_dim, minimum=2)
        if not isinstance(top, tfd.Distribution):
            raise TypeError(f"top: wanted a tfd.Distribution, got {top!r}.")
        if not (top.batch_shape == [] and top.event_shape.rank == 1):
            raise ValueError(
                "top: wanted one distribution over vectors, got batch shape "
                f"{top.batch_shape} and event shape {top.event_shape}."
            )
        self.top = top
        self._path: Callable | None = None
        dtype = tf.as_dtype(dtype or top.dtype).name
        super().__init__(latent_dim, dtype, top.reparameterization_type, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # the shape of the top would make no batch

    @property
    def path(self) -> Any:
        """The network of p(z_i | z_<i), a `tfpvae.networks.ladder.LadderPath`.

        Raises:
          ValueError: for a prior that is not bound to one.
        """
        if self._path is None:
            raise ValueError(
                "prior: wanted a Ladder that is bound to a posterior layer, got one that is not "
                "yet. build_encoder binds it, and VAE(encoder, decoder, prior=prior) does."
            )
        return self._path()

    def bind(self, path: Any) -> None:
        """Makes the prior that of a path; posterior layers and `VAE` do so.

        Raises:
          ValueError: for a path of other sizes, or a second path.
        """
        sizes = [self.top.event_shape[0], self._latent_dim]
        if [path.sizes[0], sum(path.sizes)] != sizes:
            raise ValueError(
                f"prior: wanted a Ladder of {sum(path.sizes)} latents, {path.sizes[0]} of them in "
                f"the top group, got one of {sizes[1]} with {sizes[0]}."
            )
        if self._path is not None and self._path() is not path:
            raise ValueError(
                "prior: wanted a Ladder of this encoder, got one that is bound to the posterior "
                "layer of another. Each encoder needs its own."
            )
        # A function hides the path from tf.Module, which would count its weights as ours.
        self._path = lambda: path

    def walk(self, z: tf.Tensor) -> Walk:
        """Returns the pass through the groups at latents [..., D]."""
        return walk_at(self.path, z)

    def _log_prob(self, z):
        walk = self.walk(z)
        below = zip(walk.priors, walk.latents[1:], strict=True)
        parts = [normal.log_prob(latents) for normal, latents in below]
        return reshaped(tf.add_n([self.top.log_prob(walk.latents[0]), *parts]), z)

    def _sample_n(self, n, seed=None):
        seeds = tfp.random.split_seed(seed, n=len(self.path.sizes), salt="Ladder")

        def choose(i: int, normal: Any) -> tf.Tensor:
            return self.top.sample(n, seed=seeds[0]) if i == 0 else normal.sample(seed=seeds[i])

        return tf.concat(descend(self.path, choose).latents, axis=-1)

    def _mean(self):
        def choose(i: int, normal: Any) -> tf.Tensor:
            return self.top.mean()[tf.newaxis] if i == 0 else normal.mean()

        return tf.concat(descend(self.path, choose).latents, axis=-1)[0]

    def _variance(self):
        raise NotImplementedError("No closed form of the variance of a Ladder is known.")
