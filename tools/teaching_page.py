"""The instructors' pages: minutes of chapters and exercises, read from the notebooks.

`book/teaching/*.md` name exercises by their labels. When the book is laid out, `fill_page` looks up
each one's title, difficulty and minutes and adds them up, so that a syllabus fits its session:

    ```{session} 90 minutes        a session: what is done, and how long it takes
    Slides of {doc}`...`: 30       a line with its minutes
    ch6-hook                       an exercise, by its label
    ```

    ```{homework}                  exercises, by label, and the sum of their minutes
    ch6-dose
    ```

    ```{handout}                   the command that writes notebooks with the exercises that the
    ```                            sessions and the homework since the last heading name

    ```{chapters}                  all chapters: to read, exercises, seconds that they ran
    ```
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

from tools.notebooks import EXECUTED, NOTEBOOKS

FENCE = re.compile(
    r"^```\{(session|homework|handout|chapters)\} *(.*)\n((?:.*\n)*?)```$", re.MULTILINE
)
TOLD = re.compile(r"(.*\S):\s*(\d+)")  # what: minutes
HEADING = re.compile(r"^#+ ", re.MULTILINE)


class TeachingError(Exception):
    """An instructors' page that cannot be filled. The message says where and why."""


@dataclass(frozen=True)
class Exercise:
    """An exercise of a chapter; `minutes` is None where its text tells no number of them.

    Those of a research sprint are the minutes of its function, and not of the sprint.
    """

    label: str
    title: str
    chapter: str
    difficulty: str
    told: str
    minutes: int | None

    @property
    def is_sprint(self) -> bool:
        return "research sprint" in self.title.lower()


@dataclass(frozen=True)
class Chapter:
    """A chapter: how long it says that it takes, and how long its last run took, in seconds."""

    name: str
    to_read: str
    exercises: tuple[Exercise, ...]
    seconds: float | None


# ---------------------------------------------------------------- what notebooks say


def read_chapter(notebook: Path, executed: Path = EXECUTED) -> Chapter:
    """What a chapter says about time, and how long its last run took (if there was one)."""
    name = notebook.stem
    cells = nbformat.read(notebook, as_version=4).cells
    text = [cell.source for cell in cells if cell.cell_type == "markdown"]
    told = re.search(r"·\s+(.*?)\s+·\s+runs\s+without", " ".join(text[0].split()))
    ran = executed / notebook.name
    metadata = json.loads(ran.read_text(encoding="utf-8"))["metadata"] if ran.exists() else {}
    return Chapter(
        name,
        to_read=told.group(1) if told else "",
        exercises=tuple(e for source in text for e in exercises_in(source, name)),
        seconds=metadata.get("papermill", {}).get("duration"),
    )


def exercises_in(source: str, chapter: str) -> list[Exercise]:
    """The exercises of a Markdown cell."""
    found = []
    for token in MarkdownIt().parse(source):
        if token.type != "fence" or not token.info.startswith("{exercise}"):
            continue
        label = re.search(r"^:label: *(\S+)$", token.content, re.MULTILINE)
        line = next((x for x in token.content.splitlines() if "Difficulty" in x), "")
        told = line.strip("* ").split(" · ")[-1]
        minutes = re.match(r"(\d+) minutes", told)
        found.append(
            Exercise(
                label=label.group(1) if label else "",
                title=token.info.removeprefix("{exercise}").strip(),
                chapter=chapter,
                difficulty="".join(re.findall("[●○]", line.split(" · ")[0])),
                told=told,
                minutes=int(minutes.group(1)) if minutes else None,
            )
        )
    return found


def read_chapters(folder: Path = NOTEBOOKS, executed: Path = EXECUTED) -> list[Chapter]:
    return [read_chapter(path, executed) for path in sorted(folder.glob("[0-9]*.ipynb"))]


# ---------------------------------------------------------------- filling a page


def fill_page(path: Path, chapters: Sequence[Chapter]) -> None:
    """Put tables and commands in the place of the page's fences."""
    text = path.read_text(encoding="utf-8")
    path.write_text(fill(text, chapters, path.name), encoding="utf-8")


