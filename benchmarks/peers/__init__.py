"""The same network, data and optimizer by different libraries: see throughput.py.

A module of this package has a class `Trainer(task)` with a method `epoch() -> loss`, the mean over
an epoch of nll + KL in nats an image (or of the importance-weighted bound), and imports no library
but its own.
"""
