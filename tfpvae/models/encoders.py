"""Encoders: a backbone and a posterior layer."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras

from tfpvae import _checks, layers
from tfpvae.layers.posteriors.base import SCALE_FLOOR
from tfpvae.models import conditioning, kl_terms
from tfpvae.models.label_inputs import build_label_inputs, concatenate
from tfpvae.networks import keras_layers
from tfpvae.networks.backbones import ENCODERS
from tfpvae.networks.custom_backbones import (
    Backbone,
    apply_layers,
    backbone_layers,
    refuse_channels_first,
)
from tfpvae.networks.initialization import START_SCALE, start_posterior, start_scale

POSTERIORS: dict[str, Any] = {
    "deterministic": layers.Deterministic,
    "iaf": layers.InverseAutoregressiveFlow,
    "independent_normal": layers.IndependentNormal,
    "ladder": layers.Ladder,
    "low_rank": layers.MultivariateNormalLowRank,
    "multivariate_normal_tril": layers.MultivariateNormalTriL,
}

_MANY_WEIGHTS = 100_000_000  # 400 MB in float32


def build_encoder(
    *,
    image_shape: tuple[int, int, int] | None = None,
    event_shape: tuple[int, ...] | None = None,
    latent_dim: int,
    backbone: Backbone,
    posterior: str | layers.Posterior = "independent_normal",
    prior: Any = "standard_normal",
    kl_weight: float | Callable = 1.0,
    use_exact_kl: bool | None = None,
    kl_samples: int = 1,
    scale_floor: float = SCALE_FLOOR,
    start_images: Any = None,
    num_classes: int | None = None,
    label_embedding: int | None = None,
    backbone_options: dict[str, Any] | None = None,
    name: str = "encoder",
) -> tf_keras.Model:
    """Builds the encoder: images [B, H, W, C] -> q(z|x), a distribution over [B, latent_dim].

    The features of the backbone are flattened and projected by a Dense layer to the parameters of
    the posterior. The posterior layer adds kl_weight * mean over the batch of KL(q(z|x) || p(z)) to
    the loss. Its scales start near 1, as those of a standard normal prior.

    Args:
      image_shape: (height, width, channels); None where event_shape is set.
      event_shape: the shape of an example of other data, such as (F,) of the row of a table.
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a custom `tf_keras` model or callable from
        images [B, H, W, C] to features [B, ...].
      posterior: "independent_normal", "multivariate_normal_tril" (full covariance), "low_rank"
        (diagonal plus low-rank covariance), "iaf" (inverse autoregressive flow, with a Monte Carlo
        KL) or "deterministic" (a plain autoencoder, without prior and KL). Or a layer with its own
        options, such as `tfpvae.layers.MultivariateNormalLowRank(latent_dim, rank=8)`: the encoder
        ends in a copy of it with the KL term, or in the layer itself if it has a term.
      prior: a name that `build_prior` knows, a `tfd.Distribution` of event shape [latent_dim], or
        a result of `build_prior`; None for no KL term in the encoder, for a prior given to `VAE`.
      kl_weight: the beta of a beta-VAE, at least 0; or a schedule of it over the optimizer's steps,
        such as `tfpvae.schedules.LinearWarmup`, which a `VAE` follows.
      use_exact_kl: True for the closed form of the KL, False for Monte Carlo, None for the closed
        form where there is one.
      kl_samples: draws of a Monte Carlo KL; a single one is the draw that is decoded.
      scale_floor: the least scale of the posterior, at least 0.
      start_images: training images [N, H, W, C], float in [0, 1] or uint8, or other examples that
        are complete, N at least 2. The means
        of the posterior start as the first principal components of their features, whitened, with
        small scales, so that z tells images apart from the first step.
      num_classes: C, at least 1, for the encoder of a conditional VAE, [images, labels] ->
        q(z|x, y), with labels [B], whole numbers, 0 <= label < C. Their code is appended to the
        features. None for no labels.
      label_embedding: the size of a learned code of each class, at least 1; None for a one-hot
        code.
      backbone_options: options of a named backbone: "residual" has width and depth, as in
        {"width": 48, "depth": 2}.
      name: of the model.

    Returns:
      A `tf_keras.Model`.

    Raises:
      ValueError, TypeError: for an argument out of range, an unknown name (the message lists the
        names), a prior that does not fit or cannot be saved, a backbone that does not fit, a
        posterior layer of another size, or options that the posterior layer already has.
      NotImplementedError: if use_exact_kl is True and there is no closed form.

    >>> encoder = build_encoder(image_shape=(28, 28, 1), latent_dim=2, backbone="dense")
    >>> encoder.count_params(), encoder(np.zeros([3, 28, 28, 1])).mean().shape
    (201988, TensorShape([3, 2]))
    """
    _checks.eager()
    _checks.floatx()
    shape = _checks.example_shape(image_shape, event_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    kl_options: dict[str, Any]
    kl_options = {"kl_weight": kl_weight, "use_exact_kl": use_exact_kl, "kl_samples": kl_samples}
    head = _build_head(posterior, prior, latent_dim, scale_floor, kl_options)
    if start_images is not None:
        start_images = np.asarray(_checks.as_dense("start_images", start_images))
        support = _checks.UNIT_INTERVAL if event_shape is None else _checks.REAL
        _checks.array("start_images", start_images, _checks.DataSpec(shape, support))
    images = tf_keras.Input(shape, name="images" if len(shape) == 3 else "x")
    labels, code = build_label_inputs(num_classes, label_embedding)
    features = _apply_backbone(backbone, backbone_options, images)
    if head.takes_maps:
        _check_maps(features, head, start_images, num_classes)
        return tf_keras.Model(images, head(features), name=name)
    features_and_code = concatenate([features, *code])
    _warn_of_many_weights(features_and_code.shape[-1], head.num_params)
    projection = keras_layers.Dense(head.num_params, name="posterior_parameters")
    parameters = projection(features_and_code)
    start_scale(projection, head.start_params(1.0))
    if start_images is not None:
        start_params = head.start_params(START_SCALE)
        start_posterior(projection, tf_keras.Model(images, features), start_params, start_images)
    return tf_keras.Model(conditioning.join(images, *labels), head(parameters), name=name)


def _build_head(
    posterior: str | layers.Posterior,
    prior: Any,
    latent_dim: int,
    scale_floor: float,
    kl_options: dict[str, Any],
) -> layers.Posterior:
    """Returns the posterior layer with its KL term."""
    if kl_terms.is_vampprior(prior):
        raise ValueError(
            "prior: wanted one that the encoder can hold, got a VampPrior, which is made of that "
            "very encoder. Give it to build_vae, or to VAE: build_encoder(..., prior=None), then "
            "VAE(encoder, decoder, prior=build_prior('vampprior', ...))."
        )
    kl_terms.check_kl_options(**kl_options)
    _checks.finite_number("scale_floor", scale_floor, minimum=0)
    head = posterior_layer(posterior, latent_dim, scale_floor)
    if posterior is head:
        _check_defaults("a layer as posterior", scale_floor=scale_floor)
    if head.activity_regularizer is not None:
        _check_defaults("a posterior with a KL term", prior=prior, **kl_options)
    elif isinstance(head, layers.Deterministic):
        kl_terms.check_no_prior(prior)
    elif prior is not None:
        head = head.with_kl(kl_terms.build_kl_term(prior, head, **kl_options))
    return head


def _apply_backbone(backbone: Backbone, options: dict[str, Any] | None, images: Any) -> Any:
    """Returns the features of symbolic images, [B, F]."""
    shape = tuple(images.shape[1:])
    features = apply_layers(backbone_layers(backbone, ENCODERS, options, shape), images)
    if not isinstance(backbone, str):
        refuse_channels_first(tf_keras.Model(images, features), shape)
    if len(features.shape) > 2:
        features = tf_keras.layers.Flatten("channels_last")(features)
    return features


def _check_maps(features: Any, head: layers.Posterior, start_images: Any, num_classes: Any) -> None:
    """Checks the arguments of an encoder whose posterior takes the maps of its backbone."""
    if features.shape[-1] != head.num_params:
        raise ValueError(
            f"backbone: wanted {head.num_params} features, which the posterior's path takes, got "
            f"{features.shape[-1]}."
        )
    for name, value in {"start_images": start_images, "num_classes": num_classes}.items():
        if value is not None:
            raise ValueError(f"{name}: wanted None for a convolutional ladder, got another value.")


def _warn_of_many_weights(num_features: int, num_params: int) -> None:
    """Warns before a projection takes hundreds of megabytes, and the optimizer as many again."""
    weights = num_features * num_params
    if weights > _MANY_WEIGHTS:
        warnings.warn(
            f"latent_dim: the projection of {num_features:,} features to {num_params:,} parameters "
            f"of the posterior has {weights:,} weights. A smaller latent_dim, "
            "posterior='independent_normal' or 'low_rank', or backbone='residual', whose features "
            "are few at any image size, has fewer.",
            stacklevel=3,
        )


def _check_defaults(owner: str, **options: Any) -> None:
    """Checks that options of `build_encoder` which a layer has itself were left at their defaults.

    Raises:
      ValueError: naming the option.
    """
    for name, value in options.items():
        default = inspect.signature(build_encoder).parameters[name].default
        if value is not default and value != default:
            raise ValueError(
                f"{name}: wanted none besides {owner}, which has its own, got {value!r}."
            )


def posterior_layer(
    posterior: str | layers.Posterior, latent_dim: int, scale_floor: float
) -> layers.Posterior:
    """Returns the layer that ends an encoder; a layer that is passed is returned unchanged.

    Raises:
      ValueError, TypeError: for an unknown name, or a layer of another event shape.
    """
    if isinstance(posterior, str):
        _checks.one_of("posterior", posterior, POSTERIORS)
        is_point = posterior == "deterministic"
        if posterior in ("iaf", "ladder"):  # the layers' own messages would name event_size
            _checks.whole_number("latent_dim", latent_dim, minimum=2)
        options: dict[str, Any] = {} if is_point else {"scale_floor": scale_floor}
        return POSTERIORS[posterior](latent_dim, name="posterior", **options)
    if not isinstance(posterior, layers.Posterior):
        raise TypeError(
            f"posterior: wanted a name or a posterior layer of tfpvae.layers, got {posterior!r}."
        )
    if posterior.output_shape[1:] != (latent_dim,):
        raise ValueError(
            f"posterior: wanted a layer of event shape ({latent_dim},) (latent_dim), got "
            f"{posterior.output_shape[1:]}."
        )
    return posterior
