"""The ledger: claim by claim, what the paper says and what this book's own run measured.

    python -m tools.ledger build --model tiny-llava   # results -> _build/ledger.json
    python -m tools.ledger check                      # claims and sent-in results, without a run

`book/claims.yml` says which number answers which claim, and by which rule a verdict follows from
it. It holds no number of ours. The numbers are read from `_build/results/MODEL/CHAPTER/`, which the
chapters write when they run, and from `book/sent_in/NAME/CHAPTER/`. The rows become
`_build/ledger.json`, and `tools.ledger_page` fills `book/ledger.md` from
that file.
"""

import argparse
import difflib
import json
import math
import operator
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ROOT / "book" / "claims.yml"
REFERENCES = ROOT / "book" / "references.bib"
SENT_IN = ROOT / "book" / "sent_in"
NOTEBOOKS = ROOT / "notebooks"
RESULTS = ROOT / "_build" / "results"
LEDGER = ROOT / "_build" / "ledger.json"

REPRODUCED, WEAKER, NOT_REPRODUCED = "reproduced", "weaker", "not reproduced"
NOT_TESTABLE = "not testable here"
VERDICTS = (REPRODUCED, WEAKER, NOT_REPRODUCED, NOT_TESTABLE)
FIELDS = ("value", "low", "high", "n")
UNITS = ("percent", "points", "nats", "nats per cell", "cells", "plain", "count", "depth", "text")
DEFECTS = range(1, 30)
UNMEASURED = ("not measured", "not run", "not asked", "too few")  # how chapters say so

Row = dict[str, Any]


