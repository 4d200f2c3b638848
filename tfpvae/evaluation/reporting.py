"""The report: all scores of a trained VAE, as a dict and as a table."""

import html
import math
import textwrap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfpvae.evaluation import diagnostics, importance_sampling, information, probe
from tfpvae.models import introspection
from tfpvae.models.vae import VAE

_CURVE = (1, 5, 50, 500)
_WIDTH = 88  # of a line of words


class Report(dict):
    """Numbers and sentences about a trained VAE, as `report` returns them.

    A dict of numbers, lists, sentences and dicts of them that `json.dump` can write. `print` and a
    notebook show it as a table, the prompt in one line.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> scores = report(vae, np.zeros([8, 4, 4, 1]), num_samples=20, seed=0)
    >>> type(scores).__name__, sorted(scores["elbo"])
    ('Report', ['distortion', 'kl_method', 'mean', 'rate', 'standard_error'])
    """

    def __str__(self) -> str:
        return table(self)

    def __repr__(self) -> str:
        bounds, elbo = _plus_minus(self["log_likelihood"]), _plus_minus(self["elbo"])
        return f"<Report on {self['images']} images: log p(x) {bounds}, ELBO {elbo} nats>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def report(
    vae: VAE,
    images: Any,
    labels: ArrayLike | None = None,
    *,
    num_samples: int = 1000,
    seed: int | None = None,
) -> Report:
    """Computes all scores of a trained VAE on images that it was not trained on.

    Bounds on log p(x) with their standard errors, rate and distortion, the parts of the rate, the
    latent units, squared error, with labels a linear probe, and faults in words. All numbers are
    means over the images. docs/evaluation.md explains each of them.

    Args:
      vae: a `VAE` with a prior.
      images: [N, H, W, C], float in [0, 1] or uint8, N at least 2.
      labels: class of each image, [N], for the linear probe.
      num_samples: draws of z per image for the log likelihood; papers take 5,000.
      seed: None for new draws each time, else a whole number of at least 0.

    Returns:
      A `Report`, a dict that `print` shows as a table. It leaves out what this VAE does not define.

    Raises:
      ValueError: for a plain autoencoder, which has no likelihood, or for labels that do not fit.

    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> scores = report(vae, np.zeros([8, 4, 4, 1]), num_samples=20, seed=0)
    >>> scores["latent"]["units"]
    2
    >>> print(scores)  # doctest: +ELLIPSIS
    log p(x) by 20 importance samples ...
    """
    if seed is None:
        seed = int(np.random.default_rng().integers(2**31))
    pixels, num_samples, key = vae.scoring_arguments("report", images, num_samples, seed)
    means = information.posterior_means(vae, images, seed)
    if labels is not None:  # first, since it may be refused
        accuracy = probe.linear_probe(means, labels, seed)
    terms = information.rate_distortion(vae, images, seed=seed)
    aggregate = information.aggregate_posterior(vae, images, seed=seed)
    variances = information.unit_variances(means)
    kl_per_dimension = information.kl_per_dimension(vae, images, seed)
    scores = Report(
        {
            "images": len(means),
            "seed": seed,
            "likelihood": introspection.scores(vae.decoder),
            "binary_images": bool(np.isin(pixels, (0, 1)).all()),
            "log_likelihood": _log_likelihood(vae, images, num_samples, seed),
            "elbo": {
                **_estimate(-terms.rate - terms.distortion),
                "rate": _estimate(terms.rate),
                "distortion": _estimate(terms.distortion),
                "kl_method": vae.kl_method,
            },
            "information": {
                "mutual_information": _pair(aggregate.mutual_information),
                "marginal_kl": _pair(aggregate.marginal_kl),
                "most_information": aggregate.most_information,
            },
            "latent": {
                "units": len(variances),
                "active_units": int(np.sum(variances > information.ACTIVE)),
                "unit_variances": variances.tolist(),
            },
            "squared_error": _estimate(_squared_error(vae, pixels)),
        }
    )
    if kl_per_dimension is not None:
        scores["latent"]["kl_per_dimension"] = kl_per_dimension.tolist()
    if labels is not None:
        scores["linear_probe_accuracy"] = accuracy
    numbers, sentences = diagnostics.troubles(
        vae, diagnostics.one_pass(vae, pixels), variances, float(terms.rate.mean()), key
    )
    scores["trouble"] = {**numbers, "words": sentences + _cautions(scores)}
    return scores


