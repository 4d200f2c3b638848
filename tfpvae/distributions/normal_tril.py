"""Multivariate normal with a triangular scale, for LiteRT and ONNX."""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class NormalTriL(tfd.MultivariateNormalTriL):
    """The normal of that name, with moments of operations that LiteRT and ONNX have."""

    def _mean(self):
        return tf.identity(self.loc)

    def _stddev(self):
        return tf.norm(self.scale.to_dense(), axis=-1)
