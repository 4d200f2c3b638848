"""Moving averages of weights, which take the place of the weights when a training ends."""

import tf_keras


class ConstrainedAverages(tf_keras.callbacks.Callback):
    """Callback that applies the constraints of weights to their moving averages.

    An optimizer with `use_ema` averages the weights of a step before it applies their constraints.
    """

    def on_train_end(self, logs=None):
        """Constrains the weights, in whose place Keras has just put the averages."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not getattr(optimizer, "use_ema", False):
            return
        for weight in self.model.trainable_weights:
            if weight.constraint is not None:
                weight.assign(weight.constraint(weight))