def fill(text: str, chapters: Sequence[Chapter], page: str = "page") -> str:
    """The text with tables and commands in the place of its fences.

    Raises:
        TeachingError: if an exercise is unknown, has no minutes, a session is too full, or there
            is nothing to hand out.
    """
    known = {exercise.label: exercise for chapter in chapters for exercise in chapter.exercises}

    def filled(match: re.Match) -> str:
        kind, title, body = match.groups()
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        try:
            if kind == "chapters":
                return chapters_table(chapters)
            if kind == "handout":
                return handout(labels_named(section_before(text, match.start())), known)
            rows = [_row(line, known) for line in lines]
            return homework(rows) if kind == "homework" else session(title, rows)
        except TeachingError as error:
            line = text[: match.start()].count("\n") + 1
            raise TeachingError(f"{page}, line {line}: {error}") from error

    return FENCE.sub(filled, text)


def section_before(text: str, end: int) -> str:
    """What stands between the last heading before `end` and it."""
    begins = [heading.start() for heading in HEADING.finditer(text, 0, end)]
    return text[begins[-1] if begins else 0 : end]


def labels_named(section: str) -> list[str]:
    """Labels of the exercises in a section's sessions and homework, as they stand there."""
    bodies = [match.group(3) for match in FENCE.finditer(section)]
    lines = [line.strip() for body in bodies for line in body.splitlines()]
    return [line for line in lines if line and not TOLD.fullmatch(line)]


def handout(named: Sequence[str], known: Mapping[str, Exercise]) -> str:
    """The command that leaves these exercises to solve, in the chapters' order."""
    if not named:
        raise TeachingError("no exercise stands between the last heading and this handout.")
    labels = " ".join(label for label in known if label in named)
    return f'```bash\nmake student EXERCISES="{labels}"\n```'


def _row(line: str, known: Mapping[str, Exercise]) -> tuple[int, str]:
    """(minutes, what) of a line: an exercise's label, or "what: minutes"."""
    if written := TOLD.fullmatch(line):
        return int(written.group(2)), written.group(1)
    if line not in known:
        raise TeachingError(f"there is no exercise {line!r}, and no minutes are given.")
    exercise = known[line]
    if exercise.minutes is None:
        raise TeachingError(f"exercise {line!r} takes {exercise.told!r}, not a number of minutes.")
    return exercise.minutes, f"{{ref}}`{exercise.title} <{line}>` {exercise.difficulty}"


def session(title: str, rows: Sequence[tuple[int, str]]) -> str:
    """A session's table. What is left of its time stands in the last row but one."""
    length = re.match(r"(\d+) minutes", title)
    if not length:
        raise TeachingError(f"a session needs its length, as in '90 minutes', not {title!r}.")
    whole, planned = int(length.group(1)), sum(minutes for minutes, _ in rows)
    if planned > whole:
        raise TeachingError(f"the session has {planned} minutes of work in {whole}.")
    spare = [(whole - planned, "in hand, for questions")] if planned < whole else []
    return _table([*rows, *spare, (whole, "**in all**")])


def homework(rows: Sequence[tuple[int, str]]) -> str:
    return _table([*rows, (sum(minutes for minutes, _ in rows), "**in all**")], "Homework")


def _table(rows: Sequence[tuple[int, str]], what: str = "In this session") -> str:
    lines = [
        ":::{list-table}",
        ":header-rows: 1",
        ":widths: 16 84",
        "",
        "* - Minutes",
        f"  - {what}",
    ]
    for minutes, what in rows:
        lines += [f"* - {minutes}", f"  - {what}"]
    return "\n".join([*lines, ":::"])


def reading(told: str) -> str:
    """How long a chapter takes to read, in short: "about 40 minutes to read, ..." is 40 minutes."""
    return told.split(",")[0].removeprefix("about ").removesuffix(" to read")


def chapters_table(chapters: Sequence[Chapter]) -> str:
    """One row for each chapter."""
    lines = [":::{list-table}", ":header-rows: 1", ":widths: 30 16 16 26 12", "", "* - Chapter",
             "  - To read, about", "  - Exercises", "  - Its research sprint",
             "  - Seconds to run"]  # fmt: skip
    for chapter in chapters:
        sprints = [e.told for e in chapter.exercises if e.is_sprint]
        others = [e for e in chapter.exercises if not e.is_sprint]
        minutes = [e.minutes for e in others if e.minutes is not None]
        told = f"{len(minutes)} in {sum(minutes)} minutes"
        longer = len(others) - len(minutes)
        told += f"; {longer} longer" if longer else ""
        lines += [
            f"* - {{doc}}`/notebooks/{chapter.name}`",
            f"  - {reading(chapter.to_read) or '–'}",
            f"  - {told if others else 'none'}",
            f"  - {'; '.join(sprints) or '–'}",
            f"  - {'–' if chapter.seconds is None else round(chapter.seconds)}",
        ]
    return "\n".join([*lines, ":::"])
