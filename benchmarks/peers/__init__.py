"""The same network, data and optimizer by different libraries: see throughput.py.

Each module has a class `Trainer(task)` with a method `epoch() -> loss`, the mean over an epoch of
nll + KL in nats per image (or of the importance-weighted bound), and imports only its own library.
"""
