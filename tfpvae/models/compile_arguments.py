"""The arguments of `compile`, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfpvae import _checks

if TYPE_CHECKING:
    from tfpvae.models.vae import VAE

REPORTED = ("loss", "nll", "kl", "elbo")


def check(vae: VAE, arguments: dict[str, Any]) -> None:
    """Checks the arguments of `compile`, by name, that Keras would take without effect or wrongly.

    Raises:
      TypeError, ValueError: naming the argument.
    """
    _checks.not_keras_3("optimizer", arguments["optimizer"])
    for argument in ("metrics", "weighted_metrics"):
        metrics = arguments.get(argument)
        for metric in tf.nest.flatten(metrics):
            _checks.not_keras_3(argument, metric)
            of_function = getattr(metric, "__name__", metric)
            name = getattr(metric, "name", of_function)
            if isinstance(name, str) and name in REPORTED:
                raise ValueError(
                    f"{argument}: wanted names other than {', '.join(REPORTED)}, which are "
                    f"reported already, got {name!r}."
                )
        if metrics and vae.data_spec.allows_missing:
            raise ValueError(
                f"{argument}: wanted none for a VAE with missing='mask', since a metric of Keras "
                f"takes NaN for a number, got {metrics!r}."
            )
    if (weights := arguments.get("loss_weights")) is not None:
        raise ValueError(f"loss_weights: wanted None, got {weights!r}. kl_weight weighs the KL.")
