"""A VAE in one line, as a table of HTML, and as facts for its model card."""

from __future__ import annotations

import html
import platform
import sys
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfpvae.models import conditioning
from tfpvae.networks import structure

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

# The settings of a VAE, and the values that need no mention.
_DEFAULTS = {
    "num_classes": None,
    "objective": "elbo",
    "num_samples": 1,
    "free_bits": 0.0,
    "target_rate": None,
    "dequantize": False,
    "missing": None,
    "kl_weight": 1.0,
}


def one_line(vae: VAE) -> str:
    """Returns the line that `repr` shows of a VAE.

    >>> import tfpvae
    >>> print(one_line(tfpvae.build_vae("dense", image_shape=(8, 8, 1), kl_weight=0.5)))
    <VAE 'dense': images [8, 8, 1], latent_dim 2, ...>
    """
    texts = [f"{name} {value}" for name, value in _parts(vae).items()]
    parameters = f"{vae.count_params():,} parameters"
    return f"<{type(vae).__name__} {vae.name!r}: {', '.join([*texts, parameters])}>"


def table(vae: VAE) -> str:
    """Returns the table that a notebook shows of a VAE, as HTML."""
    rows = {**_parts(vae), "parameters": f"{vae.count_params():,}"}
    cells = "".join(
        f"<tr><th style='text-align: left'>{html.escape(name)}</th>"
        f"<td style='text-align: left'>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    title = f"{type(vae).__name__} {vae.name!r}"
    return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"


def facts(vae: VAE) -> dict[str, dict[str, Any]]:
    """Returns what a model card says of a VAE: the model, its training, and versions.

    >>> import tfpvae
    >>> sections = facts(tfpvae.build_vae("dense", image_shape=(8, 8, 1)))
    >>> sections["Model"]["likelihood"], sections["Training"]
    ('IndependentBernoulli', {})
    """
    is_conditional = "conditional " if vae.num_classes is not None else ""
    kind = "plain autoencoder" if vae.prior is None else f"{is_conditional}variational autoencoder"
    parameters = {"parameters": f"{vae.count_params():,}"}
    modules = {"tensorflow": tf, "tensorflow_probability": tfp, "tf_keras": tf_keras}
    versions = {name: module.__version__ for name, module in modules.items()}
    # Imported by now, and above this module in the order of imports.
    own = {"tfpvae": sys.modules["tfpvae"].__version__, "python": platform.python_version()}
    return {
        "Model": {"kind": f"A {kind}", "name": vae.name, **_parts(vae), **parameters},
        "Training": _training(vae),
        "Versions": own | versions,
    }


def _training(vae: VAE) -> dict[str, str]:
    """Returns the optimizer and its steps, and the last losses of `fit` in this process."""
    optimizer = getattr(vae, "optimizer", None)
    if optimizer is None or not int(optimizer.iterations.numpy()):
        return {}  # not trained, or made of a trained one, as by ex_post.fit_prior
    rows = {
        "optimizer": _optimizer(optimizer),
        "steps": f"{int(optimizer.iterations.numpy()):,}",
    }
    history = getattr(vae, "last_fit", None)
    if history is not None and history.epoch:
        names = [name for name in history.history if not name.endswith("elbo")]
        last = ", ".join(f"{name} {history.history[name][-1]:.2f}" for name in names)
        rows[f"epoch {history.epoch[-1] + 1}"] = f"{last} (nats per image)"
    return rows


def _optimizer(optimizer: tf_keras.optimizers.Optimizer) -> str:
    """Returns the name and the rate of an optimizer, or of the one whose loss is scaled."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    name, rate = type(optimizer).__name__, optimizer.get_config().get("learning_rate")
    if rate is None:  # a custom optimizer may have none
        return name
    text = rate["class_name"] if isinstance(rate, dict) else f"{float(rate):g}"
    return f"{name}, learning rate {text}"


def _parts(vae: VAE) -> dict[str, str]:
    """Returns what a VAE is made of, by name; a setting that has its default value is left out."""
    settings = {name: getattr(vae, name) for name in _DEFAULTS}
    settings["kl_weight"] = round(float(settings["kl_weight"]), 6)
    return {
        vae.data_spec.noun: str([*vae.event_shape]),
        "latent_dim": str(_latent_dim(vae)),
        "posterior": _last_layer(vae.encoder),
        "prior": _prior(vae),
        "likelihood": _last_layer(vae.decoder),
        **{name: str(value) for name, value in settings.items() if value != _DEFAULTS[name]},
    }


def _latent_dim(vae: VAE) -> int:
    blank = conditioning.blank(vae.image_shape, vae.num_classes)
    distribution = vae.prior or vae.encoder(blank)  # a plain autoencoder has no prior
    return int(distribution.event_shape[-1])


def _last_layer(network: tf_keras.Model) -> str:
    """Returns the class of the layer that makes the distribution, or of the network itself."""
    layers = structure.distribution_layers(network)
    return type(layers[-1] if layers else network).__name__


def _prior(vae: VAE) -> str:
    if vae.prior is None:
        return "none"
    return vae.prior.name + (" (trainable)" if vae.prior.trainable_variables else "")


class DescriptionMixin(tf_keras.Model):
    """Mixin of `VAE` with what a prompt and a notebook show of it."""

    def __repr__(self) -> str:
        return one_line(self) if self.built else super().__repr__()

    def _repr_html_(self) -> str:
        return table(self)

    def summary(self, *args, expand_nested: bool = True, **kwargs) -> None:
        """Prints the VAE in a line, then its layers; as `tf_keras.Model.summary`."""
        (kwargs.get("print_fn") or print)(repr(self))
        super().summary(*args, expand_nested=expand_nested, **kwargs)
