"""Random arguments: valid ones build a working object, invalid ones are named by the error."""

import itertools
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow_probability as tfp

import tfpvae
from tests.fuzz import TIMES, numbered
from tfpvae import callbacks, datasets, layers, schedules
from tfpvae.models.decoders import LIKELIHOODS
from tfpvae.models.encoders import POSTERIORS
from tfpvae.priors import PRIORS

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (12, *SHAPE), dtype=np.uint8)


class Argument(NamedTuple):
    """Valid and invalid values of an argument."""

    good: tuple
    bad: tuple


NONSENSE = ("", "x", b"x", [], {}, object, 1j, lambda: 1, np.ones(2), float("nan"))


def whole(*good: int, least: int = 1, optional: bool = False) -> Argument:
    good = good or (least, least + 1, np.int64(least + 2))
    numbers = (least - 1, -(2**70), 1.5, float("inf"), True, "2", [2], *NONSENSE)
    return Argument((*good, None), numbers) if optional else Argument(good, (*numbers, None))


def number(*good: Any, least: float = 0, optional: bool = False) -> Argument:
    good = good or (least, least + 0.5, np.float32(least + 1), 2)
    numbers = (least - 0.5, -1e300, float("inf"), True, "2", [1.0], *NONSENSE)
    return Argument((*good, None), numbers) if optional else Argument(good, (*numbers, None))


def name(names: Any, *others: Any) -> Argument:
    names, none = (*sorted(names), *others), () if None in others else (None,)
    return Argument(names, (3, "no such name", [names[0]], *none, *NONSENSE))


SIDES = ((4, 4), (4, 4, 1, 1), (0, 4, 1), (4.0, 4, 1), (4, -4, 1), "441", 4, None, (True, 4, 1))
IMAGE_SHAPE = Argument((SHAPE, SHAPE, [5, 3, 3], np.array([3, 6, 1])), (*SIDES, *NONSENSE))
FLAG = Argument((True, False), (0, "yes", None, *NONSENSE))
NO_PICTURES = (IMAGES[0], IMAGES / 1.0, *NONSENSE)
PICTURES = Argument((IMAGES, IMAGES / 255.0, None), NO_PICTURES)
SEED = whole(0, 1, 2**31, least=0)
WARMUPS = (schedules.LinearWarmup(3), schedules.CyclicalWarmup(4))
KL = {
    "kl_weight": number(0, 0.5, 3, *WARMUPS),
    "use_exact_kl": Argument((True, False, None), (0, "yes", *NONSENSE)),
    "kl_samples": whole(),
}
NO_OPTIONS = [{"depht": 2}, {"width": 0}, *[x for x in NONSENSE if not isinstance(x, dict)]]
OPTIONS = {"backbone_options": Argument((None, {}), tuple(NO_OPTIONS))}
LABELS = {"num_classes": whole(optional=True), "label_embedding": whole(optional=True)}
ENCODER = {
    "posterior": name(POSTERIORS),
    "prior": name(set(PRIORS) - {"vampprior"}, None),
    "scale_floor": number(0, 1e-4, 1),
    "start_images": PICTURES,
    **KL,
    **LABELS,
    **OPTIONS,
}
DECODER = {
    "likelihood": name(LIKELIHOODS),
    "pixel_mean": Argument(
        (0.3, 0, 1, np.full(SHAPE, 0.5), None), (-1, 2, float("inf"), np.ones((7, 7)), *NONSENSE)
    ),
    **LABELS,
    **OPTIONS,
}
OBJECTIVE = {
    "objective": name(["elbo", "iwae", "dreg"]),
    "num_samples": whole(),
    "free_bits": number(0, 0, 0.5),
    "target_rate": number(0, 3.0, optional=True),
    "dequantize": FLAG,
}
SIZES = {"image_shape": IMAGE_SHAPE, "latent_dim": whole(1, 2, 3)}
BACKBONE = {"backbone": name(["dense", "dense", "dense", *tfpvae.list_architectures()])}
HIDDEN = Argument(((3,), [4, 2], ()), (3, (0,), (1.5,), "34", None, *NONSENSE[1:]))
LAYER = {
    "convert_to_tensor_fn": Argument(
        ("mean", "sample"), (3, None, "", "no such", ["mean"], {}, 1j)
    ),
    "validate_args": FLAG,
}
SIZE = {"event_size": whole(2, 3)}
NO_EVENT = (0, (0,), (-1,), 1.5, None, *NONSENSE[:3], *NONSENSE[4:])
EVENT = {"event_shape": Argument((2, (2,), [4, 4, 1]), NO_EVENT)}


def vae_of(architecture: Any, **options: Any) -> Any:
    return tfpvae.build_vae(architecture, **options)


def outputs_of_a_vae(vae: Any) -> list:
    images = np.zeros([2, *vae.image_shape], np.float32)
    labels = None if vae.num_classes is None else np.zeros([2], np.int32)
    outputs = [vae.reconstruct(images, labels=labels)]
    assert outputs[0].shape == images.shape
    if vae.prior is not None:
        outputs += [vae.elbo(images, labels=labels), vae.sample(2, labels=labels)]
    return outputs


