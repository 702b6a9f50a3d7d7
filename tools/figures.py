"""Figures without sight: each gets a text in its place, made from the caption that follows it.

A figure's caption is the Markdown cell after it, "**Figure 14.1.** *Title.* What one sees." Its
label, title and first sentences become the picture's alt text, with the values that the run
glued. A figure without a caption says in its cell's metadata what it shows:

    # %% mystnb={"image": {"alt": "Four squares, and an arrow between two of them."}}
"""

import re
from html import escape

HIDDEN = {"remove-output", "remove-cell"}
RECORD = "application/papermill.record/text/plain"
CAPTION = re.compile(r"\*\*Figure ")
#: The longest alt text, in characters. Screen readers cannot pause in it; the caption follows.
LONGEST = 420

IMAGE = re.compile(r"<img\b[^>]*>")
ALT = re.compile(r'\balt="([^"]*)"')


def describe_figures(notebook) -> list[str]:
    """Give every figure of an executed notebook its alt text, in place.

    Returns:
        What is missing: one line for each figure without a caption and without a text of its own.
    """
    values = glued_values(notebook)
    missing = []
    for number, cell in enumerate(notebook.cells):
        if not shows_figure(cell):
            continue
        caption = caption_after(notebook.cells, number)
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html")
            if html and "layer-slider" in html:
                output.data["text/html"] = name_stops(html, plain(title_of(caption), values))
        if any(is_picture(output) for output in cell.outputs):
            image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
            if not image.setdefault("alt", shortened(plain(caption, values))):
                first = cell.source.strip().splitlines()[-1]
                missing.append(f"cell {number} ({first!r}): a figure without caption or alt text")
    return missing


def shows_figure(cell) -> bool:
    """Whether a page shows a picture that this cell made."""
    if cell.cell_type != "code" or HIDDEN & set(cell.metadata.get("tags", [])):
        return False
    return any(
        is_picture(o) or "<img" in str(o.get("data", {}).get("text/html")) for o in cell.outputs
    )


def is_picture(output) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def caption_after(cells, number: int) -> str:
    """The caption that follows a cell, "" if something else does. Cells without figures may lie
    between."""
    for cell in cells[number + 1 :]:
        if cell.cell_type == "markdown":
            return cell.source.split("\n\n")[0] if CAPTION.match(cell.source) else ""
        if shows_figure(cell):
            return ""
    return ""


def title_of(caption: str) -> str:
    """Label and title: "**Figure 14.1.** *Title.*" or "**Figure 2. Title.**"."""
    found = re.match(r"(\*\*.+?\*\*(?:\s*\*[^*]+\*)?)", caption, re.DOTALL)
    return found[1] if found else ""


def glued_values(notebook) -> dict[str, str]:
    """What the run glued, by name."""
    values = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("data", {}).get(RECORD)
            if record is not None:
                values[output.metadata["scrapbook"]["name"]] = record.strip("'\"")
    return values


def plain(markdown: str, values: dict[str, str]) -> str:
    """Markdown as one reads it aloud: glued values filled in, citations and marks left out."""
    text = re.sub(r"\{glue:text\}`([^`:]+)[^`]*`", lambda m: values.get(m[1], "…"), markdown)
    text = re.sub(r"\s*\{cite[^}]*\}`[^`]*`", "", text)
    text = re.sub(r"\{[\w:]+\}`([^`<]*[^`<\s])(?:\s*<[^>`]*>)?`", r"\1", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\(?:text|mathrm|operatorname)\b|[\\*`${}]", "", text)
    return " ".join(text.split())


def shortened(text: str) -> str:
    """As many whole sentences as fit, at least one."""
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z\d*])", text)
    kept = sentences[0]
    for index, sentence in enumerate(sentences[1:], start=1):
        # The label, "Figure 14.1.", is no sentence of its own.
        if index > 1 and len(kept) + len(sentence) > LONGEST:
            break
        kept = f"{kept} {sentence}"
    return kept if len(kept) <= 2 * LONGEST else kept[: 2 * LONGEST] + " …"


def name_stops(html: str, title: str) -> str:
    """A slider's pictures are called by what it moves along, "layer 3": say of which figure."""

    def named(image: re.Match) -> str:
        return ALT.sub(lambda alt: f'alt="{escape(title)} At {alt[1]}."', image[0])

    return IMAGE.sub(named, html) if title else html
