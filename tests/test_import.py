"""What `import tfpvae` brings along beyond the three packages that it stands on."""

import subprocess
import sys

IMPORTING = """
import sys
import tensorflow, tensorflow_probability, tf_keras
before = set(sys.modules)
import tfpvae
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""


def test_the_import_brings_no_extra():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - sys.stdlib_module_names <= {"tfpvae", "PIL"}
