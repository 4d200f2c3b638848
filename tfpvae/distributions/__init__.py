"""Distributions that TensorFlow Probability lacks or computes slowly or badly."""
