"""Networks without distributions: backbones, their layers and their start values."""
