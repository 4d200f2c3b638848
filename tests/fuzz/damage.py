"""Random damage to the bytes of a file."""

import random
from collections.abc import Callable


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Returns the bytes with one to three changes, never unchanged."""
    result = data
    while result == data:
        result = data
        for _ in range(rng.choice([1, 1, 2, 3])):
            result = rng.choice(CHANGES)(result, rng) if result else result
    return result


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice([1, 4, 16, 256]))


def _bit(data: bytes, rng: random.Random) -> bytes:
    index = rng.randrange(len(data))
    return data[:index] + bytes([data[index] ^ (1 << rng.randrange(8))]) + data[index + 1 :]


def _bytes(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def _header(data: bytes, rng: random.Random) -> bytes:
    index = rng.randrange(min(64, len(data)))  # among sizes and types
    return data[:index] + bytes([rng.choice([0, 1, 127, 128, 255])]) + data[index + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _insert(data: bytes, rng: random.Random) -> bytes:
    index = rng.randrange(len(data) + 1)
    return data[:index] + rng.randbytes(rng.choice([1, 4, 16])) + data[index:]


def _drop(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _zero(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    (one, _), (other, _) = sorted([_span(data, rng), _span(data, rng)])
    size = min(64, other - one, len(data) - other)
    first, second = data[one : one + size], data[other : other + size]
    return data[:one] + second + data[one + size : other] + first + data[other + size :]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(_bit, _bytes, _header, _cut, _insert, _drop, _zero, _swap)
]
