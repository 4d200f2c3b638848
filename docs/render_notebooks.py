"""Runs the notebooks, and writes each with its outputs as a page of the site.

    python docs/render_notebooks.py [NAME ...]

The pages and their images are kept in the repository, since a run takes minutes.
"""

import base64
import html
import io
import re
import sys
from pathlib import Path

import nbformat
import pngs
from nbclient import NotebookClient
from PIL import Image

DOCS = Path(__file__).parent
WIDTH = 640  # the most pixels of an image
LINES = 12  # the most lines of a text


def main():
    names = sys.argv[1:] or [path.stem for path in sorted(DOCS.glob("../notebooks/*.ipynb"))]
    for name in names:
        render(name)


def render(name):
    """Writes `docs/notebooks/NAME.md` and its images."""
    path = DOCS.parent / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": "."}}).execute()
    parts, numbers = [], iter(range(1, 1000))
    for cell in notebook.cells:
        source = re.sub(r"^%.*\n", "", cell.source)
        if cell.cell_type == "markdown":
            source = source.replace("```python", "```py")
            parts.append(re.sub(r"\(\w+\.ipynb\)", "(../notebooks.md)", source))
            continue
        parts.append(f"```py\n{source}\n```")
        parts += [text for output in joined(cell.outputs) if (text := shown(output, name, numbers))]
    heading, _, first = parts[0].partition("\n")
    note = f"*`notebooks/{name}.ipynb`, with its outputs.*"
    parts[0] = f"{heading}\n\n{note}\n{first}"
    (DOCS / "notebooks" / f"{name}.md").write_text("\n\n".join(parts).rstrip() + "\n")


def joined(outputs):
    """Returns the outputs of a cell, with what it printed in one of them."""
    results = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if results and "stream" == output.output_type == results[-1].output_type:
            results[-1].text += output.text
        else:
            results.append(output)
    return results


def shown(output, name, numbers):
    """Returns an output as Markdown."""
    if output.output_type == "stream":
        return block(output.text)
    data = output.get("data", {})
    if "image/png" in data:
        image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
        folder = "notebooks/plots" if pngs.shows_plot(image) else "notebooks"
        path = f"figures/{folder}/{name}-{next(numbers)}.png"
        pngs.write(image, DOCS / path, width=WIDTH)
        return f"![Output of the cell above](../{path})"
    if "text/html" in data:
        text = data["text/html"]
        is_text = text.startswith("<pre>")
        return block(html.unescape(re.sub("</?pre>", "", text))) if is_text else text
    return block(data.get("text/plain", ""))


def block(text):
    """Returns the lines of a text that a screen would have in the end, without the middle ones."""
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.rstrip("\n").split("\n")]
    lines = [line for line in lines if not line.startswith(("INFO:tensorflow:", "WARNING:tensor"))]
    if len(lines) > LINES and any(line.startswith("Epoch ") for line in lines):
        lines = [*lines[:4], "...", *lines[-4:]]
    content = "\n".join(lines).strip("\n")
    return f"```text\n{content}\n```" if content else ""


if __name__ == "__main__":
    main()
