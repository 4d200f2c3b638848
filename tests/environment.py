"""Sets what TensorFlow reads when it starts, for the tests and the processes that they start."""

import os
from importlib.metadata import version

from tests.pairs import EVERY

# Operations of tests are too small for several threads, and both cores have tests to run.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# XLA takes longer to optimize the programs of tests than they run.
XLA_FLAGS = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
if version("tensorflow").startswith("2.21."):  # XLA ends the process at a flag that it has not
    XLA_FLAGS.append("--xla_cpu_use_fusion_emitters=false")
if not EVERY:
    os.environ.setdefault("XLA_FLAGS", " ".join(XLA_FLAGS))