class LedgerError(Exception):
    """The ledger cannot be made. The message lists everything that is wrong, a line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


# ---------------------------------------------------------------- rules

COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
END = r"(\w+)\.(value|low|high|n)"
COMPARISON = re.compile(rf"{END}\s*(>=|<=|>|<)\s*(?:{END}|(-?\d+(?:\.\d+)?))")
IDENTITY = re.compile(r"(\w+) is (\S.*)")


def parse(condition: str) -> tuple[tuple[str, str], str, Any]:
    """Read ``ours.low > 0.3``, ``ours.low > noise.high`` or ``words is both axes``.

    Returns:
        (name, field), the comparison, and (name, field), a number, or a text.

    Raises:
        ValueError: if it is none of these.
    """
    if found := COMPARISON.fullmatch(condition):
        name, field, sign, other, other_field, number = found.groups()
        return (name, field), sign, (other, other_field) if other else float(number)
    if found := IDENTITY.fullmatch(condition):
        return (found[1], "value"), "is", found[2]
    raise ValueError(f"{condition!r} is no condition: write 'ours.low > 0.3' or 'words is yes'")


def holds(condition: str, numbers: Mapping[str, Row]) -> bool | None:
    """Whether a condition holds; None if a number in it was not measured."""
    (name, field), sign, other = parse(condition)
    sides = [numbers[name].get(field)]
    sides.append(numbers[other[0]].get(other[1]) if isinstance(other, tuple) else other)
    if None in sides:
        return None
    return sides[0] == sides[1] if sign == "is" else COMPARE[sign](*sides)


def verdict(rule: Mapping[str, Sequence[str]], numbers: Mapping[str, Row]) -> str:
    """The first verdict of the rule whose conditions all hold.

    What was not measured decides nothing: if a verdict hangs on it, the claim is not testable here.
    """
    if numbers["ours"]["value"] is None:
        return NOT_TESTABLE
    for name in (REPRODUCED, WEAKER):
        found = [holds(condition, numbers) for condition in rule[name]]
        if False not in found:
            return NOT_TESTABLE if None in found else name
    return NOT_REPRODUCED


# ---------------------------------------------------------------- claims

NEEDED = {"id", "figure", "title", "claim", "paper"}
TESTED = {"released", "ours", "rule", "because"}
MAY = {"beside", "replication", "released", "video"}


def read_claims(path: Path = CLAIMS, references: Path = REFERENCES) -> list[Row]:
    """Read the claims, and see to it that nobody typed a number or a verdict of ours there.

    Raises:
        LedgerError: naming every claim that is not in order.
    """
    import yaml

    claims = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", references.read_text(encoding="utf-8"), re.M))
    problems = [f"{c.get('id')}: {what}" for c in claims for what in _wrong_with(c, keys)]
    names = [claim.get("id") for claim in claims]
    problems += [f"{name}: two claims have this id" for name in names if names.count(name) > 1]
    if problems:
        raise LedgerError(problems)
    return claims


def _wrong_with(claim: Row, references: set[str]) -> Iterator[str]:
    tested = "untested" not in claim
    needed = NEEDED | (TESTED if tested else {"untested"})
    if missing := needed - claim.keys():
        yield f"lacks {', '.join(sorted(missing))}"
        return
    if unknown := claim.keys() - needed - MAY:
        yield f"unknown: {', '.join(sorted(unknown))}"
    yield from _uncited(claim, references)
    for defect, sentence in claim.get("released", {}).items():
        if defect not in DEFECTS:
            yield f"there is no defect {defect}"
        yield from _digits(f"defect {defect}", sentence)
    yield from _digits("title", claim["title"])
    yield from _digits("claim", claim["claim"])
    if not tested:
        yield from _digits("untested", claim["untested"])
        return
    yield from _wrong_sources(claim)
    yield from _wrong_rule(claim)


def _digits(what: str, sentence: str) -> Iterator[str]:
    if re.search(r"\d", str(sentence)):
        yield f"{what} holds a number without a source: {sentence!r}"


def _uncited(claim: Row, references: set[str]) -> Iterator[str]:
    for part in ("paper", "replication"):
        told = claim.get(part)
        if told is None:
            continue
        if not isinstance(told, dict) or not {"says"} <= told.keys() <= {"says", "note", "cite"}:
            yield f"{part} needs 'says' and 'cite', and may have a 'note'"
        elif not told.get("cite"):
            yield f"{part} is not cited"
        elif part == "paper" and (unknown := set(told["cite"]) - references):
            yield f"{', '.join(sorted(unknown))} is not among the references"


def _wrong_sources(claim: Row) -> Iterator[str]:
    for name, source in sources(claim).items():
        if not isinstance(source, dict):
            yield f"{name} must say where its number is from, not give it: {source!r}"
            continue
        if unknown := source.keys() - {"chapter", "number", "what", "unit", "plain"}:
            yield f"{name}: unknown: {', '.join(sorted(unknown))}"
        missing = [k for k in ("chapter", "number", "what", "unit") if not source.get(k)]
        if missing:
            yield f"{name} lacks {', '.join(missing)}"
            continue
        if not re.fullmatch(r"ch\d+_\w+", str(source["number"])):
            yield f"{name}: {source['number']!r} is no name of a glued number"
        if source["unit"] not in UNITS:
            yield f"{name}: the unit {source['unit']!r} is not one of {', '.join(UNITS)}"
        yield from _digits(f"{name}: what", source["what"])
    if isinstance(claim["ours"], dict) and not _interval(claim["ours"]):
        yield "ours must be a number with an interval"


def _wrong_rule(claim: Row) -> Iterator[str]:
    if set(claim["rule"]) != {REPRODUCED, WEAKER}:
        yield f"the rule must tell {REPRODUCED!r} and {WEAKER!r}"
        return
    if set(claim["because"]) != {REPRODUCED, WEAKER, NOT_REPRODUCED}:
        yield "'because' must have a sentence for each verdict that the rule can give"
    for name, sentence in claim["because"].items():
        yield from _digits(f"because {name}", sentence)
    for condition in [*claim["rule"][REPRODUCED], *claim["rule"][WEAKER]]:
        try:
            (name, _), _, other = parse(condition)
        except ValueError as error:
            yield str(error)
            continue
        asked = {name} | ({other[0]} if isinstance(other, tuple) else set())
        if unknown := asked - sources(claim).keys():
            yield f"the rule asks for {', '.join(unknown)}, which is no number of this claim"
    if not all(claim["rule"].values()):
        yield "a verdict without a condition would always hold"


def sources(claim: Row) -> dict[str, Row]:
    """Where a claim's numbers are from: ``ours``, and those beside it, by their short names."""
    if "ours" not in claim:
        return {}
    found = {"ours": claim["ours"], **claim.get("beside", {})}
    home = claim["ours"].get("chapter") if isinstance(claim["ours"], dict) else None
    return {
        name: {"chapter": home, **source} if isinstance(source, dict) else source
        for name, source in found.items()
    }


def _interval(source: Row) -> bool:
    return source.get("unit") not in ("count", "depth", "text") and not source.get("plain")


# ---------------------------------------------------------------- results


