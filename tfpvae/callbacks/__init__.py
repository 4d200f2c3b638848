"""Callbacks for `fit`: what a VAE draws while it learns, and when to stop."""

from tfpvae.callbacks.early_stopping import EarlyStopping
from tfpvae.callbacks.non_finite import StopOnNonFinite
from tfpvae.callbacks.sample_mosaic import SampleMosaic
from tfpvae.callbacks.tensorboard import TensorBoard

__all__ = ["EarlyStopping", "SampleMosaic", "StopOnNonFinite", "TensorBoard"]
