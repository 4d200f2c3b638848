"""Makes the examples of docstrings code blocks on the pages of the API.

Markdown takes `>>>` for a quotation in a quotation; this puts each example between fences first.
"""

import re

import griffe

# From a line of `>>>` to the next empty one.
_EXAMPLE = re.compile(r"^ *>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Extension that mkdocstrings runs over every object."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Fences the examples of an object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """Returns a docstring whose examples are between fences."""
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", docstring)
