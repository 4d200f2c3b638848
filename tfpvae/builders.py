"""Encoders, decoders and whole VAEs: a backbone, and a distribution layer at its end."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tf_keras
from tf_keras.src.mixed_precision.policy import policy_scope

from tfpvae import _checks, amended, conditioning, heads, layers
from tfpvae.backbones import DECODERS, ENCODERS
from tfpvae.layers.likelihoods import LikelihoodLayer
from tfpvae.layers.posteriors import SCALE_FLOOR
from tfpvae.start_values import START_SCALE, start_last_bias, start_posterior, start_scale
from tfpvae.vae import VAE

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

_CHANNELS_LAST = (
    "Make them with data_format='channels_last', or after "
    "tf_keras.backend.set_image_data_format('channels_last')."
)

Backbone: TypeAlias = str | tf_keras.Model | Callable

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "cnn": {"image_shape": (28, 28, 1), "latent_dim": 10, "posterior": "independent_normal"},
    "conv": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "independent_normal"},
    "deep": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "deterministic"},
    "dense": {"image_shape": (28, 28, 1), "latent_dim": 2, "posterior": "independent_normal"},
    "flowers": {
        "image_shape": (80, 80, 3),
        "latent_dim": 10,
        "posterior": "multivariate_normal_tril",
    },
    "kmnist": {"image_shape": (28, 28, 1), "latent_dim": 128, "posterior": "independent_normal"},
}


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
    if heads.is_made_of_the_encoder(prior):
        raise ValueError(
            "prior: wanted one that the encoder can hold, got a VampPrior, which is made of that "
            "very encoder. Give it to build_vae, or to VAE: build_encoder(..., prior=None), then "
            "VAE(encoder, decoder, prior=build_prior('vampprior', ...))."
        )
    kl_options: dict[str, Any]
    kl_options = {"kl_weight": kl_weight, "use_exact_kl": use_exact_kl, "kl_samples": kl_samples}
    heads.check_kl_options(**kl_options)
    _checks.finite_number("scale_floor", scale_floor, minimum=0)
    head = heads.posterior_layer(posterior, latent_dim, scale_floor)
    if posterior is head:
        _only_defaults("a layer as posterior", scale_floor=scale_floor)
    if head.activity_regularizer is not None:
        _only_defaults("a posterior with a KL term", prior=prior, **kl_options)
    elif isinstance(head, layers.Deterministic):
        heads.no_prior(prior)
    elif prior is not None:
        head = head.with_kl(heads.kl_term(prior, latent_dim, **kl_options))
    if start_images is not None:
        start_images = np.asarray(_checks.as_dense("start_images", start_images))
        _checks.array("start_images", start_images, image_shape)
    images = tf_keras.Input(image_shape, name="images")
    labels, code = _labels(num_classes, label_embedding)
    network = ENCODERS[_known(backbone, ENCODERS)]() if isinstance(backbone, str) else [backbone]
    features = _apply(network, images)
    if not isinstance(backbone, str):
        _no_channels_first(tf_keras.Model(images, features), image_shape)
    if len(features.shape) > 2:
        features = tf_keras.layers.Flatten("channels_last")(features)
    projection = amended.Dense(head.num_params, name="posterior_parameters")
    parameters = projection(_joined([features, *code]))
    start_scale(projection, head.start_params(1.0))
    if start_images is not None:
        start_params = head.start_params(START_SCALE)
        start_posterior(projection, tf_keras.Model(images, features), start_params, start_images)
    return tf_keras.Model(conditioning.join(images, *labels), head(parameters), name=name)


def build_decoder(
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    backbone: Backbone,
    likelihood: str | LikelihoodLayer = "bernoulli",
    pixel_mean: Any = None,
    num_classes: int | None = None,
    label_embedding: int | None = None,
    name: str = "decoder",
) -> tf_keras.Model:
    """Returns the model latents [B, latent_dim] -> p(x|z), a distribution over [B, H, W, C].

    Args:
      image_shape: (height, width, channels).
      latent_dim: D, at least 1.
      backbone: a name of `list_architectures()`, or a `tf_keras` model or callable of your own,
        from latents [B, latent_dim] to the parameters of the pixels, [B, H, W, V] or
        [B, H * W * V]. V is C logits for a Bernoulli, continuous or not, and "normal"; for the
        others it is params_size(image_shape) / (H * W) of their layer, the locations first.
      likelihood: a name, or a likelihood layer of `tfpvae.layers` for image_shape, with options of
        its own, which is used as it is. Of binary pixels a mass: "bernoulli". Of grey pixels a
        density: "continuous_bernoulli", "beta", "normal" (one scale, learned) and
        "normal_per_pixel". Of 8-bit pixels a mass: "discretized_logistic" and
        "mixture_of_logistics".
      pixel_mean: the mean of the training images, in [0, 1], of a shape that broadcasts to
        image_shape; the last bias starts the locations at its logit. A named backbone without a
        last bias is given one.
      num_classes: C, at least 1, for the decoder of a conditional VAE, [latents, labels] ->
        p(x|z, y), labels being whole numbers [B], 0 <= label < C. The backbone is given their code
        behind the latents, [B, latent_dim + C]. None for no labels.
      label_embedding: what that code is: None for one number a class, 1 at the label and 0
        elsewhere; or how many numbers, at least 1, are learned for each class.
      name: of the model.

    Returns:
      A `tf_keras.Model`.

    Raises:
      ValueError, TypeError: for an argument out of range, an unknown name (the message lists the
        known), a backbone that does not fit.

    >>> decoder = build_decoder(image_shape=(28, 28, 1), latent_dim=2, backbone="dense")
    >>> decoder.count_params(), decoder(np.zeros([3, 2])).mean().shape
    (202256, TensorShape([3, 28, 28, 1]))
    """
    _checks.eager()
    _checks.floatx()
    image_shape = _checks.image_shape(image_shape)
    latent_dim = _checks.whole_number("latent_dim", latent_dim)
    head = heads.likelihood_layer(likelihood, image_shape)
    height, width, channels = image_shape
    values = head.params_size(image_shape) // (height * width)
    params_shape = (height, width, values)
    latents = tf_keras.Input((latent_dim,), name="latents")
    labels, code = _labels(num_classes, label_embedding)
    inputs = conditioning.join(latents, *labels)
    if isinstance(backbone, str):
        use_bias = pixel_mean is not None
        network = DECODERS[_known(backbone, DECODERS)](*params_shape, use_bias)
    else:
        network = [backbone]
    params = _apply(network, _joined([latents, *code]))
    if tuple(params.shape[1:]) not in (params_shape, (np.prod(params_shape),)):
        _no_channels_first(tf_keras.Model(inputs, params))
        wanted = "one logit" if values == channels else f"{values} parameters"
        raise ValueError(
            f"backbone: wanted {wanted} a pixel, [B, {', '.join(map(str, params_shape))}], "
            f"got {tuple(params.shape)}."
        )
    if pixel_mean is not None:
        network = tf_keras.Model(inputs, params)
        start_last_bias(network, pixel_mean, image_shape, values, head.locations)
    if len(params.shape) > 2:
        params = tf_keras.layers.Flatten("channels_last")(params)
    return tf_keras.Model(inputs, head(params), name=name)


def build_vae(architecture: str, precision: str | None = None, **overrides: Any) -> VAE:
    """Returns a VAE of one of the named architectures.

    Args:
      architecture: a name of `list_architectures()`.
      precision: "float32", or "bfloat16" for the arithmetic of the two backbones, where weights,
        heads and losses stay in float32: faster on processors that have it (python -m tfpvae says
        so), for convolutions above all. None for the global policy of `tf_keras.mixed_precision`,
        which follows `tf_keras.backend.floatx()`, float32 or float64, unless it was set. A backbone
        that is a model already keeps its own.
      **overrides: arguments of `build_encoder`, `build_decoder` and `VAE` in place of the
        architecture's own; `encoder_backbone` and `decoder_backbone` for the two backbones.

    Returns:
      A `VAE`, ready for `compile()` and `fit(images)`.

    Raises:
      ValueError, TypeError: as the two builders do.

    >>> build_vae("flowers").count_params()
    2394337
    """
    _checks.one_of("architecture", architecture, ARCHITECTURES)
    if precision is not None:
        _checks.one_of("precision", precision, _POLICIES)
        if (floatx := tf_keras.backend.floatx()) == "float64":
            raise ValueError(
                f"precision: wanted None where Keras' floatx is {floatx!r}, got {precision!r}, "
                "whose weights are float32. Leave it out, or write "
                "tf_keras.backend.set_floatx('float32')."
            )
    unknown = sorted(set(overrides) - _ENCODER_OVERRIDES - _DECODER_OVERRIDES - _VAE_OVERRIDES)
    if unknown:
        known = ", ".join(sorted(_ENCODER_OVERRIDES | _DECODER_OVERRIDES | _VAE_OVERRIDES))
        raise TypeError(f"overrides: wanted some of {known}, got {', '.join(unknown)}.")
    backbones = {"encoder_backbone": architecture, "decoder_backbone": architecture}
    options = backbones | ARCHITECTURES[architecture] | overrides
    encoder_options = {k: v for k, v in options.items() if k in _ENCODER_OVERRIDES}
    decoder_options = {k: v for k, v in options.items() if k in _DECODER_OVERRIDES}
    prior = None
    if heads.is_made_of_the_encoder(encoder_options.get("prior")):
        prior = heads.vampprior_term(**encoder_options)
        encoder_options["prior"] = None
    with _policy(precision):
        encoder = build_encoder(backbone=encoder_options.pop("encoder_backbone"), **encoder_options)
        decoder = build_decoder(backbone=decoder_options.pop("decoder_backbone"), **decoder_options)
    vae_options = {k: v for k, v in options.items() if k in _VAE_OVERRIDES}
    return VAE(encoder, decoder, prior=prior, name=architecture, **vae_options)


def _policy(precision: str | None) -> contextlib.AbstractContextManager:
    """Returns a scope of Keras' global policy, which is left unset if it was never set."""
    return contextlib.nullcontext() if precision is None else policy_scope(_POLICIES[precision])