def outputs_of_a_network(network: Any) -> list:
    inputs = [np.ones([2, *part.shape[1:]], np.float32) for part in network.inputs]
    if len(inputs) > 1:
        inputs[1] = np.zeros([2], np.int32)
    return [network(inputs if len(inputs) > 1 else inputs[0]).mean()]


def outputs_of_a_prior(prior: Any) -> list:
    return [prior.sample(2), prior.log_prob(prior.sample(2))]


def outputs_of_a_schedule(schedule: Any) -> list:
    return [schedule(step) for step in (0, 1, 100)]


def outputs_of_a_layer(layer: Any) -> list:
    size = getattr(layer, "num_params", None)
    size = layer.params_size(layer.event_shape) if size is None else size
    return [layer(np.zeros([2, size], np.float32)).mean()]


def nothing(result: Any) -> list:
    return []


def kl_term(**options: Any) -> Any:
    normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
    return layers.KLDivergenceRegularizer(normal, **options)


def mosaic(**options: Any) -> Any:
    return callbacks.SampleMosaic(tempfile.gettempdir(), **options)


def split(**options: Any) -> Any:
    return datasets.split_pictures([f"{i}.png" for i in range(9)], **options)


SMALL = whole(1, 2, 5)
PRIOR_OPTIONS = {"num_components": whole(1, 4), "seed": SEED, "num_layers": whole(1, 3)}
PRIOR_OPTIONS |= {"hidden_units": HIDDEN, "flow": name(["maf", "realnvp"])}
FRACTIONS = Argument(
    ((0.8, 0.1, 0.1), (1, 0, 0), [0.5, 0.5, 0.0]),
    ((0.5, 0.5), (0.5, 0.6, 0.1), (-1, 1, 1), 3, None, *NONSENSE),
)
# Per function: what builds the object, required and optional arguments, and the object's outputs.
FUNCTIONS: dict[str, tuple[Callable, dict, dict, Callable]] = {
    "build_vae": (
        vae_of,
        {"architecture": name(["dense", "deep"]), **SIZES},
        {**ENCODER, **DECODER, **OBJECTIVE, "precision": name(["float32", "bfloat16"])},
        outputs_of_a_vae,
    ),
    "build_encoder": (tfpvae.build_encoder, SIZES | BACKBONE, ENCODER, outputs_of_a_network),
    "build_decoder": (tfpvae.build_decoder, SIZES | BACKBONE, DECODER, outputs_of_a_network),
    "build_prior": (
        tfpvae.build_prior,
        {"kind": name(set(PRIORS) - {"vampprior"}), "latent_dim": whole(1, 2, 3)},
        PRIOR_OPTIONS,
        outputs_of_a_prior,
    ),
    "vampprior": (
        lambda **options: tfpvae.build_prior("vampprior", **options),
        SIZES,
        {"num_components": whole(1, 4), "seed": SEED, "start_images": PICTURES},
        nothing,
    ),
    "LinearWarmup": (
        schedules.LinearWarmup,
        {"num_steps": SMALL},
        {"weight": number()},
        outputs_of_a_schedule,
    ),
    "CyclicalWarmup": (
        schedules.CyclicalWarmup,
        {"num_steps": SMALL},
        {"num_cycles": SMALL, "weight": number(), "ramp": number(0.1, 1)},
        outputs_of_a_schedule,
    ),
    "KLDivergenceRegularizer": (
        kl_term,
        {},
        {
            "use_exact_kl": KL["use_exact_kl"],
            "num_samples": SMALL,
            "weight": number(0, 0.5, optional=True),
        },
        nothing,
    ),
    "OneHot": (layers.OneHot, {"num_classes": SMALL}, {}, nothing),
    "IndependentNormal": (
        layers.IndependentNormal,
        EVENT,
        {**LAYER, "scale_floor": number(0, 0.1)},
        outputs_of_a_layer,
    ),
    "Deterministic": (layers.Deterministic, EVENT, LAYER, outputs_of_a_layer),
    "MultivariateNormalTriL": (
        layers.MultivariateNormalTriL,
        SIZE,
        {**LAYER, "scale_floor": number(0, 0.1)},
        outputs_of_a_layer,
    ),
    "MultivariateNormalLowRank": (
        layers.MultivariateNormalLowRank,
        SIZE,
        {**LAYER, "scale_floor": number(0, 0.1), "rank": SMALL},
        outputs_of_a_layer,
    ),
    "InverseAutoregressiveFlow": (
        layers.InverseAutoregressiveFlow,
        SIZE,
        {**LAYER, "num_flows": whole(1, 2), "hidden_units": HIDDEN, "context_size": SMALL},
        outputs_of_a_layer,
    ),
    "IndependentBernoulli": (layers.IndependentBernoulli, EVENT, LAYER, outputs_of_a_layer),
    "NormalLikelihood": (
        layers.NormalLikelihood,
        EVENT,
        {
            **LAYER,
            "scale": Argument(("learned", "per_pixel", 0.5), (0, -1, True, None, *NONSENSE)),
            "scale_floor": number(0, 0.1),
        },
        outputs_of_a_layer,
    ),
    "BetaLikelihood": (
        layers.BetaLikelihood,
        EVENT,
        {**LAYER, "concentration_floor": number(0.5, 1, least=0.001)},
        outputs_of_a_layer,
    ),
    **{
        mixture.__name__: (
            mixture,
            EVENT,
            {**LAYER, "components": SMALL, "scale_floor": number(1e-3, 0.1, least=1e-6)},
            outputs_of_a_layer,
        )
        for mixture in (
            layers.LogisticMixtureLikelihood,
            layers.CoupledLogisticMixtureLikelihood,
        )
    },
    "SampleMosaic": (
        mosaic,
        {},
        {
            "every": SMALL,
            "unit": name(["epoch", "step"]),
            "num_images": SMALL,
            "seed": whole(0, 1, least=0),
        },
        nothing,
    ),
    "batches": (
        datasets.batches,
        {"images": Argument((IMAGES,), (*NO_PICTURES, None)), "batch_size": SMALL},
        {
            "binarization": name(["none", "static", "dynamic"]),
            "shuffle": FLAG,
            "seed": whole(0, 1, least=0, optional=True),
        },
        lambda result: list(result),
    ),
    "binarize": (
        datasets.binarize,
        {"images": Argument((IMAGES,), (*NO_PICTURES, None)), "seed": SEED},
        {},
        lambda result: [result],
    ),
    "draw_digits": (
        datasets.draw_digits,
        {"num_images": SMALL},
        {"image_shape": Argument(((28, 28, 1), (9, 12, 1)), (*SIDES, *NONSENSE)), "seed": SEED},
        lambda result: [result.images],
    ),
    "draw_flowers": (
        datasets.draw_flowers,
        {"num_images": SMALL},
        {"image_shape": Argument(((20, 20, 3),), (*SIDES, *NONSENSE)), "seed": SEED},
        lambda result: [result.images],
    ),
    "split_pictures": (split, {}, {"fractions": FRACTIONS, "seed": SEED}, nothing),
}
# Other names by which a message may call an argument.
ALIASES = {"architecture": "backbone", "kind": "prior"}
ALIASES |= dict.fromkeys(PRIOR_OPTIONS, "options")
COUNTS = {"build_vae": 12, "build_encoder": 10, "build_decoder": 10}  # 6 of the others


