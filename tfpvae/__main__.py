"""`python -m tfpvae`: what one pastes into a bug report."""

from tfpvae import _environment

print(_environment.report())