def list_architectures() -> list[str]:
    """Returns the names that `build_vae` knows.

    >>> list_architectures()
    ['cnn', 'conv', 'deep', 'dense', 'flowers', 'kmnist']
    """
    return sorted(ARCHITECTURES)


def _overrides(builder: Callable, backbone: str) -> set[str]:
    return {*inspect.signature(builder).parameters, backbone} - {"name", "backbone"}


_ENCODER_OVERRIDES = _overrides(build_encoder, "encoder_backbone")
_DECODER_OVERRIDES = _overrides(build_decoder, "decoder_backbone")
_VAE_OVERRIDES = {"objective", "num_samples", "free_bits", "target_rate", "dequantize"}


def _only_defaults(given: str, **options: Any) -> None:
    """Raises unless the options of build_encoder that a layer has itself are left as they are."""
    for name, value in options.items():
        default = inspect.signature(build_encoder).parameters[name].default
        if value is not default and value != default:
            raise ValueError(
                f"{name}: wanted none besides {given}, which has its own, got {value!r}."
            )


def _labels(num_classes: int | None, label_embedding: int | None) -> tuple[list, list]:
    """Returns the input of the labels and their code, in a list each: empty ones for no labels."""
    if num_classes is None:
        if label_embedding is not None:
            raise ValueError(
                f"label_embedding: wanted num_classes with it, got {label_embedding!r}."
            )
        return [], []
    labels = tf_keras.Input((), dtype="int32", name="labels")
    code = layers.OneHot(num_classes, name="one_hot")(labels)
    if label_embedding is not None:
        size = _checks.whole_number("label_embedding", label_embedding)
        code = tf_keras.layers.Dense(size, use_bias=False, name="label_embedding")(code)
    return [labels], [code]


