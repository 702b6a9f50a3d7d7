"""The page of the ledger: what `tools.ledger` found, as an overview and a block for each claim.

`fill` puts it in the place of the markers of `book/ledger.md`. All that it needs is in the rows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.ledger import (
    LEDGER,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
    WEAKER,
    LedgerError,
    Row,
    machine,
    parse,
)

BADGES = {REPRODUCED: "success", WEAKER: "warning", NOT_REPRODUCED: "danger",
          NOT_TESTABLE: "secondary"}  # fmt: skip


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def badge(name: str) -> str:
    """A coloured label with the verdict."""
    return f"{{bdg-{BADGES[name]}}}`{name}`"


def fill(page: str, rows: Sequence[Row]) -> str:
    """The page with the parts that are made from the rows in place of its markers.

    Raises:
        LedgerError: if a marker is missing.
    """
    parts = {"run": told_run, "overview": overview, "claims": cards, "sent in": told_sent_in}
    for name, make in parts.items():
        marker = f"<!-- ledger: {name} -->"
        if page.count(marker) != 1:
            raise LedgerError([f"ledger.md needs the line {marker!r} once"])
        page = page.replace(marker, make(rows))
    return page


def told_run(rows: Sequence[Row]) -> str:
    """What ran, and how the verdicts came out."""
    counts = [f"{sum(r['verdict'] == v for r in rows)} {v}" for v in VERDICTS]
    lines = [f"{len(rows)} claims: {', '.join(counts)}."]
    ran = [row for row in rows if row["ours"] is not None]
    if ran:
        seeds = sorted({str(row["seed"]) for row in ran})
        where = sorted({machine(row["hardware"]) for row in ran})
        models = " and ".join(f"`{name}`" for name in dict.fromkeys(r["model"] for r in ran))
        lines.append(f"Numbers of ours are from {models}, seed {' and '.join(seeds)}, "
                     f"{' and '.join(where)}.")  # fmt: skip
    if any(row["small"] for row in ran):
        small = ":::{warning}\nThis run was made with `SMALL = True`, that is with few images. "
        return " ".join(lines) + f"\n\n{small}Intervals are wide, and verdicts are a draft.\n:::"
    return " ".join(lines)


def overview(rows: Sequence[Row]) -> str:
    """The table on top: claim, paper, ours, verdict."""
    lines = [":::{list-table}", ":header-rows: 1", ":widths: 34 26 24 16",
             ":class: ledger-overview", "", "* - Claim", "  - The paper", "  - Ours",
             "  - Verdict"]  # fmt: skip
    for row in rows:
        ours = row.get("text") or "–"
        lines += [
            f"* - {row['figure']}: [{row['title']}](#{anchor(row)})",
            f"  - {sentence(row['paper'])}",
            f"  - {ours}",
            f"  - {badge(row['verdict'])}",
        ]
    return "\n".join([*lines, ":::"])


def anchor(row: Row) -> str:
    return f"ledger-{row['id']}"


def cards(rows: Sequence[Row]) -> str:
    """A definition block for each claim."""
    return "\n\n".join(card(row) for row in rows)


def card(row: Row) -> str:
    cite = ",".join(row["paper_cite"])
    paper = " ".join(filter(None, [sentence(row["paper"]) + ".", row["paper_note"]]))
    parts = [("Claim", [row["claim"]]), ("The paper", [f"{paper} {{cite}}`{cite}`"]),
             ("Its released code", _released(row))]  # fmt: skip
    if row["replication"]:
        one = row["replication"]
        source = f"({sentence(one['cite'])}.)"
        note = " ".join(filter(None, [one["says"] + ".", one.get("note"), source]))
        parts.append(("A replication", [note]))
    if row["ours"] is not None or row.get("text"):
        parts += _ours(row)
    parts.append(("Sent in", _sent_lines(row)))
    parts.append(("Verdict", [f"{badge(row['verdict'])} {row['because']}", *_rule_lines(row)]))
    text = [f"({anchor(row)})=", f"### {row['figure']} · {row['title']}", ""]
    for term, paragraphs in parts:
        body = "\n\n".join(paragraphs).replace("\n", "\n  ")
        text += [term, f": {body}", ""]
    return re.sub(r"[ \t]+$", "", "\n".join(text), flags=re.M).rstrip()


def _released(row: Row) -> list[str]:
    if not row["released"]:
        return ["No defect that we know of changes this reading."]
    defects = sorted(row["released"].items(), key=lambda one: int(one[0]))
    return ["\n".join(f"- *Defect {n}.* {what}" for n, what in defects)]


def _ours(row: Row) -> list[tuple[str, list[str]]]:
    chapter = Path(row["notebook"]).stem
    samples = f", n = {row['n']}" if row["n"] is not None else ""
    made = f"Seed {row['seed']}, `{row['number']}` of {link(chapter)}"
    parts = [("Ours", [f"**{row['text']}**{samples}: {row['what']}. {made}."])]
    if row["beside"]:
        lines = []
        for one in row["beside"]:
            elsewhere = "" if one["chapter"] == chapter else f" of {link(one['chapter'])}"
            lines.append(f"- {one['text']}: {one['what']} (`{one['number']}`{elsewhere})")
        parts.append(("Beside it", ["\n".join(lines)]))
    return parts


def link(chapter: str) -> str:
    return f"{{doc}}`../notebooks/{chapter}`"


def _sent_lines(row: Row) -> list[str]:
    if not row["sent_in"]:
        return ["Nothing yet."]
    lines = []
    for one in row["sent_in"]:
        if "problem" in one:
            lines.append(f"- `{one['model']}` ({one['name']}): cannot be used, {one['problem']}")
            continue
        samples = f", n = {one['n']}" if one["n"] is not None else ""
        lines.append(f"- `{one['model']}`: {one['text']}{samples}, {badge(one['verdict'])} "
                     f"(seed {one['seed']}, {one['hardware']}; as `{one['name']}`)")  # fmt: skip
    return ["\n".join(lines)]


def _rule_lines(row: Row) -> list[str]:
    if "rule" not in row:
        return []
    named = {"ours": row} | {one["name"]: one for one in row["beside"]}
    said = [
        f"*{name}* if " + ", and ".join(in_words(one, named) for one in row["rule"][name])
        for name in (REPRODUCED, WEAKER)
    ]
    return [f"The rule: {'; '.join(said)}; else *{NOT_REPRODUCED}*."]


def told_sent_in(rows: Sequence[Row]) -> str:
    """How many results were sent in, and by which names."""
    names = sorted({one["name"] for row in rows for one in row["sent_in"]})
    if not names:
        return "So far nobody has sent in results: the rows show the shipped model alone."
    return f"Results that were sent in: {', '.join(f'`{name}`' for name in names)}."


def fill_page(page: Path, ledger: Path = LEDGER) -> None:
    """Fill a staged page from the rows in a file.

    Raises:
        LedgerError: if the file is not there.
    """
    if not ledger.exists():
        raise LedgerError([f"{ledger.name} has not been made: run `make book`."])
    rows = json.loads(ledger.read_text(encoding="utf-8"))
    page.write_text(fill(page.read_text(encoding="utf-8"), rows), encoding="utf-8")


# ---------------------------------------------------------------- rules in words

SIGNS = {">": "above", ">=": "at least", "<": "below", "<=": "at most", "is": "is"}
ENDS = {"value": "", "low": "the lower end of ", "high": "the upper end of ",
        "n": "the number of samples of "}  # fmt: skip


def in_words(condition: str, named: Mapping[str, Row]) -> str:
    """A condition as a reader would say it: "the lower end of *ours* is above 30 %"."""
    (name, field), sign, other = parse(condition)

    def side(name, field):
        return ENDS[field] + ("*ours*" if name == "ours" else f"“{named[name]['what']}”")

    if isinstance(other, tuple):
        right = side(*other)
    elif isinstance(other, str):
        return f"{side(name, field)} is “{other}”"
    else:
        unit = "count" if field == "n" else named[name]["unit"]
        right = f"{other:g} of the depth" if unit == "depth" else _threshold(other, unit)
    return f"{side(name, field)} is {SIGNS[sign]} {right}"


def _threshold(number: float, unit: str) -> str:
    scale = 100 if unit in ("percent", "points") else 1
    after = {"percent": " %", "plain": "", "count": ""}.get(unit, f" {unit}")
    return f"{scale * number:g}{after}"
