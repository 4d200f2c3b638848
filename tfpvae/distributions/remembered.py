"""Memory of what a draw was made of, while one loss or score is computed.

Within `remembering()` a draw of a ladder brings its walk along, so that its densities and the
decoder compute nothing twice. Outside nothing is kept: weights may have changed since the draw, and
a gradient tape may have started after it.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


class _Memory(threading.local):
    """By the id of a tensor: that tensor, what it was made of, and the graph of both."""

    entries: dict[int, tuple[tf.Tensor, Any, Any]] | None = None


_memory = _Memory()


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Keeps what is passed to `remember` until the outermost such context ends.

    >>> draw = tf.zeros([2])
    >>> with remembering():
    ...     remember(draw, "two zeros")
    ...     recall(draw)
    'two zeros'
    >>> recall(draw)
    """
    before = _memory.entries
    _memory.entries = {} if before is None else before
    try:
        yield
    finally:
        _memory.entries = before


def remember(tensor: tf.Tensor, origin: Any) -> None:
    """Keeps what a tensor was made of, for the same graph.

    >>> draw = tf.zeros([2])
    >>> remember(draw, "two zeros")  # nothing outside of `remembering`
    >>> recall(draw)
    """
    if _memory.entries is not None:
        _memory.entries[id(tensor)] = tensor, origin, _graph()


def recall(tensor: tf.Tensor) -> Any:
    """Returns what a tensor was made of, or None if that is not kept for this graph.

    >>> recall(tf.zeros([2]))
    """
    _, origin, graph = (_memory.entries or {}).get(id(tensor), (None, None, None))
    return origin if graph is _graph() else None


def share(tensor: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Returns a tensor after it was given the origin of its source: a reshaped draw is that draw.

    >>> draw = tf.zeros([2])
    >>> with remembering():
    ...     remember(draw, "two zeros")
    ...     recall(share(draw[tf.newaxis], draw))
    'two zeros'
    """
    origin = recall(source)
    if origin is not None:
        remember(tensor, origin)
    return tensor


def _graph() -> Any:
    """Returns the graph that operations go to, None where they run at once."""
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
