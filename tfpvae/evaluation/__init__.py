"""Scores of a trained VAE: bounds on log p(x), the information in its latents, and faults."""

from tfpvae.evaluation.annealed_importance_sampling import (
    AnnealedBounds,
    annealed_log_likelihood,
    simulated_bounds,
)
from tfpvae.evaluation.importance_sampling import ImportanceBounds, importance_bounds
from tfpvae.evaluation.information import (
    Aggregate,
    RateDistortion,
    aggregate_posterior,
    kl_per_dimension,
    kl_per_group,
    posterior_means,
    rate_distortion,
    unit_variances,
)
from tfpvae.evaluation.non_finite import first_non_finite
from tfpvae.evaluation.probe import linear_probe
from tfpvae.evaluation.reporting import Report, report, table

__all__ = [
    "Aggregate",
    "AnnealedBounds",
    "ImportanceBounds",
    "RateDistortion",
    "Report",
    "aggregate_posterior",
    "annealed_log_likelihood",
    "first_non_finite",
    "importance_bounds",
    "kl_per_dimension",
    "kl_per_group",
    "linear_probe",
    "posterior_means",
    "rate_distortion",
    "report",
    "simulated_bounds",
    "table",
    "unit_variances",
]
