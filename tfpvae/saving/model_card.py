"""The model card: a README.md beside a SavedModel, as model hubs show it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

NAME = "README.md"
# By this line a save tells a card of its own from one that a user has edited.
_MARK = "<!-- Written by tfpvae, and replaced by the next save. Without this line it is kept. -->"
_TAGS = ("variational-autoencoder", "vae", "tensorflow", "tensorflow-probability")
_USE = """## Use

With `tf_keras` and `tfpvae` installed:

```python
import tf_keras
import tfpvae  # has the classes of the model

vae = tf_keras.models.load_model("{folder}")
```

`{folder}` is this folder: of a model hub, the path that its download returns. TensorFlow alone
loads it too, with `tf.saved_model.load`; its signatures are {signatures}."""


@dataclass(frozen=True)
class ModelCard:
    """The part of a model card that the model itself does not know; an argument of `VAE.save`.

    Args:
      data: the images that the model was trained on, in words; None to leave it out.
      scores: the name of each score and its value: a number; one number for each of N images, [N],
        of which the card has the mean and its standard error; or a dict that has "mean",
        "standard_error" and, if known, "images", their number. The dict that `evaluation.report`
        returns works too.
      license: of the model, an identifier such as "apache-2.0"; None to leave it out.
      title: heading of the card, or None for the name of the model.

    Raises:
      TypeError, ValueError: for a text that is none, a license with other characters, or a score
        that is no number.

    >>> card = ModelCard(data="800 drawn flowers", scores={"ELBO": [-102.0, -98.0]})
    >>> print(card.scores_table())
    | | mean | standard error | images |
    |---|---|---|---|
    | ELBO | -100.00 | 2.00 | 2 |
    """

    data: str | None = None
    scores: Mapping[str, Any] | None = None
    license: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        for name in ("data", "license", "title"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name}: wanted text, got {value!r}.")
        if self.license is not None and not re.fullmatch(r"[A-Za-z0-9.+-]+", self.license):
            raise ValueError(
                f"license: wanted an identifier such as 'apache-2.0', got {self.license!r}."
            )
        if self.scores is not None:
            _rows(self.scores)

    def _repr_markdown_(self) -> str:
        title = f"**{self.title or 'Model card'}**"
        values = {"data": self.data, "license": self.license}
        lines = [f"{name}: {value}" for name, value in values.items() if value is not None]
        return "\n\n".join([title, *lines, self.scores_table()]).strip()

    def scores_table(self) -> str:
        """Returns the scores as a table of Markdown, or no text without scores."""
        rows = _rows(self.scores or {})
        if not rows:
            return ""
        head = ["| | mean | standard error | images |", "|---|---|---|---|"]
        return "\n".join(head + [f"| {' | '.join(row)} |" for row in rows])

    def text(self, facts: Mapping[str, Mapping[str, Any]], signatures: list[str]) -> str:
        """Returns the whole card.

        Args:
          facts: of the model, by the heading of their section; "Model" has its kind and name.
          signatures: names of the signatures of the SavedModel.
        """
        sections = dict(facts)
        model = dict(sections.pop("Model"))
        kind, name = model.pop("kind"), model.pop("name")
        training = sections.get("Training", {})
        sections["Training"] = {**({"data": self.data} if self.data else {}), **training}
        names = ", ".join(f"`{name}`" for name in signatures)
        parts = [
            self._front_matter(),
            f"{_MARK}\n\n# {self.title or name}",
            f"{kind}, made with tfpvae.\n\n{_table(model)}",
            *(f"## {name}\n\n{_table(rows)}" for name, rows in sections.items() if rows),
        ]
        if self.scores:
            parts.insert(-1, f"## Scores\n\n{self.scores_table()}")
        return "\n\n".join([*parts, _USE.format(folder="FOLDER", signatures=names)]) + "\n"

    def _front_matter(self) -> str:
        lines = ["library_name: tfpvae", "tags:", *(f"- {tag}" for tag in _TAGS)]
        if self.license:
            lines.insert(0, f"license: {self.license}")
        return "\n".join(["---", *lines, "---"])


def write(folder: str, previous: str, text: str) -> None:
    """Writes a card into a folder, unless that of the previous folder was edited by a user.

    Args:
      folder: path of the SavedModel that is being written.
      previous: path of the folder that it replaces, which may be absent.
      text: of the card.
    """
    old = tf.io.gfile.join(previous, NAME)
    if tf.io.gfile.exists(old):
        with tf.io.gfile.GFile(old) as file:
            if _MARK not in file.read():
                return
    with tf.io.gfile.GFile(tf.io.gfile.join(folder, NAME), "w") as file:
        file.write(text)


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Returns the cells of each score: name, mean, standard error and number of images."""
    if not isinstance(scores, Mapping):
        raise TypeError(f"scores: wanted a dict of names to numbers, got {scores!r}.")
    is_report = {"images", "log_likelihood", "elbo"} <= set(scores)
    rows = []
    for name, value in scores.items():
        if is_report and not (isinstance(value, Mapping) and "mean" in value):
            continue
        count = str(scores["images"]) if is_report else ""
        rows.append([_cell(str(name).replace("_", " ")), *_estimate(name, value, count)])
    return rows


def _estimate(name: str, value: Any, count: str) -> list[str]:
    """Returns mean, standard error and number of images of a score, as text."""
    if isinstance(value, Mapping):
        mean, error = value.get("mean"), value.get("standard_error")
        count = str(value.get("images", count))
    else:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf" or numbers.ndim > 1 or numbers.size == 0:
            raise TypeError(f"scores[{name!r}]: wanted a number or numbers [N], got {value!r}.")
        mean, error = float(numbers.mean()), None
        if numbers.ndim:
            count = str(numbers.size)
        if numbers.size > 1:
            error = float(numbers.std(ddof=1)) / math.sqrt(numbers.size)
    if mean is None or not math.isfinite(mean):
        raise ValueError(f"scores[{name!r}]: wanted a finite number, got {mean!r}.")
    digits = 2 if abs(mean) >= 1 else 5
    return [f"{mean:.{digits}f}", "" if error is None else f"{error:.{digits}f}", count]
