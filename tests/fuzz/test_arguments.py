"""Arguments at random: what is built answers, and what is not names the argument."""

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
    """Values that an argument may have, and some that it may not."""

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


def name(known: Any, *others: Any) -> Argument:
    known, nobody = (*sorted(known), *others), () if None in others else (None,)
    return Argument(known, (3, "no such name", [known[0]], *nobody, *NONSENSE))


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
OF_BOTH = {"image_shape": IMAGE_SHAPE, "latent_dim": whole(1, 2, 3)}
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


def answers_of_a_vae(vae: Any) -> list:
    images = np.zeros([2, *vae.image_shape], np.float32)
    labels = None if vae.num_classes is None else np.zeros([2], np.int32)
    found = [vae.reconstruct(images, labels=labels)]
    assert found[0].shape == images.shape
    if vae.prior is not None:
        found += [vae.elbo(images, labels=labels), vae.sample(2, labels=labels)]
    return found


def answers_of_a_network(network: Any) -> list:
    given = [np.ones([2, *part.shape[1:]], np.float32) for part in network.inputs]
    if len(given) > 1:
        given[1] = np.zeros([2], np.int32)
    return [network(given if len(given) > 1 else given[0]).mean()]


def answers_of_a_prior(prior: Any) -> list:
    return [prior.sample(2), prior.log_prob(prior.sample(2))]


def answers_of_a_schedule(schedule: Any) -> list:
    return [schedule(step) for step in (0, 1, 100)]


def answers_of_a_layer(layer: Any) -> list:
    size = getattr(layer, "num_params", None)
    size = layer.params_size(layer.event_shape) if size is None else size
    return [layer(np.zeros([2, size], np.float32)).mean()]


def nothing(found: Any) -> list:
    return []


def kl_term(**options: Any) -> Any:
    normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
    return layers.KLDivergenceRegularizer(normal, **options)


def mosaic(**options: Any) -> Any:
    return callbacks.SampleMosaic(tempfile.gettempdir(), **options)


def split(**options: Any) -> Any:
    return datasets.split_pictures([f"{i}.png" for i in range(9)], **options)


