"""What Sphinx needs besides its own extensions to make the API reference from docstrings."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes

#: Characters of a constant's value that the reference shows at most: five lines or so.
LONGEST_VALUE = 400


def skip_tuple_fields(
    app: Any, what: str, name: str, member: object, skip: bool, options: Any
) -> bool | None:
    """Leave out "Alias for field number 0": the class's docstring says what its fields are."""
    return True if type(member).__name__ == "_tuplegetter" else None


def keep_colons(
    app: Any, what: str, name: str, member: object, options: Any, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before a colon in a value's description for a type.

    It looks at the first line alone, so this line gets nothing to show.
    """
    if what in ("attribute", "data", "property"):
        lines.insert(0, "\\ ")


def readable_defaults(
    app: Any,
    what: str,
    name: str,
    member: object,
    options: Any,
    signature: str | None,
    returns: Any,
) -> tuple[str | None, Any]:
    """Defaults as one would write them: no address, and nothing that is no Python.

    Sphinx reads a signature as Python, one argument a line; what it cannot read it leaves as it is.
    """
    if signature:
        signature = re.sub(r"<function (\w+)( at \w+)?>", r"\1", signature)
        signature = re.sub(r"<(?:[^<>]|<[^<>]*>)+>", "...", signature)
    return signature, returns


def shorten_values(app: Any, domain: str, what: str, content: nodes.Element) -> None:
    """Write "..." for a constant's value that is long or holds functions."""
    if what not in ("data", "attribute"):
        return
    for told in content.parent.findall(addnodes.desc_annotation):
        value = told.astext()
        if value.startswith(" = ") and (len(value) > LONGEST_VALUE or "<function" in value):
            told[-1] = nodes.Text("...")


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("autodoc-process-signature", readable_defaults)
    app.connect("object-description-transform", shorten_values)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon comes at 500
    return {"parallel_read_safe": True}
