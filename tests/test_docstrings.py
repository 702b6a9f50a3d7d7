"""Every public part of the package says what it does, and of its arguments what is true.

A command line's ``main`` is described by its module.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "helpers").rglob("*.py"))
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Note")


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """(dotted name, definition) of every public class, function and method but ``main``."""
    for node in body:
        if not isinstance(node, (*FUNCTION, ast.ClassDef)):
            continue
        if not node.name.startswith("_") and node.name != "main":
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def section(docstring: str, title: str) -> list[str]:
    """The names that a section of a Google-style docstring describes, in order."""
    found, inside = [], False
    for line in docstring.splitlines():
        if re.fullmatch(rf"({'|'.join(SECTIONS)}):", line.strip()):
            inside = line.strip() == f"{title}:"
        elif inside and (entry := re.match(r"    (\*{0,2}\w+)(?: \(.*\))?: ", line)):
            found.append(entry[1].strip("*"))
    return found


def parameters(function: ast.FunctionDef) -> list[str]:
    """Names of a function's parameters, without ``self`` and ``cls``."""
    arguments = function.args
    found = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    found += [arguments.vararg.arg] if arguments.vararg else []
    found += [a.arg for a in arguments.kwonlyargs]
    found += [arguments.kwarg.arg] if arguments.kwarg else []
    return [name for name in found if name not in ("self", "cls")]


def fields(node: ast.ClassDef) -> set[str]:
    """Names that a class declares in its body or sets on ``self``."""
    declared = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
    declared |= {n.name for n in node.body if isinstance(n, FUNCTION)}
    for part in ast.walk(node):
        of_self = isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
        if of_self and part.value.id == "self" and isinstance(part.ctx, ast.Store):
            declared.add(part.attr)
    return declared


def complaints(source: str) -> list[str]:
    """What is missing or wrong in the docstrings of a module."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["the module has no docstring"]
    for name, node in public(tree.body):
        docstring = ast.get_docstring(node)
        if not docstring:
            found.append(f"{name} has no docstring")
            continue
        if isinstance(node, ast.ClassDef):
            inherits = bool(node.bases)
            unknown = [a for a in section(docstring, "Attributes") if a not in fields(node)]
            if unknown and not inherits:
                found.append(f"{name}: Attributes names {unknown}, which the class does not have")
            continue
        told, wanted = section(docstring, "Args"), parameters(node)
        if "Args:" in docstring and told != wanted:
            found.append(f"{name}: Args tells of {told}, the signature has {wanted}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_docstrings(path):
    assert complaints(path.read_text(encoding="utf-8")) == []
