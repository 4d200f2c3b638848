"""`python -m tfpvae`: what one pastes into a bug report."""

from tfpvae import environment

print(environment.report())