class Run:
    """The results of one model: chapters are read once, and what is missing is noted.

    Attributes:
        folder: holds a folder for each chapter.
        problems: what was asked for and is not there, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.problems = Path(folder), []
        self._read: dict[str, tuple[Row, dict[str, Row]] | None] = {}

    def chapter(self, name: str) -> tuple[Row, dict[str, Row]] | None:
        """A chapter's manifest, and its numbers by name."""
        if name not in self._read:
            self._read[name] = self._open(name)
        return self._read[name]

    def _open(self, name: str) -> tuple[Row, dict[str, Row]] | None:
        from helpers.results import read_results

        try:
            manifest, table = read_results(self.folder / name)
        except (FileNotFoundError, ValueError) as error:
            again = f"python -m tools.notebooks run {name}"
            self.problems.append(f"{name}: {_short(error)}. Run the chapter: {again}")
            return None
        return manifest, {row["name"]: row for row in table.to_dict("records")}

    def find(self, source: Row) -> Row | None:
        """One number: value, low, high, n (None where there is none), and ``text`` if it is said.

        None if it is missing; then a problem is noted.
        """
        opened = self.chapter(source["chapter"])
        if opened is None:
            return None
        manifest, numbers = opened
        name, where = source["number"], f"{source['chapter']}: {source['number']}"
        if name not in numbers:
            near = difflib.get_close_matches(name, numbers, n=1)
            hint = f" (there is {near[0]})" if near else ""
            self.problems.append(f"{where} is not among the chapter's numbers{hint}")
            return None
        found = {field: _plain(numbers[name][field]) for field in FIELDS}
        wrong = _fit(source, found)
        if wrong:
            self.problems.append(f"{where} {wrong}")
            return None
        if source["unit"] == "depth" and found["value"] is not None:
            blocks = next(iter(manifest["models"].values()))["blocks"]
            found |= {"text": f"block {found['value']} of {blocks}"}
            found["value"] /= blocks
        return found


def _fit(source: Row, found: Row) -> str:
    """What keeps a number from being what its claim needs; sets ``text`` where it was said."""
    value, unit = found["value"], source["unit"]
    if isinstance(value, str):
        text = harmless(value)
        if value.startswith(UNMEASURED) or (value == "none" and unit != "text"):
            found |= {"text": text, "value": None}  # the chapter said that it did not measure it
            return ""
        if unit != "text":
            return f"is text only ({text!r}): glue it as a number, best with its interval"
        found |= {"text": text}
        return ""
    if value is None:
        return "is not a number"
    if unit == "text":
        return f"is a number ({value}), and text was expected"
    lacking = [field for field in ("low", "high", "n") if found[field] is None]
    if _interval(source) and lacking:
        return f"has no {', '.join(lacking)}: glue it as an Interval"
    return ""


def _plain(value: Any) -> int | float | str | None:
    """A cell of the table as JSON has it."""
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def harmless(text: str) -> str:
    """Text from a file without what a page could take for markup."""
    return re.sub(r"[^\w .,:;()±+%/°-]", "", text)[:200]


def _short(error: Exception) -> str:
    """The message, with paths from the repository's root on."""
    return str(error).replace(f"{ROOT}/", "")


# ---------------------------------------------------------------- rows


def make_rows(
    claims: Sequence[Row],
    model: str = "tiny-llava",
    results: Path = RESULTS,
    sent_in: Path = SENT_IN,
    video_model: str = "tiny-video",
) -> list[Row]:
    """One row a claim, from the results of a model and those that were sent in.

    Claims with ``video: true`` are answered by a model of their own.

    Raises:
        LedgerError: listing every result that a claim needs and that is missing or has no interval.
    """
    runs = {name: Run(Path(results) / name) for name in (model, video_model)}
    others = {name: Run(Path(sent_in) / name) for name in sent_names(sent_in)}
    asked = [video_model if claim.get("video") else model for claim in claims]
    rows = [
        _row(claim, name, runs[name], others) for claim, name in zip(claims, asked, strict=True)
    ]
    problems = [problem for run in runs.values() for problem in run.problems]
    if problems:
        raise LedgerError(problems)
    return rows


