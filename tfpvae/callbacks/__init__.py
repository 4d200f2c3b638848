"""Callbacks for `fit`: what a VAE draws while it learns, and when to stop."""

from tfpvae.callbacks.showing import SampleMosaic, TensorBoard
from tfpvae.callbacks.stopping import EarlyStopping, StopOnNonFinite

__all__ = ["EarlyStopping", "SampleMosaic", "StopOnNonFinite", "TensorBoard"]
