"""`import tfpvae` imports no packages beyond its dependencies."""

import subprocess
import sys

IMPORTING = """
import sys
import tensorflow, tensorflow_probability, tf_keras
before = set(sys.modules)
import tfpvae
tfpvae.callbacks, tfpvae.datasets, tfpvae.evaluation, tfpvae.ex_post, tfpvae.figures
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""


def test_import_tfpvae_imports_no_extra_package():
    process = subprocess.run(
        [sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert set(process.stdout.split()) - sys.stdlib_module_names <= {"tfpvae", "PIL"}
