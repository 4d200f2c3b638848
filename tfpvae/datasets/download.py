"""Files from the web: whole, or not there at all."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator

_SILENCE = 60.0  # seconds without a byte, after which a server is given up


def download(url: str, md5: str, path: str) -> None:
    """Downloads one file to `path`, which exists afterwards only if its bytes are right.

    Args:
        url: where the file is.
        md5: the published MD5 of the file, in hexadecimal.
        path: where it goes; its folder is made if need be.

    Raises:
        ConnectionError: if the file does not come whole, or nothing for a minute; the message
            says why.
        OSError: if the folder cannot be written.
    """
    import tf_keras  # here, so that reading files does without it

    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    # Killed, or given wrong bytes, Keras leaves what came under the final name: not in `folder`.
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        try:
            with _patience(_SILENCE):
                came = tf_keras.utils.get_file(
                    name,
                    url,
                    cache_dir=partial,
                    cache_subdir="",
                    file_hash=md5,
                    hash_algorithm="md5",
                )
        except Exception as error:  # Keras raises plain Exceptions, http a dozen kinds
            raise ConnectionError(f"{url} did not come whole: {error}") from error
        os.replace(came, path)


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Bounds how long a new connection is waited for, which Keras leaves unbounded."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