def _row(claim: Row, model: str, run: Run, others: Mapping[str, Run]) -> Row:
    about = ("id", "figure", "title", "claim")
    row = {key: claim[key] for key in about} | {
        "paper": claim["paper"]["says"],
        "paper_note": claim["paper"].get("note", ""),
        "paper_cite": claim["paper"]["cite"],
        "released": claim.get("released", {}),
        "replication": claim.get("replication"),
        "ours": None, "low": None, "high": None, "n": None, "notebook": None,
        "verdict": NOT_TESTABLE, "because": claim.get("untested", ""), "sent_in": [],
    }  # fmt: skip
    if "ours" not in claim:
        return row
    numbers = measured(claim, run)
    if numbers is None:
        return row
    chapter = claim["ours"]["chapter"]
    manifest, _ = run.chapter(chapter)
    found, ours = verdict(claim["rule"], numbers), numbers["ours"]
    return row | {
        "ours": ours["value"], "low": ours["low"], "high": ours["high"], "n": ours["n"],
        "text": told(ours, claim["ours"]["unit"]),
        "what": claim["ours"]["what"], "unit": claim["ours"]["unit"],
        "number": claim["ours"]["number"], "notebook": f"notebooks/{chapter}.ipynb",
        "model": model, "seed": manifest["seed"], "small": manifest["small"],
        "hardware": manifest["hardware"],
        "beside": [
            {"name": name, "text": told(numbers[name], source["unit"]), **source, **numbers[name]}
            for name, source in sources(claim).items() if name != "ours"
        ],
        "rule": claim["rule"], "verdict": found,
        "because": claim["because"].get(found, "The run could not measure it: see the chapter."),
        "sent_in": [one for name, other in others.items() for one in _sent(claim, name, other)],
    }  # fmt: skip


def measured(claim: Row, run: Run) -> dict[str, Row] | None:
    """The claim's numbers by their short names; None if one of them is missing."""
    found = {name: run.find(source) for name, source in sources(claim).items()}
    return None if None in found.values() else found


def _sent(claim: Row, name: str, run: Run) -> Iterator[Row]:
    """What a sent-in run says about a claim; nothing if it did not run the chapters."""
    if not all((run.folder / source["chapter"]).is_dir() for source in sources(claim).values()):
        return
    known, run.problems = run.problems, []
    numbers, problems = measured(claim, run), run.problems
    run.problems = known + problems
    manifest, _ = run.chapter(claim["ours"]["chapter"])
    row = {"name": name, "model": model_of(manifest), "seed": manifest["seed"],
           "hardware": machine(manifest["hardware"])}  # fmt: skip
    if numbers is None:
        yield row | {"problem": "made by another version of the chapter: " + "; ".join(problems)}
        return
    ours = numbers["ours"]
    yield row | {
        "ours": ours["value"], "low": ours["low"], "high": ours["high"], "n": ours["n"],
        "text": told(ours, claim["ours"]["unit"]), "verdict": verdict(claim["rule"], numbers),
    }  # fmt: skip


# ---------------------------------------------------------------- sent-in results

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
MODEL_NAME = re.compile(r"[A-Za-z0-9][\w./-]*")
MANIFEST = {"chapter", "seed", "small", "models", "versions", "hardware"}


def sent_names(folder: Path = SENT_IN) -> list[str]:
    """Names of the runs that were sent in, after a look at each.

    Raises:
        LedgerError: naming every file that is not as it should be.
    """
    folder = Path(folder)
    runs = sorted(path for path in folder.glob("*") if path.is_dir())
    problems = [f"sent_in/{path.name}: {what}" for path in runs for what in _wrong_run(path)]
    if problems:
        raise LedgerError(problems)
    return [path.name for path in runs]


def _wrong_run(folder: Path) -> Iterator[str]:
    if not NAME.fullmatch(folder.name):
        yield "the folder's name may have letters, digits, '.', '-' and '_'"
    chapters = sorted(folder.iterdir())
    if not chapters:
        yield "the folder is empty"
    models = set()
    for path in chapters:
        found = list(_wrong_chapter(path))
        yield from (f"{path.name}: {what}" for what in found)
        if not found:
            models.add(model_of(json.loads((path / "manifest.json").read_text(encoding="utf-8"))))
    if len(models) > 1:
        yield f"chapters of different models: {', '.join(sorted(models))}"


def _wrong_chapter(path: Path) -> Iterator[str]:
    from helpers.results import read_results

    if not path.is_dir() or not (NOTEBOOKS / f"{path.name}.ipynb").exists():
        yield "is not the name of a chapter"
        return
    for file in sorted(path.iterdir()):
        if file.name not in ("manifest.json", "numbers.json") and file.suffix != ".parquet":
            yield f"{file.name} does not belong here"
    try:
        manifest, table = read_results(path)
    except (FileNotFoundError, ValueError) as error:
        yield _short(error)
        return
    except (TypeError, AttributeError):
        yield "its files are not what a chapter writes"
        return
    yield from _wrong_manifest(manifest, path.name)
    for row in table.to_dict("records"):
        if not isinstance(row["value"], str | int | float | None):
            yield f"{row['name']} is neither a number nor text"
            continue
        ends = [_plain(row[field]) for field in ("low", "high", "n")]
        if ends == [None] * 3:
            continue
        if None in ends or isinstance(row["value"], str) or ends[0] > ends[1] or ends[2] < 2:
            yield f"{row['name']} is no interval: {row['value']} [{row['low']}, {row['high']}]"


