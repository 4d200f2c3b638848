"""Callbacks for `fit`: pictures and logs of a training, and when to stop it."""

from tfpvae.callbacks.early_stopping import EarlyStopping
from tfpvae.callbacks.non_finite import StopOnNonFinite
from tfpvae.callbacks.sample_mosaic import SampleMosaic
from tfpvae.callbacks.tensorboard import TensorBoard

__all__ = ["EarlyStopping", "SampleMosaic", "StopOnNonFinite", "TensorBoard"]