def random_arguments(function: str, number: int) -> tuple[dict, list[str]]:
    """Returns the arguments of one call, and the names of the invalid ones."""
    _, required, optional, _ = FUNCTIONS[function]
    rng = numbered(function, number)
    names = [*required, *(name for name in optional if rng.random() < 0.3)]
    invalid = rng.sample(names, min(len(names), rng.choice([1, 1, 2]) if number % 2 else 0))
    arguments = required | optional
    inputs = {
        name: rng.choice(arguments[name].bad if name in invalid else arguments[name].good)
        for name in names
    }
    return inputs, invalid


def outcome_of(function: str, inputs: dict, invalid: list[str]) -> str:
    """Calls a function; returns the outcome, or raises AssertionError if it is not allowed."""
    build, required, optional, outputs = FUNCTIONS[function]
    signal.alarm(60)  # ends a call that hangs
    try:
        built = build(**inputs)
    except (ValueError, TypeError, NotImplementedError) as error:
        match = (
            re.search if isinstance(error, NotImplementedError) else re.match
        )  # Keras wraps the former
        named = match(r"(\w+): wanted ", str(error))
        names = {*required, *optional} | {ALIASES.get(name, name) for name in inputs}
        assert named and named[1] in names, f"{type(error).__name__}: {error}"
        return "refused" if invalid else "refused together"
    finally:
        signal.alarm(0)
    assert not invalid, f"accepted although invalid: {invalid}"
    for output in outputs(built):
        assert np.isfinite(np.asarray(output, np.float64)).all(), "not finite"
    return "built"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_valid_arguments_build_and_invalid_ones_are_named(function):
    counts, failures = Counter(), []
    for number in range(TIMES * COUNTS.get(function, 6)):
        inputs, invalid = random_arguments(function, number)
        try:
            counts[outcome_of(function, inputs, invalid)] += 1
        except Exception as error:
            failures.append(f"{number}: {inputs}, {type(error).__name__}: {error}")
    print(function, dict(counts))
    assert not failures, "\n\n".join(failures)
    assert counts["built"] and counts["refused"]


def test_no_value_is_listed_as_both_good_and_bad():
    arguments = itertools.chain(*([*r.values(), *o.values()] for _, r, o, _ in FUNCTIONS.values()))
    for argument in arguments:
        plain = {repr(value) for value in argument.good if isinstance(value, (int, float, str))}
        assert not plain & {repr(value) for value in argument.bad}