SMALL = whole(1, 2, 5)
OF_A_PRIOR = {"num_components": whole(1, 4), "seed": SEED, "num_layers": whole(1, 3)}
OF_A_PRIOR |= {"hidden_units": HIDDEN, "flow": name(["maf", "realnvp"])}
FRACTIONS = Argument(
    ((0.8, 0.1, 0.1), (1, 0, 0), [0.5, 0.5, 0.0]),
    ((0.5, 0.5), (0.5, 0.6, 0.1), (-1, 1, 1), 3, None, *NONSENSE),
)
# What is built, of what, and what it then answers; arguments in capitals of a call are all given.
FUNCTIONS: dict[str, tuple[Callable, dict, dict, Callable]] = {
    "build_vae": (
        vae_of,
        {"architecture": name(["dense", "deep"]), **OF_BOTH},
        {**ENCODER, **DECODER, **OBJECTIVE, "precision": name(["float32", "bfloat16"])},
        answers_of_a_vae,
    ),
    "build_encoder": (tfpvae.build_encoder, OF_BOTH | BACKBONE, ENCODER, answers_of_a_network),
    "build_decoder": (tfpvae.build_decoder, OF_BOTH | BACKBONE, DECODER, answers_of_a_network),
    "build_prior": (
        tfpvae.build_prior,
        {"kind": name(set(PRIORS) - {"vampprior"}), "latent_dim": whole(1, 2, 3)},
        OF_A_PRIOR,
        answers_of_a_prior,
    ),
    "vampprior": (
        lambda **options: tfpvae.build_prior("vampprior", **options),
        OF_BOTH,
        {"num_components": whole(1, 4), "seed": SEED, "start_images": PICTURES},
        nothing,
    ),
    "LinearWarmup": (
        schedules.LinearWarmup,
        {"num_steps": SMALL},
        {"weight": number()},
        answers_of_a_schedule,
    ),
    "CyclicalWarmup": (
        schedules.CyclicalWarmup,
        {"num_steps": SMALL},
        {"num_cycles": SMALL, "weight": number(), "ramp": number(0.1, 1)},
        answers_of_a_schedule,
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
        answers_of_a_layer,
    ),
    "Deterministic": (layers.Deterministic, EVENT, LAYER, answers_of_a_layer),
    "MultivariateNormalTriL": (
        layers.MultivariateNormalTriL,
        SIZE,
        {**LAYER, "scale_floor": number(0, 0.1)},
        answers_of_a_layer,
    ),
    "MultivariateNormalLowRank": (
        layers.MultivariateNormalLowRank,
        SIZE,
        {**LAYER, "scale_floor": number(0, 0.1), "rank": SMALL},
        answers_of_a_layer,
    ),
    "InverseAutoregressiveFlow": (
        layers.InverseAutoregressiveFlow,
        SIZE,
        {**LAYER, "num_flows": whole(1, 2), "hidden_units": HIDDEN, "context_size": SMALL},
        answers_of_a_layer,
    ),
    "IndependentBernoulli": (layers.IndependentBernoulli, EVENT, LAYER, answers_of_a_layer),
    "NormalLikelihood": (
        layers.NormalLikelihood,
        EVENT,
        {
            **LAYER,
            "scale": Argument(("learned", "per_pixel", 0.5), (0, -1, True, None, *NONSENSE)),
            "scale_floor": number(0, 0.1),
        },
        answers_of_a_layer,
    ),
    "BetaLikelihood": (
        layers.BetaLikelihood,
        EVENT,
        {**LAYER, "concentration_floor": number(0.5, 1, least=0.001)},
        answers_of_a_layer,
    ),
    **{
        mixture.__name__: (
            mixture,
            EVENT,
            {**LAYER, "components": SMALL, "scale_floor": number(1e-3, 0.1, least=1e-6)},
            answers_of_a_layer,
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
        lambda found: list(found),
    ),
    "binarize": (
        datasets.binarize,
        {"images": Argument((IMAGES,), (*NO_PICTURES, None)), "seed": SEED},
        {},
        lambda found: [found],
    ),
    "draw_digits": (
        datasets.draw_digits,
        {"num_images": SMALL},
        {"image_shape": Argument(((28, 28, 1), (9, 12, 1)), (*SIDES, *NONSENSE)), "seed": SEED},
        lambda found: [found.images],
    ),
    "draw_flowers": (
        datasets.draw_flowers,
        {"num_images": SMALL},
        {"image_shape": Argument(((20, 20, 3),), (*SIDES, *NONSENSE)), "seed": SEED},
        lambda found: [found.images],
    ),
    "split_pictures": (split, {}, {"fractions": FRACTIONS, "seed": SEED}, nothing),
}
# By which other names a message may speak of an argument.
ALSO = {"architecture": "backbone", "kind": "prior"}
ALSO |= dict.fromkeys(OF_A_PRIOR, "options")
COUNTS = {"build_vae": 12, "build_encoder": 10, "build_decoder": 10}  # of others 6


def drawn(function: str, number: int) -> tuple[dict, list[str]]:
    """Returns the arguments of one call, and which of them are wrong."""
    _, required, optional, _ = FUNCTIONS[function]
    rng = numbered(function, number)
    names = [*required, *(name for name in optional if rng.random() < 0.3)]
    spoilt = rng.sample(names, min(len(names), rng.choice([1, 1, 2]) if number % 2 else 0))
    known = required | optional
    given = {
        name: rng.choice(known[name].bad if name in spoilt else known[name].good) for name in names
    }
    return given, spoilt


def called(function: str, given: dict, spoilt: list[str]) -> str:
    """Returns what became of a call; raises AssertionError if it is what must not be."""
    build, required, optional, answers = FUNCTIONS[function]
    signal.alarm(60)  # whoever hangs is ended
    try:
        made = build(**given)
    except (ValueError, TypeError, NotImplementedError) as error:
        at = re.search if isinstance(error, NotImplementedError) else re.match  # Keras wraps those
        named = at(r"(\w+): wanted ", str(error))
        known = {*required, *optional} | {ALSO.get(name, name) for name in given}
        assert named and named[1] in known, f"{type(error).__name__}: {error}"
        return "refused" if spoilt else "refused together"
    finally:
        signal.alarm(0)
    assert not spoilt, f"accepted, though wrong: {spoilt}"
    for found in answers(made):
        assert np.isfinite(np.asarray(found, np.float64)).all(), "not finite"
    return "built"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_built_answers_and_what_is_not_names_the_argument(function):
    counts, failures = Counter(), []
    for number in range(TIMES * COUNTS.get(function, 6)):
        given, spoilt = drawn(function, number)
        try:
            counts[called(function, given, spoilt)] += 1
        except Exception as error:
            failures.append(f"{number}: {given}, {type(error).__name__}: {error}")
    print(function, dict(counts))
    assert not failures, "\n\n".join(failures)
    assert counts["built"] and counts["refused"]


def test_no_value_stands_among_the_good_and_the_bad():
    """Of what the fuzzer itself believes."""
    arguments = itertools.chain(*([*r.values(), *o.values()] for _, r, o, _ in FUNCTIONS.values()))
    for argument in arguments:
        plain = {repr(value) for value in argument.good if isinstance(value, (int, float, str))}
        assert not plain & {repr(value) for value in argument.bad}
