"""The settings, networks and KL term of a VAE, which are fixed when it is built."""

from typing import Any

import tf_keras

from tfpvae.models import objectives

_NETWORKS = ("encoder", "decoder")
# Inferred from the networks.
_INFERRED = ("image_shape", "event_shape", "num_classes")
_KL = ("prior", "kl_weight", "kl_regularizer")
_FIXED = (*_NETWORKS, *_INFERRED, *_KL, *objectives.SETTINGS)


class SettingsMixin(tf_keras.Model):
    """Mixin of `VAE` that refuses to replace its settings, networks and KL term.

    Functions that are traced already would keep the old ones.
    """

    _prior_is_given = False

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of this VAE that define its objective, by name."""
        return {name: getattr(self, name) for name in objectives.SETTINGS}

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = getattr(type(self), name, None)
        if isinstance(attribute, property):
            may_be_set = attribute.fset is not None  # of a subclass
        else:
            may_be_set = vars(self).get(name, value) is value
        if name in _FIXED and not may_be_set:
            raise AttributeError(
                f"{name}: wanted no change of a VAE that is built, got {value!r}. {self._fix(name)}"
            )
        super().__setattr__(name, value)

    def _fix(self, name: str) -> str:
        """Returns the sentence that says how to get a VAE with another value of an attribute."""
        if name == "kl_weight":
            return "Give build_vae a kl_weight that is a schedule, or build another VAE."
        if name in _INFERRED:
            return "It follows from the networks of a VAE."
        if name in _NETWORKS:
            return "Build another VAE: tfpvae.VAE(encoder, decoder)."
        name = "prior" if name == "kl_regularizer" else name
        term = ", vae.kl_regularizer" if self._prior_is_given and name != "prior" else ""
        networks = "tfpvae.VAE(vae.encoder, vae.decoder"
        return f"Build another VAE of the same networks: {networks}{term}, {name}=...)."
