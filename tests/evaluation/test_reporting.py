"""The report is plain data, its numbers fit each other, and it is there for every kind of VAE."""

import json

import numpy as np
import pytest

import tfpvae
from tests.evaluation import linear
from tests.models.test_vae import pictures, small_vae
from tfpvae import evaluation

pytestmark = pytest.mark.eager


def test_the_numbers_fit_each_other_and_the_closed_form(capsys):
    x = linear.images(200)
    labels = (x[:, 0, 0, 0] > np.median(x[:, 0, 0, 0])).astype(int)
    result = evaluation.report(linear.vae(), x, labels, num_samples=60, seed=0)
    truth = linear.log_likelihood(x).mean()
    elbo, shared = result["elbo"], result["information"]
    assert result["log_likelihood"]["mean"] == pytest.approx(truth, rel=1e-4)
    assert elbo["mean"] == pytest.approx(-elbo["rate"]["mean"] - elbo["distortion"]["mean"])
    assert list(result["log_likelihood"]["curve"]) == ["1", "5", "50"]
    assert result["log_likelihood"]["effective_samples"] == pytest.approx(60, rel=1e-3)
    parts = shared["mutual_information"]["mean"] + shared["marginal_kl"]["mean"]
    error = 4 * elbo["rate"]["standard_error"] + 4 * shared["marginal_kl"]["standard_error"]
    assert parts == pytest.approx(elbo["rate"]["mean"], abs=error)
    assert result["latent"]["active_units"] == result["latent"]["units"] == 3
    reconstructed = linear.vae().reconstruct(x).numpy()
    expected = np.mean((reconstructed - x) ** 2)
    assert result["squared_error"]["mean"] == pytest.approx(expected, rel=1e-4)
    assert result["linear_probe_accuracy"] > 0.7
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert capsys.readouterr().out == ""
    printed = str(result)
    assert printed == evaluation.table(result)
    assert evaluation.table(json.loads(json.dumps(result))) == printed
    mean, error = (result["elbo"][name] for name in ("mean", "standard_error"))
    assert repr(result).startswith("<Report on 200 images: log p(x) ")
    assert repr(result).endswith(f"ELBO {mean:.3f} +- {error:.3f} nats>")
    assert "linear probe" in result._repr_html_() and "p(z)" in result._repr_html_()
    assert "linear probe" in printed and max(map(len, printed.splitlines()[:18])) < 80


FLOW = tfpvae.build_prior("flow", latent_dim=2, num_layers=1, hidden_units=(4,))
OPTIONS = {
    "mixture": {"prior": "mixture", "likelihood": "continuous_bernoulli", "dequantize": True},
    "tril": {"posterior": "multivariate_normal_tril", "likelihood": "discretized_logistic"},
    "low rank": {"posterior": "low_rank", "likelihood": "normal", "prior": FLOW},
    "iaf": {"posterior": "iaf", "likelihood": "beta"},
    "iwae": {"objective": "iwae", "num_samples": 3, "likelihood": "mixture_of_logistics"},
}


@pytest.mark.spread(2)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_is_there_for_every_kind_of_vae_and_seeded(options):
    vae, x = small_vae(**options), pictures(4, "uint8")
    once, again = (evaluation.report(vae, x, num_samples=3, seed=7) for _ in range(2))
    assert once == again
    assert json.dumps(once, allow_nan=False)
    assert "linear probe" not in str(once)
    has_bits = options.get("dequantize") or "logistic" in options["likelihood"]
    assert ("bits_per_dim" in once["log_likelihood"]) == bool(has_bits)
    if has_bits:
        expected = np.mean(vae.bits_per_dim(x, 3, seed=7))
        assert once["log_likelihood"]["bits_per_dim"] == pytest.approx(expected, rel=1e-5)


def test_it_says_what_the_numbers_are_not():
    def words(vae, x, **options):
        return " ".join(evaluation.report(vae, x, seed=0, **options)["trouble"]["words"])

    gray = words(small_vae(), pictures(4), num_samples=50)
    assert "Gray pixels under a Bernoulli" in gray and "Mutual information" not in gray
    binary = words(small_vae(), np.round(pictures(4)), num_samples=3)
    assert "Gray pixels" not in binary and "Few effective draws" in binary
    apart = words(linear.vae(scale=1e-3), linear.images(10), num_samples=50)
    assert "Mutual information at its ceiling" in apart


def test_without_a_seed_it_says_which_it_took():
    vae = small_vae()
    result = evaluation.report(vae, pictures(4), num_samples=3)
    assert evaluation.report(vae, pictures(4), num_samples=3, seed=result["seed"]) == result


def test_what_has_no_likelihood_is_refused():
    with pytest.raises(ValueError, match="report: wanted a VAE with a prior"):
        evaluation.report(small_vae(posterior="deterministic"), pictures())
    with pytest.raises(ValueError, match=r"labels: wanted \[12\]"):
        evaluation.report(small_vae(), pictures(), np.zeros(3))
    assert "evaluation" in tfpvae.__all__


@pytest.mark.parametrize(
    "ask",
    [
        lambda vae, x: evaluation.report(vae, x, np.arange(4), seed=0),
        lambda vae, x: evaluation.importance_bounds(vae, x, 5),
        lambda vae, x: evaluation.annealed_log_likelihood(vae, x, 2, 2),
        lambda vae, x: evaluation.simulated_bounds(vae, 2, 2, 2),
        lambda vae, x: evaluation.rate_distortion(vae, x),
        lambda vae, x: evaluation.kl_per_dimension(vae, x),
        lambda vae, x: evaluation.aggregate_posterior(vae, x),
        lambda vae, x: tfpvae.ex_post.fit_prior(vae, x),
    ],
)
def test_a_conditional_vae_is_refused_in_words(ask):
    vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1), num_classes=4)
    with pytest.raises(ValueError, match="ex_post take no conditional VAE"):
        ask(vae, np.zeros([4, 4, 4, 1], "float32"))


@pytest.mark.parametrize("report", [None, [], {}, {"loss": [1.0]}], ids=str)
def test_a_table_of_something_else_is_refused(report):
    with pytest.raises(TypeError, match="report: wanted the dict that report returns, got"):
        evaluation.table(report)
