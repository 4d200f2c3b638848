"""Download of a file from the web, complete or not at all."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator

import tf_keras

_SILENCE = 60.0  # seconds to wait for the next byte of a server


def download(url: str, md5: str, path: str) -> None:
    """Downloads one file to `path`, which exists afterward only if its bytes are correct.

    Args:
      url: address of the file.
      md5: published MD5 of the file, in hexadecimal.
      path: path to save it under; a missing folder is created.

    Raises:
      ConnectionError: if the file is incomplete or wrong, or if the server sends nothing for a
        minute; the message says why.
      OSError: if the folder cannot be written.

    >>> import hashlib, io, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     original, copy = pathlib.Path(folder, "original"), pathlib.Path(folder, "copy")
    ...     _ = original.write_bytes(b"digits")
    ...     with contextlib.redirect_stdout(io.StringIO()):  # Keras prints a progress bar
    ...         download(original.as_uri(), hashlib.md5(b"digits").hexdigest(), str(copy))
    ...     copy.read_bytes()
    b'digits'
    """
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    # Keras may leave an incomplete file under the final name, hence a temporary folder.
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        try:
            with _socket_timeout(_SILENCE):
                file = tf_keras.utils.get_file(
                    name,
                    url,
                    cache_dir=partial,
                    cache_subdir="",
                    file_hash=md5,
                    hash_algorithm="md5",
                )
        except Exception as error:  # Keras raises plain Exceptions, http a dozen kinds
            raise ConnectionError(f"{url} was not downloaded: {error}") from error
        os.replace(file, path)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Sets the timeout of new connections, for which Keras has no argument."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
