"""Encoders: a backbone and a posterior layer."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras

from tfpvae import _checks, layers
from tfpvae.layers.posteriors.base import SCALE_FLOOR
from tfpvae.models import conditioning, encoders
from tfpvae.models.label_inputs import build_label_inputs, concatenate
from tfpvae.networks import keras_layers
from tfpvae.networks.backbones import ENCODERS
from tfpvae.networks.custom_backbones import (
    Backbone,
    apply_backbone,
    backbone_layers,
    refuse_channels_first,
)
from tfpvae.networks.initialization import START_SCALE, start_posterior, start_scale
from tfpvae.priors import VampPrior, build_prior
from tfpvae.schedules import is_schedule

_MANY_WEIGHTS = 100_000_000  # 400 MB in float32


def build_encoder(
    *,
    image_shape: tuple[int, int, int],
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
    """Returns the model images [B, H, W, C] -> q(z|x), a distribution over [B, latent_dim].

    The features of the backbone are flattened and projected by a Dense layer to the parameters of
    the posterior, whose layer adds kl_weight * mean over the batch of KL(q(z|x) || p(z)) to the
    loss. Its scales start about 1, as those of the prior.

    Args:
      image_shape: (height, width, channels).
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a `tf_keras` model or callable of your own,
        from images [B, H, W, C] to features [B, ...].
      posterior: "independent_normal", "multivariate_normal_tril" (full covariance), "low_rank"
        (diagonal plus low-rank covariance), "iaf" (inverse autoregressive flow; its KL is Monte
        Carlo), or "deterministic" (the code of a plain autoencoder; no prior, no KL). Or a layer,
        with options of its own: `tfpvae.layers.MultivariateNormalLowRank(latent_dim, rank=8)`. The
        encoder ends in a copy of it that has the KL term; one that has a term is taken as it is.
      prior: a name that `build_prior` knows, a `tfd.Distribution` of event shape [latent_dim], or
        what `build_prior` returned; None for no KL term in the encoder: give `VAE` the prior then.
      kl_weight: the beta of a beta-VAE, at least 0; or a schedule of it over the optimizer's steps,
        such as `tfpvae.schedules.LinearWarmup`, which a `VAE` follows.
      use_exact_kl: True for the closed form of the KL, False for Monte Carlo, None for the closed
        form where there is one.
      kl_samples: number of draws of a Monte Carlo KL; one is the draw that is decoded.
      scale_floor: the least scale of the posterior, at least 0.
      start_images: training images [N, H, W, C], float in [0, 1] or uint8, N at least 2. The
        posterior's means start as the first principal components of their features, whitened, its
        scales small, so that z tells images apart from the first step on; see `start_values`.
      num_classes: C, at least 1, for the encoder of a conditional VAE, [images, labels] ->
        q(z|x, y), labels being whole numbers [B], 0 <= label < C. Their code follows the features
        into the projection. None for no labels.
      label_embedding: what that code is: None for one number a class, 1 at the label and 0
        elsewhere; or how many numbers, at least 1, are learned for each class.
      backbone_options: of a backbone by name that has some: "residual" has width and depth, as in
        {"width": 48, "depth": 2}.
      name: of the model.

    Returns:
      A `tf_keras.Model`.

    Raises:
      ValueError, TypeError: for an argument out of range, an unknown name (the message lists the
        known), a prior that does not fit or cannot be saved, a backbone that does not fit, a
        posterior layer of another size, or options that it has already.
      NotImplementedError: if the closed form is demanded and there is none.

    >>> encoder = build_encoder(image_shape=(28, 28, 1), latent_dim=2, backbone="dense")
    >>> encoder.count_params(), encoder(np.zeros([3, 28, 28, 1])).mean().shape
    (201988, TensorShape([3, 2]))
    """
    _checks.eager()
    _checks.floatx()
    image_shape = _checks.image_shape(image_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    if encoders.is_made_of_the_encoder(prior):
        raise ValueError(
            "prior: wanted one that the encoder can hold, got a VampPrior, which is made of that "
            "very encoder. Give it to build_vae, or to VAE: build_encoder(..., prior=None), then "
            "VAE(encoder, decoder, prior=build_prior('vampprior', ...))."
        )
    kl_options: dict[str, Any]
    kl_options = {"kl_weight": kl_weight, "use_exact_kl": use_exact_kl, "kl_samples": kl_samples}
    encoders.check_kl_options(**kl_options)
    _checks.finite_number("scale_floor", scale_floor, minimum=0)
    head = encoders.posterior_layer(posterior, latent_dim, scale_floor)
    if posterior is head:
        _only_defaults("a layer as posterior", scale_floor=scale_floor)
    if head.activity_regularizer is not None:
        _only_defaults("a posterior with a KL term", prior=prior, **kl_options)
    elif isinstance(head, layers.Deterministic):
        encoders.no_prior(prior)
    elif prior is not None:
        head = head.with_kl(encoders.kl_term(prior, latent_dim, **kl_options))
    if start_images is not None:
        start_images = np.asarray(_checks.as_dense("start_images", start_images))
        _checks.array("start_images", start_images, image_shape)
    images = tf_keras.Input(image_shape, name="images")
    labels, code = build_label_inputs(num_classes, label_embedding)
    network = backbone_layers(backbone, ENCODERS, backbone_options)
    features = apply_backbone(network, images)
    if not isinstance(backbone, str):
        refuse_channels_first(tf_keras.Model(images, features), image_shape)
    if len(features.shape) > 2:
        features = tf_keras.layers.Flatten("channels_last")(features)
    features_and_code = concatenate([features, *code])
    _name_many_weights(features_and_code.shape[-1], head.num_params)
    projection = keras_layers.Dense(head.num_params, name="posterior_parameters")
    parameters = projection(features_and_code)
    start_scale(projection, head.start_params(1.0))
    if start_images is not None:
        start_params = head.start_params(START_SCALE)
        start_posterior(projection, tf_keras.Model(images, features), start_params, start_images)
    return tf_keras.Model(conditioning.join(images, *labels), head(parameters), name=name)


def _name_many_weights(num_features: int, num_params: int) -> None:
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


def _only_defaults(given: str, **options: Any) -> None:
    """Raises unless the options of build_encoder that a layer has itself are left as they are."""
    for name, value in options.items():
        default = inspect.signature(build_encoder).parameters[name].default
        if value is not default and value != default:
            raise ValueError(
                f"{name}: wanted none besides {given}, which has its own, got {value!r}."
            )


POSTERIORS: dict[str, Any] = {
    "deterministic": layers.Deterministic,
    "iaf": layers.InverseAutoregressiveFlow,
    "independent_normal": layers.IndependentNormal,
    "low_rank": layers.MultivariateNormalLowRank,
    "multivariate_normal_tril": layers.MultivariateNormalTriL,
}


def posterior_layer(
    posterior: str | layers.Posterior, latent_dim: int, scale_floor: float
) -> layers.Posterior:
    """Returns the layer that ends an encoder, without a KL term unless it came with one."""
    if isinstance(posterior, str):
        _checks.one_of("posterior", posterior, POSTERIORS)
        is_point = posterior == "deterministic"
        if posterior == "iaf":  # whose own message would speak of its event_size
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


def is_made_of_the_encoder(prior: Any) -> bool:
    """Returns whether a prior is one that only the VAE can hold."""
    return isinstance(prior, VampPrior) or (isinstance(prior, str) and prior == "vampprior")


def kl_term(
    prior: Any,
    latent_dim: int,
    kl_weight: float | Callable = 1.0,
    use_exact_kl: bool | None = None,
    kl_samples: int = 1,
) -> layers.KLDivergenceRegularizer:
    """Returns the KL term against a prior by name or as given."""
    check_kl_options(kl_weight, use_exact_kl, kl_samples)
    return layers.KLDivergenceRegularizer(
        build_prior(prior, latent_dim=latent_dim),
        use_exact_kl=use_exact_kl,
        weight=kl_weight,
        num_samples=kl_samples,
    )


def check_kl_options(kl_weight: Any, use_exact_kl: Any, kl_samples: Any) -> None:
    """Raises unless these are what a KL term can have, also where there will be none."""
    if not is_schedule(kl_weight):
        _checks.not_keras_3("kl_weight", kl_weight)
        _checks.finite_number("kl_weight", kl_weight, minimum=0)
    _checks.flag("use_exact_kl", use_exact_kl, or_none=True)
    _checks.whole_number("kl_samples", kl_samples)


def no_prior(prior: Any) -> None:
    """Raises for a prior that somebody asked for, where there is no posterior to hold against."""
    if not (prior is None or (isinstance(prior, str) and prior == "standard_normal")):
        raise ValueError(
            "prior: wanted none with posterior='deterministic', which has no density and so no KL, "
            f"got {prior!r}."
        )