def _joined(parts: list) -> Any:
    """Returns symbolic tensors [B, N] as one; a single one as it is."""
    return parts[0] if len(parts) == 1 else tf_keras.layers.Concatenate()(parts)


def _known(backbone: str, known: dict) -> str:
    _checks.one_of("backbone", backbone, known)
    return backbone


def _apply(network: list, inputs: Any) -> Any:
    """Returns the symbolic output of a backbone on symbolic inputs."""
    tensor = inputs
    for layer in network:
        _checks.keras_callable("backbone", layer)
        try:
            tensor = layer(tensor)
        except Exception as error:
            name = getattr(layer, "name", layer)
            _no_channels_first(layer)
            hint = ""
            if tf_keras.backend.image_data_format() == "channels_first":
                hint = f" Layers that are made now are of channels_first. {_CHANNELS_LAST}"
            raise ValueError(
                f"backbone: wanted a network that takes {tuple(inputs.shape)}, got one whose "
                f"{name!r} fails on {tuple(tensor.shape)}: {error}{hint}"
            ) from error
    is_one = hasattr(tensor, "shape") and tf_keras.backend.is_keras_tensor(tensor)
    if not is_one or None in tensor.shape[1:]:
        raise ValueError(
            "backbone: wanted a network that gives one tensor of known shape [B, ...], built of "
            f"tf_keras layers, got {tensor!r}."
        )
    return tensor


def _no_channels_first(network: Any, input_shape: tuple[int, int, int] | None = None) -> None:
    """Raises if a layer of a network, however deep, takes [B, C, H, W].

    With an input shape, only if the layer's input has it: images, which are [B, H, W, C].
    """
    layers = network._flatten_layers() if isinstance(network, tf_keras.layers.Layer) else ()
    for layer in layers:
        is_first = getattr(layer, "data_format", None) == "channels_first"
        if not is_first or isinstance(layer, tf_keras.layers.Flatten):  # any order will do
            continue
        if input_shape in (None, (getattr(layer, "input_shape", None) or ())[1:]):
            raise ValueError(
                "backbone: wanted layers of channels_last, as images are [B, H, W, C], got "
                f"{layer.name!r} of channels_first. {_CHANNELS_LAST}"
            )
