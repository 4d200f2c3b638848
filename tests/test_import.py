"""What `import tfpvae` costs beyond the three packages that it stands on."""

import subprocess
import sys

IMPORTING = """
import sys, time
import tensorflow, tensorflow_probability, tf_keras
before, start = set(sys.modules), time.process_time()
import tfpvae
print(time.process_time() - start, *{name.split(".")[0] for name in set(sys.modules) - before})
"""


def test_the_import_takes_little_and_brings_no_extra():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, *packages = done.stdout.split()
    # Of the processor, so that other work beside it does not count: 0.1 where it was measured.
    assert float(seconds) < 0.3
    assert set(packages) - sys.stdlib_module_names <= {"tfpvae", "PIL"}
