"""Training: batches, execution of steps, and the state of checkpoints."""
