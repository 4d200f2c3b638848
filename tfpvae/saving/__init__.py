"""Saving: distributions as plain data, safe loading, and files that are whole or absent."""

from tfpvae.saving.functions import function_from_name, function_to_name
from tfpvae.saving.model_card import ModelCard
from tfpvae.saving.serialization import from_config, register, to_config

__all__ = [
    "ModelCard",
    "from_config",
    "function_from_name",
    "function_to_name",
    "register",
    "to_config",
]