def table(report: dict[str, Any]) -> str:
    """Returns a report as a table of text, which `print(report)` shows.

    Args:
      report: the dict that `report` returned, or the same dict read from a JSON file.

    Raises:
      TypeError: for anything else.

    >>> import json
    >>> import tfpvae
    >>> vae = tfpvae.build_vae("dense", image_shape=(4, 4, 1))
    >>> scores = report(vae, np.zeros([8, 4, 4, 1]), num_samples=20, seed=0)
    >>> table(json.loads(json.dumps(scores))) == str(scores)
    True
    """
    if not isinstance(report, dict) or not {"log_likelihood", "elbo", "trouble"} <= set(report):
        content = sorted(map(str, report)) if isinstance(report, dict) else type(report).__name__
        raise TypeError(f"report: wanted the dict that report returns, got {content}.")
    bounds, elbo, shared = report["log_likelihood"], report["elbo"], report["information"]
    latent, samples = report["latent"], report["log_likelihood"]["num_samples"]
    rows = [
        (f"log p(x) by {samples} importance samples", _plus_minus(bounds), "nats"),
        *((f"  L_{k}, of {k} a time", f"{v:.3f}", "nats") for k, v in bounds["curve"].items()),
        ("  effective draws, median image", f"{bounds['effective_samples']:.0f}", f"of {samples}"),
        ("ELBO", _plus_minus(elbo), "nats"),
        (f"  rate, KL(q(z|x) || p(z)), {elbo['kl_method']}", _plus_minus(elbo["rate"]), "nats"),
        ("  distortion, -log p(x|z)", _plus_minus(elbo["distortion"]), "nats"),
        ("mutual information I(x; z)", _plus_minus(shared["mutual_information"]), "nats"),
        ("  at most, log of their number", f"{shared['most_information']:.3f}", "nats"),
        ("marginal KL(q(z) || p(z))", _plus_minus(shared["marginal_kl"]), "nats"),
        ("active units", str(latent["active_units"]), f"of {latent['units']}"),
        ("squared error a value", _plus_minus(report["squared_error"], 5), ""),
    ]
    if "bits_per_dim" in bounds:
        rows.insert(1, ("  bits per dim", f"{bounds['bits_per_dim']:.4f}", "bits"))
    if "kl_per_dimension" in latent:
        largest = sorted(latent["kl_per_dimension"], reverse=True)[:5]
        rows.insert(-1, ("  largest KL of a unit", " ".join(f"{x:.2f}" for x in largest), "nats"))
    if "linear_probe_accuracy" in report:
        rows.append(("linear probe, accuracy", f"{report['linear_probe_accuracy']:.3f}", ""))
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"{name:<{names}}  {value:>{values}}  {unit}".rstrip() for name, value, unit in rows]
    words = report["trouble"]["words"] or ["No trouble report."]
    return "\n".join([*lines, "", *(textwrap.fill(each, _WIDTH) for each in words)])


def _log_likelihood(vae: VAE, images: Any, num_samples: int, seed: int) -> dict:
    ks = [k for k in _CURVE if k < num_samples]
    bounds = importance_sampling.importance_bounds(vae, images, num_samples, ks, seed)
    errors = bounds.standard_error
    scores: dict[str, Any] = {
        **_estimate(bounds.log_likelihood),
        "num_samples": num_samples,
        "monte_carlo_error": _finite(np.sqrt(np.sum(errors**2)) / len(errors)),
        "effective_samples": float(np.median(bounds.effective_samples)),
        "curve": {str(k): float(values.mean()) for k, values in bounds.curve.items()},
    }
    try:
        of_a_level = introspection.bits_of_a_level(vae)
    except ValueError:  # where bits mean nothing
        return scores
    values = math.prod(vae.image_shape) * math.log(2)
    return {**scores, "bits_per_dim": of_a_level - scores["mean"] / values}


def _squared_error(vae: VAE, pixels: Any) -> np.ndarray:
    """Returns the mean over pixel values of (x - E[x|z])^2 at the mean of q(z|x): [N]."""
    difference = vae.reconstruct(pixels).numpy() - pixels.numpy()
    axes = tuple(range(1, difference.ndim))
    return np.nanmean(difference.astype(np.float64) ** 2, axis=axes)  # of what is observed


def _cautions(scores: dict) -> list[str]:
    """Returns sentences about the limits of the numbers in a report."""
    words = []
    if scores["likelihood"] == "binary_mass" and not scores["binary_images"]:
        words.append(
            "Gray pixels under a Bernoulli: log p(x) is a cross-entropy, no density, and compares "
            "with none."
        )
    bounds, shared = scores["log_likelihood"], scores["information"]
    if bounds["effective_samples"] < 10:
        words.append(
            f"Few effective draws: half of the images rest on {bounds['effective_samples']:.1f} of "
            f"{bounds['num_samples']} draws or fewer, so that log p(x) is still too low; take more."
        )
    if shared["mutual_information"]["mean"] > shared["most_information"] - 0.1:
        words.append(
            "Mutual information at its ceiling, the log of the number of images: it says that the "
            "images are told apart, not by how much; marginal KL is then an upper bound."
        )
    return words


def _estimate(values: np.ndarray) -> dict[str, float | None]:
    return _pair(importance_sampling.mean_and_error(values))


def _pair(pair: tuple[float, float]) -> dict[str, float | None]:
    mean, error = pair
    return {"mean": mean, "standard_error": _finite(error)}


def _finite(number: float) -> float | None:
    """Returns a number, or None for one that JSON cannot write."""
    return float(number) if np.isfinite(number) else None


def _plus_minus(estimate: dict, digits: int = 3) -> str:
    error = estimate["standard_error"]
    return f"{estimate['mean']:.{digits}f}" + ("" if error is None else f" +- {error:.{digits}f}")
