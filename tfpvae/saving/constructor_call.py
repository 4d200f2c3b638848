"""An object as one line: the call of its constructor, without what has its default."""

import inspect
from typing import Any


def constructor_call(instance: Any, arguments: dict[str, Any]) -> str:
    """Returns the constructor call that makes an object, for its `repr`.

    Args:
      instance: the object.
      arguments: the constructor's arguments by name. Those that have their default values, or that
        the constructor does not name, are left out.

    >>> from fractions import Fraction
    >>> constructor_call(Fraction(3, 4), {"numerator": 3, "denominator": 4, "dtype": "int"})
    'Fraction(numerator=3, denominator=4)'
    >>> constructor_call(Fraction(3), {"numerator": 3, "denominator": None})
    'Fraction(numerator=3)'
    """
    parameters = inspect.signature(type(instance)).parameters
    texts = [
        f"{name}={value!r}"
        for name, value in arguments.items()
        if name in parameters and not _is_default(value, parameters[name].default)
    ]
    return f"{type(instance).__name__}({', '.join(texts)})"


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)
