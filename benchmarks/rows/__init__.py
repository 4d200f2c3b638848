"""The rows of the literature that `reproduce.py` runs, a module each.

A row has PUBLISHED, a line on what the source reports; EPOCHS, how long its runs are by default;
RUNS, their names; and `run(name, task) -> dict`, which trains one of them and returns its scores.
"""
