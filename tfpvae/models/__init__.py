"""The model: its builders, its loss and what it can be asked."""
