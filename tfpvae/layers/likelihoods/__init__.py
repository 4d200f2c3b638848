"""Layers that end a decoder, p(x|z)."""
