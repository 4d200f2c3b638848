"""The combinations of posterior, likelihood and prior that every contract is run over.

With TFPVAE_EVERY_COMBINATION=1 in the environment they are all there are; without, each choice
once, and the pairs that have been wrong before.

The names are the package's own: a new posterior, likelihood or prior is under contract as soon as
it has a name. Priors that a user would give as an object stand in CUSTOM_PRIORS.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfpvae
from tests.pairs import EVERY
from tfpvae import _checks, layers
from tfpvae.models import decoders
from tfpvae.models.decoders import LIKELIHOODS
from tfpvae.models.encoders import POSTERIORS
from tfpvae.priors import PRIORS

tfd, tfb = tfp.distributions, tfp.bijectors

IMAGE_SHAPE = (6, 5, 2)
LATENT_DIM = 3


def _mixture() -> tfd.Distribution:
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.5, -0.5], name="logits")),
        tfd.MultivariateNormalDiag(
            tf.Variable([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], name="loc"),
            tfp.util.TransformedVariable(tf.ones([2, 3]), tfb.Softplus(), name="scale"),
        ),
    )


CUSTOM_PRIORS = {
    "diag": lambda: tfd.MultivariateNormalDiag([0.1, 0.0, -0.1], [1.0, 2.0, 0.5]),
    "tril": lambda: tfd.MultivariateNormalTriL(tf.zeros(3), tf.eye(3) + 0.1),
    "sample": lambda: tfd.Sample(tfd.Normal(0.0, 1.5), LATENT_DIM),
    "learned mixture": _mixture,
    "transformed": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), LATENT_DIM), tfb.Shift([1.0, 0.0, -1.0])
    ),
}


def _is_of_pixels(likelihood: str) -> bool:
    layer = decoders.likelihood_layer(likelihood, IMAGE_SHAPE, is_of_images=True)
    return layer.support == _checks.UNIT_INTERVAL


OF_PIXELS = [name for name in LIKELIHOODS if _is_of_pixels(name)]
# A flow of two small layers has all that one of four large layers has, and is traced sooner.
PRIOR_OBJECTS = {
    **CUSTOM_PRIORS,
    "flow": lambda: tfpvae.build_prior(
        "flow", latent_dim=LATENT_DIM, num_layers=2, hidden_units=(8,)
    ),
}
POSTERIOR_OBJECTS = {
    "iaf": lambda: layers.InverseAutoregressiveFlow(LATENT_DIM, hidden_units=(8,), context_size=4)
}


@dataclass(frozen=True)
class Case:
    """One combination of choices; `str(case)` is its name."""

    posterior: str
    likelihood: str
    prior: str = "standard_normal"
    use_exact_kl: bool | None = None
    num_classes: int | None = None
    label_embedding: int | None = None
    architecture: str = "dense"

    def __str__(self) -> str:
        kl = {None: "any KL", True: "exact KL", False: "Monte Carlo KL"}[self.use_exact_kl]
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        network = "" if self.architecture == "dense" else f", {self.architecture}"
        return f"{self.posterior}, {self.likelihood}, {self.prior}, {kl}{classes}{network}"

    def build(self) -> tfpvae.VAE:
        # The prior of a ladder is that of its top group, of fewer latents.
        is_object = self.prior in PRIOR_OBJECTS and self.posterior != "ladder"
        prior = PRIOR_OBJECTS[self.prior]() if is_object else self.prior
        is_object = self.posterior in POSTERIOR_OBJECTS
        posterior = POSTERIOR_OBJECTS[self.posterior]() if is_object else self.posterior
        return tfpvae.build_vae(
            self.architecture,
            image_shape=IMAGE_SHAPE,
            latent_dim=LATENT_DIM,
            posterior=posterior,
            likelihood=self.likelihood,
            prior=prior,
            use_exact_kl=self.use_exact_kl,
            num_classes=self.num_classes,
            label_embedding=self.label_embedding,
        )

    def images(self, count: int) -> np.ndarray:
        """Returns images, float32, with the values that the likelihood has."""
        pixels = images(count)
        if self.likelihood == "categorical":
            return np.eye(IMAGE_SHAPE[-1], dtype="float32")[np.argmax(pixels, axis=-1)]
        is_of_counts = "poisson" in self.likelihood or "negative_binomial" in self.likelihood
        return np.floor(6 * pixels) if is_of_counts else pixels

    def labels(self, count: int) -> dict[str, np.ndarray]:
        """Returns the argument `labels` of a method: classes in turn, or none."""
        return {"labels": np.arange(count) % self.num_classes} if self.num_classes else {}

    def with_labels(self, tensor):
        """Returns images or latents as a network takes them: with labels if it is conditional."""
        return [tensor, *self.labels(len(tensor)).values()] if self.num_classes else tensor


PLAINEST = ("independent_normal", "standard_normal")  # posterior and prior
# All combinations of names. A deterministic posterior has no KL and so takes no prior; build_vae
# treats its default, a standard normal, as none.
ALL = [Case(q, p, prior) for q in POSTERIORS for p in LIKELIHOODS for prior in PRIORS]
REFUSED = [c for c in ALL if c.posterior == "deterministic" and c.prior != "standard_normal"]
SENSIBLE = [case for case in ALL if case not in REFUSED]


# An exact and a Monte Carlo KL, labels, and pairs that have been wrong before.
PAIRS = [
    Case("independent_normal", "bernoulli", use_exact_kl=False),
    Case("multivariate_normal_tril", "continuous_bernoulli", use_exact_kl=True),
    Case("multivariate_normal_tril", "normal", "vampprior"),
    Case("ladder", "bernoulli", "vampprior"),
    Case("low_rank", "beta", "flow"),
    Case("deterministic", "bernoulli"),
    Case("independent_normal", "bernoulli", num_classes=4),
    Case("iaf", "continuous_bernoulli", "mixture", num_classes=3, label_embedding=2),
]


def _not_in_pairs(kind: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in {getattr(case, kind) for case in PAIRS}]


# The fewest further cases that have each choice once.
OTHERS = [
    Case(q or "independent_normal", p or "bernoulli", prior or "standard_normal")
    for q, p, prior in itertools.zip_longest(
        _not_in_pairs("posterior", POSTERIORS),
        _not_in_pairs("likelihood", LIKELIHOODS),
        _not_in_pairs("prior", PRIORS),
    )
]
# Those whose likelihood alone is new.
PLAIN = [case for case in OTHERS if (case.posterior, case.prior) == PLAINEST]
# Priors that are objects take the place of the standard normal beside the first of those.
OF_CUSTOM_PRIORS = [
    replace(case, posterior="multivariate_normal_tril", prior=prior)
    for case, prior in zip(itertools.cycle(PLAIN), CUSTOM_PRIORS, strict=False)
]
ONCE = [*PAIRS, *OTHERS]
CASES = ONCE if EVERY else [case for case in ONCE if case not in PLAIN[: len(OF_CUSTOM_PRIORS)]]
# The network for any size: each choice once, or two of them, as convolutions take their time.
RESIDUAL = [replace(case, architecture="residual") for case in ONCE]
RESIDUAL = RESIDUAL if EVERY else RESIDUAL[0:3:2]
CASES = [*CASES, *OF_CUSTOM_PRIORS, *(SENSIBLE if EVERY else []), *RESIDUAL]
CASES = list(dict.fromkeys(CASES))

BY_NAME = {str(case): case for case in [*CASES, *ONCE]}


def to_save() -> list[Case]:
    """Returns the cases that are saved in every format: all, or each choice once.

    One custom prior is enough, and one likelihood with a deterministic posterior: the test of
    configs covers the others.
    """
    if EVERY:
        return [
            case
            for case in CASES
            if case.prior in (*PRIORS, "learned mixture")
            and (case.posterior != "deterministic" or case.likelihood == "bernoulli")
        ]
    return [*ONCE, *(case for case in OF_CUSTOM_PRIORS if case.prior == "learned mixture")]


def images(count: int) -> np.ndarray:
    """Returns uniform random images in [0, 1] from a fixed seed."""
    return np.random.default_rng(0).uniform(size=(count, *IMAGE_SHAPE)).astype("float32")


def parameters(distribution: tfd.Distribution) -> list[np.ndarray]:
    """Returns the parameters of a distribution as arrays."""
    inner = distribution.tensor_distribution
    parts = tf.nest.flatten(inner, expand_composites=True)
    if parts[0] is inner:  # of a ladder, whose network hides its weights
        parts = [value for value in inner.parameters.values() if tf.is_tensor(value)]
    return [part.numpy() for part in parts]
