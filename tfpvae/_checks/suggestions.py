"""The name that a user most likely meant."""

import difflib
from collections.abc import Sequence
from typing import Any

# Other names of the field for those of this package.
_SYNONYMS = {
    "beta": ("kl_weight", "beta"),
    "beta_vae": ("kl_weight",),
    "backbone": ("encoder_backbone",),
    "diag": ("independent_normal",),
    "diagonal": ("independent_normal",),
    "full": ("multivariate_normal_tril",),
    "full_covariance": ("multivariate_normal_tril",),
    "gaussian": ("independent_normal", "normal"),
    "mvn": ("multivariate_normal_tril",),
    "normal": ("independent_normal", "standard_normal"),
    "tril": ("multivariate_normal_tril",),
    "ae": ("deterministic",),
    "flow": ("iaf",),
    "gmm": ("mixture",),
    "vamp": ("vampprior",),
    "maf": ("flow",),
    "realnvp": ("flow",),
    "standard": ("standard_normal",),
    "bce": ("bernoulli",),
    "binary": ("bernoulli",),
    "binary_crossentropy": ("bernoulli",),
    "cross_entropy": ("bernoulli",),
    "bce_with_logits": ("bernoulli",),
    "counts": ("poisson",),
    "gamma_poisson": ("negative_binomial",),
    "nb": ("negative_binomial",),
    "one_hot": ("categorical",),
    "softmax": ("categorical",),
    "t": ("student_t",),
    "zinb": ("zero_inflated_negative_binomial",),
    "zip": ("zero_inflated_poisson",),
    "mse": ("normal",),
    "l2": ("normal",),
    "code_size": ("latent_dim",),
    "encoded_size": ("latent_dim",),
    "latent_size": ("latent_dim",),
    "latents": ("latent_dim",),
    "n_latent": ("latent_dim",),
    "z_dim": ("latent_dim",),
    "features": ("event_shape",),
    "input_dim": ("event_shape", "image_shape"),
    "input_shape": ("image_shape",),
    "n_features": ("event_shape",),
    "num_features": ("event_shape",),
    "mean_image": ("pixel_mean",),
    "classes": ("num_classes",),
    "n_classes": ("num_classes",),
    "loss": ("objective",),
    "mixed_precision": ("precision",),
    "bf16": ("bfloat16",),
    "mixed_bfloat16": ("bfloat16",),
    "fp32": ("float32",),
    "vae": ("elbo",),
    "importance_weighted": ("iwae",),
    "digits": ("dense",),
    "mnist": ("dense",),
    "resnet": ("residual", "conv"),
    "unet": ("residual", "conv"),
    "cnn": ("conv",),
    "mlp": ("dense",),
    "fully_connected": ("dense",),
}


def did_you_mean(name: Any, names: Sequence[str]) -> str:
    """Returns a question with the name that a user most likely meant, or "".

    >>> did_you_mean("latent_dims", ["latent_dim", "prior"]), did_you_mean(3, ["prior"])
    (" Did you mean 'latent_dim'?", '')
    """
    if not isinstance(name, str):
        return ""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    synonyms = [each for each in _SYNONYMS.get(plain, ()) if each in names]
    starts = [each for each in names if plain and each.startswith(plain)]
    close = difflib.get_close_matches(plain, names, n=1, cutoff=0.7)
    nearest = next(iter([*synonyms, *starts, *close]), None)
    return "" if nearest is None else f" Did you mean {nearest!r}?"