def _wrong_manifest(manifest: Row, chapter: str) -> Iterator[str]:
    if missing := MANIFEST - manifest.keys():
        yield f"manifest.json lacks {', '.join(sorted(missing))}"
        return
    if manifest["chapter"] != chapter:
        yield f"manifest.json is of {manifest['chapter']}"
    if manifest["small"]:
        yield "was made with SMALL=True: run the whole chapter"
    if not isinstance(manifest["seed"], int) or not isinstance(manifest["hardware"], dict):
        yield "manifest.json does not tell the seed and the hardware"
    models = manifest["models"]
    first = next(iter(models.values()), None) if isinstance(models, dict) else None
    if not isinstance(first, dict) or not MODEL_NAME.fullmatch(str(first.get("source"))):
        yield "manifest.json does not name the model"
    elif not isinstance(first.get("blocks"), int) or first["blocks"] < 1:
        yield "manifest.json does not tell how many blocks the model has"


def model_of(manifest: Row) -> str:
    """The name of the model that a chapter is about: the first that it opened."""
    return str(next(iter(manifest["models"].values()))["source"])


def machine(hardware: Row) -> str:
    """Hardware in a few words."""
    name = hardware.get("gpu") or f"{hardware.get('processor', '?')} CPU"
    return re.sub(r"[^\w .()-]", "", str(name))


# ---------------------------------------------------------------- numbers as text


def told(number: Row, unit: str) -> str:
    """A number in its unit, with its interval, rounded: "64 % [60, 68]"."""
    if number.get("text"):
        return number["text"]
    scale = 100 if unit in ("percent", "points") else 1
    value, low, high = (
        None if number[end] is None else scale * number[end] for end in ("value", "low", "high")
    )
    digits = _digits_of(unit, value, low, high)
    said = _signed(value, digits) if unit == "points" else _rounded(value, digits)
    after = {"percent": " %", "plain": "", "count": ""}.get(unit, f" {unit}")
    ends = "" if low is None else f" [{_rounded(low, digits)}, {_rounded(high, digits)}]"
    return f"{said}{after}{ends}"


def _digits_of(unit: str, value: float, low: float | None, high: float | None) -> int:
    if unit in ("percent", "points"):
        narrow = low is not None and 0 < high - low < 2
        return 1 if narrow else 0
    if unit == "count":
        return 0
    return 1 if unit == "nats" and abs(value) >= 1 else 2


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero


def _signed(value: float, digits: int) -> str:
    value = round(value, digits)
    return f"{value:+.{digits}f}" if value else _rounded(value, digits)  # a zero has no sign


# ---------------------------------------------------------------- command line


def build(
    model: str = "tiny-llava",
    results: Path = RESULTS,
    ledger: Path = LEDGER,
    video_model: str = "tiny-video",
) -> list[Row]:
    """Make the rows and write them; what an earlier run left is removed first."""
    ledger.unlink(missing_ok=True)
    rows = make_rows(read_claims(), model, results, video_model=video_model)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.ledger", description=__doc__)
    parser.add_argument("verb", choices=["build", "check"])
    parser.add_argument("--model", default="tiny-llava", help="as in the parameter MODEL")
    parser.add_argument("--video-model", default="tiny-video", help="of the chapters about time")
    asked = parser.parse_args(argv)
    try:
        if asked.verb == "check":
            claims, sent = read_claims(), sent_names()
            print(f"   the ledger: {len(claims)} claims and {len(sent)} sent-in runs are in order")
            return 0
        rows = build(Path(asked.model).name, video_model=Path(asked.video_model).name)
    except LedgerError as error:
        print(f"\nThe ledger cannot be made:\n{error}\n", file=sys.stderr, flush=True)
        return 1
    counts = [f"{sum(row['verdict'] == name for row in rows)} {name}" for name in VERDICTS]
    print(f"   the ledger: {len(rows)} claims, {', '.join(counts)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
