"""TensorFlow imported without the log lines that its C++ code writes as it starts."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ASKED = ("0", "1")

# "I0000 00:00:1795771081.127427   18257 port.cc:153] ...", until TensorFlow 2.18 with the date.
_LOG_LINE = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    rb"|WARNING: All log messages before absl::InitializeLog|To enable the following instructions: "
)

# Devices of NVIDIA's driver on Linux and in WSL.
_GPU = ("/dev/nvidiactl", "/dev/dxg")


def import_tensorflow() -> None:
    """Imports TensorFlow, unless a program has, without its start-up lines.

    The environment variable TF_CPP_MIN_LOG_LEVEL decides: 0 or 1 shows all lines. Otherwise those
    of the import are left out, and if the variable is not set it becomes 2, which logs errors, or 3
    on a machine without an NVIDIA GPU, where TensorFlow's search for one ends in an error.
    """
    if "tensorflow" in sys.modules:
        return
    has_gpu = any(map(os.path.exists, _GPU))
    level = os.environ.setdefault(_LEVEL, "2" if has_gpu else "3")
    with contextlib.nullcontext() if level in _ASKED else without_log_lines():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def without_log_lines() -> Iterator[None]:
    """Leaves out the log lines of C++ code from standard error; an exception brings them back.

    The code writes to file descriptor 2, past `sys.stderr`. Other lines appear at the end.
    """
    try:
        lines, screen = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115
    except OSError:  # no standard error, or no folder for temporary files
        yield
        return
    has_failed = True
    os.dup2(lines.fileno(), 2)
    try:
        yield
        has_failed = False
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(screen, 2)
        lines.seek(0)
        shown = [line for line in lines if has_failed or not _LOG_LINE.match(line)]
        os.write(screen, b"".join(shown))
        os.close(screen)
        lines.close()
