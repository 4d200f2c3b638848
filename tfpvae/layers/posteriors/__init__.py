"""Layers that end an encoder, q(z|x)."""
