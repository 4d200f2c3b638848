"""Combinations that make no sense are refused, and the docs count the others."""

import re
from pathlib import Path

import numpy as np
import pytest

import tfpvae
from tests.contracts.registry import ALL, IMAGE_SHAPE, LATENT_DIM, OF_PIXELS, REFUSED, SENSIBLE
from tfpvae.models.decoders import LIKELIHOODS
from tfpvae.models.encoders import POSTERIORS
from tfpvae.models.objectives import OBJECTIVES
from tfpvae.priors import PRIORS

CHOICES = Path(__file__).parents[2] / "docs" / "choices.md"
MASSES = {
    "bernoulli",
    "coupled_mixture_of_logistics",
    "discretized_logistic",
    "mixture_of_logistics",
}


def build(**options) -> tfpvae.VAE:
    options = {"image_shape": IMAGE_SHAPE, "latent_dim": LATENT_DIM} | options
    return tfpvae.build_vae("dense", **options)


def is_refused(**options) -> bool:
    try:
        build(**options)
    except ValueError:
        return True
    return False


def test_the_docs_count_the_combinations():
    text = " ".join(CHOICES.read_text().split())
    match = re.search(
        r"There are (\d+) combinations.* (\d+) of them make sense.* The other (\d+)", text
    )
    assert [int(number) for number in match.groups()] == [len(ALL), len(SENSIBLE), len(REFUSED)]


def test_the_docs_name_every_posterior_prior_and_likelihood():
    text = CHOICES.read_text()
    assert [
        name for name in (*POSTERIORS, *PRIORS, *LIKELIHOODS) if f'| ["{name}"](' not in text
    ] == []


@pytest.mark.spread(20)
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_combination_that_makes_no_sense_is_refused(case):
    with pytest.raises(ValueError, match=r"prior: wanted .*deterministic.*no density"):
        case.build()


def test_objectives_refuse_posteriors_without_the_density_they_need():
    pairs = [(q, objective) for q in POSTERIORS for objective in OBJECTIVES]
    refused = {pair for pair in pairs if is_refused(posterior=pair[0], objective=pair[1])}
    points = {("deterministic", "iwae"), ("deterministic", "dreg")}
    assert refused == points | {("iaf", "dreg"), ("ladder", "dreg")}


def test_masses_are_not_dequantized_and_densities_have_no_bits():
    x = np.zeros([1, *IMAGE_SHAPE], np.uint8)
    for likelihood in OF_PIXELS:
        assert is_refused(likelihood=likelihood, dequantize=True) == (likelihood in MASSES)
        for dequantize in {False, likelihood not in MASSES}:
            vae = build(likelihood=likelihood, dequantize=dequantize)
            if likelihood in MASSES - {"bernoulli"} or dequantize:
                assert np.isfinite(vae.bits_per_dim(x, 2, seed=0)).all()
                continue
            with pytest.raises(ValueError, match="bits_per_dim: wanted a probability mass"):
                vae.bits_per_dim(x)


@pytest.mark.parametrize(
    "options",
    [
        *({"posterior": "deterministic", **o} for o in ({"num_samples": 2}, {"free_bits": 0.1})),
        {"posterior": "deterministic", "target_rate": 3.0},
        *({"posterior": name, "latent_dim": 1} for name in ("iaf", "ladder")),
        *({"objective": o, "free_bits": 0.1} for o in ("iwae", "dreg")),
        *({"objective": o, "target_rate": 3.0} for o in ("iwae", "dreg")),
        {"free_bits": 0.1, "target_rate": 3.0},
        {"prior": "vampprior", "num_classes": 2},
    ],
    ids=str,
)
def test_options_that_contradict_each_other_are_refused(options):
    assert is_refused(**options)


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "options",
    [
        *({"posterior": name} for name in ("iaf", "ladder")),
        *({"prior": name} for name in ("mixture", "flow", "vampprior")),
    ],
)
def test_an_exact_kl_without_a_closed_form_is_refused(options):
    with pytest.raises(NotImplementedError):
        build(use_exact_kl=True, **options)
    assert build(**options).kl_method == "monte_carlo"


def test_an_encoder_alone_cannot_have_a_vampprior():
    with pytest.raises(ValueError, match="made of that very encoder"):
        tfpvae.build_encoder(
            image_shape=IMAGE_SHAPE, latent_dim=2, backbone="dense", prior="vampprior"
        )
    with pytest.raises(ValueError, match=r"at least 2|latent_dim"):
        tfpvae.build_prior("flow", latent_dim=1, flow="realnvp")
