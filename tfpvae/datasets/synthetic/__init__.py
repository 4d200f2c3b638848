"""Pictures drawn from a seed: flowers and handwritten digits, with classes and no download."""
