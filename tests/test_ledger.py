"""The ledger: every number has a source, every verdict follows from its rule."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from tools import ledger, ledger_page
from tools.ledger import LedgerError, Run, make_rows, sources, verdict

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "ledger.md").read_text(encoding="utf-8")
CLAIMS = yaml.safe_load(ledger.CLAIMS.read_text(encoding="utf-8"))
KEYS = {"claim", "paper", "ours", "low", "high", "n", "notebook", "verdict"}
FIGURES = {
    "Figure 2", "Figure 4", "Figure 5", "Figure 6a", "Figure 6b", "Figure 6c", "Figure 6d",
    "Figure 7", "Figure 8a", "Figure 8b", "Figure 9", "Fine-tuning", "Figure 10a", "Figure 10b",
    "Figure 10c",
}  # fmt: skip


def interval(value=0.6, low=0.5, high=0.7, n=500):
    return {"value": value, "low": low, "high": high, "n": n}


def write(folder: Path, chapter: str, numbers: dict, model="tiny-llava", **changed) -> Path:
    """A chapter's results, as `helpers.results` leaves them."""
    manifest = {
        "chapter": chapter, "seed": 7, "small": False, "versions": {"torch": "2"},
        "models": {model: {"source": model, "blocks": 8}, "other": {"source": "b", "blocks": 2}},
        "hardware": {"processor": "x86_64"},
    }  # fmt: skip
    path = folder / chapter
    path.mkdir(parents=True, exist_ok=True)
    changed |= {"chapter": changed.pop("of", chapter)}
    (path / "manifest.json").write_text(json.dumps(manifest | changed))
    (path / "numbers.json").write_text(json.dumps(numbers))
    return path


def results_for(claims, folder: Path) -> Path:
    """Results with a number for each source of the claims, no two alike."""
    chapters: dict[str, dict] = {}
    for number, source in enumerate(s for claim in claims for s in sources(claim).values()):
        unit, value = source["unit"], 0.5 + number / 1000
        made = interval(value, value - 0.1, value + 0.1, 500 + number)
        made = {"text": {"value": "in words"}, "depth": {"value": 4}}.get(unit, made)
        chapters.setdefault(source["chapter"], {})[source["number"]] = made
    video = {s["chapter"] for one in claims if one.get("video") for s in sources(one).values()}
    for chapter, numbers in chapters.items():
        model = "tiny-video" if chapter in video else "tiny-llava"
        write(folder / model, chapter, numbers, model)
    return folder


@pytest.fixture
def results(tmp_path):
    return results_for(CLAIMS, tmp_path / "results")


def change(results: Path, chapter: str, **numbers) -> None:
    """Set numbers of a chapter; None removes one."""
    path = next(results.glob(f"*/{chapter}/numbers.json"))
    noted = json.loads(path.read_text()) | numbers
    path.write_text(json.dumps({key: value for key, value in noted.items() if value is not None}))


def rows_of(results: Path, claims=CLAIMS, sent_in: Path | None = None) -> dict[str, dict]:
    made = make_rows(claims, results=results, sent_in=sent_in or results / "nothing")
    return {row["id"]: row for row in made}


# ---------------------------------------------------------------- the claims


def test_the_claims_are_in_order_and_none_is_left_out():
    claims = ledger.read_claims()
    assert {claim["figure"] for claim in claims} == FIGURES
    chapters = {source["chapter"] for claim in claims for source in sources(claim).values()}
    known = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert chapters <= known, "claims ask for chapters that are not there"


def test_a_number_bears_the_number_of_its_chapter():
    for source in (s for claim in CLAIMS for s in sources(claim).values()):
        assert source["number"].startswith(f"ch{int(source['chapter'][:2])}_"), source


BAD = {
    "ours: 0.64": ({"ours": 0.64}, "ours must say where its number is from"),
    "a typed end": ({"ours": {"low": 0.6}}, "ours: unknown: low"),
    "a typed number": ({"ours": {"number": 0.64}}, "0.64 is no name of a glued number"),
    "no chapter": ({"ours": {"chapter": None}}, "ours lacks chapter"),
    "a typed verdict": ({"verdict": "reproduced"}, "unknown: verdict"),
    "typed beside": ({"beside": {"noise": 0.295}}, "noise must say where its number is from"),
    "a number in prose": ({"claim": "IDs swap 64 %"}, "claim holds a number without a source"),
    "because": ({"because": {"weaker": "only 3 %"}}, "because weaker holds a number without"),
    "not cited": ({"paper": {"says": "64 %"}}, "paper is not cited"),
    "unknown": ({"paper": {"says": "64 %", "cite": ["me2026"]}}, "me2026 is not among the ref"),
    "replication": ({"replication": {"says": "19 %"}}, "replication is not cited"),
    "no interval": ({"ours": {"unit": "count"}}, "ours must be a number with an interval"),
    "unit": ({"ours": {"unit": "parsecs"}}, "the unit 'parsecs' is not one of"),
    "defect": ({"released": {30: "none such"}}, "there is no defect 30"),
    "rule": ({"rule": {"weaker": ["ours.low > nothing"]}}, "is no condition"),
    "rule of none": ({"rule": {"weaker": ["noose.low > 0.1"]}}, "asks for noose"),
    "rule without end": ({"rule": {"weaker": []}}, "would always hold"),
    "code": ({"rule": {"weaker": ["__import__('os')"]}}, "is no condition"),
    "sentence": ({"because": {"perhaps": "x"}}, "'because' must have a sentence for each"),
}


@pytest.mark.parametrize("spoiled, message", BAD.values(), ids=BAD)
def test_nobody_can_type_a_number_or_a_verdict(tmp_path, spoiled, message):
    claim = copy.deepcopy(CLAIMS[0])
    for key, value in spoiled.items():
        merge = isinstance(value, dict) and key in ("ours", "rule", "because")
        claim[key] = claim[key] | value if merge else value
    (tmp_path / "claims.yml").write_text(yaml.safe_dump([claim]))
    with pytest.raises(LedgerError, match=re.escape(message)):
        ledger.read_claims(tmp_path / "claims.yml")


def test_two_claims_with_one_id_are_refused(tmp_path):
    (tmp_path / "claims.yml").write_text(yaml.safe_dump([CLAIMS[0], CLAIMS[0]]))
    with pytest.raises(LedgerError, match="two claims have this id"):
        ledger.read_claims(tmp_path / "claims.yml")


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("ours.value > 0.6", False), ("ours.value >= 0.6", True), ("ours.low < 0.5", False),
        ("ours.low <= 0.5", True), ("ours.high > 0.69", True), ("ours.n >= 500", True),
        ("ours.low > noise.high", True), ("noise.low > ours.high", False), ("ours.low > -1", True),
        ("words is both axes", True), ("words is one axis", False),
        ("gone.value > 0", None), ("ours.low > gone.high", None), ("gone is both axes", None),
        ("block.value < 5", True), ("block.low < 5", None),
    ],
)  # fmt: skip
def test_conditions_at_their_thresholds(condition, expected):
    numbers = {
        "ours": interval(), "noise": interval(0.1, 0.0, 0.2), "block": {"value": 4},
        "words": {"value": "both axes"}, "gone": {"value": None},
    }  # fmt: skip
    assert ledger.holds(condition, numbers) is expected


@pytest.mark.parametrize(
    "low, other, expected",
    [
        (0.31, 0.1, "reproduced"), (0.3, 0.1, "weaker"), (0.31, 0.3, "weaker"),
        (0.06, 0.9, "weaker"), (0.05, 0.1, "not reproduced"), (-1, None, "not reproduced"),
        (0.31, None, "not testable here"), (0.2, None, "weaker"),
    ],
)  # fmt: skip
def test_the_first_verdict_whose_conditions_hold(low, other, expected):
    rule = {"reproduced": ["ours.low > 0.3", "other.value < 0.2"], "weaker": ["ours.low > 0.05"]}
    numbers = {"ours": interval(low=low), "other": {"value": other}}
    assert verdict(rule, numbers) == expected


# ---------------------------------------------------------------- rows


def test_rows_show_what_the_results_hold(results):
    rows = rows_of(results)
    assert list(rows) == [claim["id"] for claim in CLAIMS]
    for claim, row in zip(CLAIMS, rows.values(), strict=True):
        assert row.keys() >= KEYS and row["verdict"] in ledger.VERDICTS
        model = "tiny-video" if claim.get("video") else "tiny-llava"
        assert_from_results(claim, row, results / model)
        assert (row["seed"], row["model"], row["small"]) == (7, model, False)
    assert json.loads(json.dumps(list(rows.values()))) is not None


def test_a_claim_that_no_chapter_tests_says_so(results):
    claim = {key: CLAIMS[0][key] for key in ("id", "figure", "title", "claim", "paper")}
    row = rows_of(results, [claim | {"untested": "Nobody has looked."}])[claim["id"]]
    assert row["ours"] is row["n"] is row["notebook"] is None
    assert (row["verdict"], row["because"]) == ("not testable here", "Nobody has looked.")


def assert_from_results(claim, row, folder: Path) -> None:
    """A row's numbers are those of the files, and its verdict follows from them."""
    chapter, name = claim["ours"]["chapter"], claim["ours"]["number"]
    noted = json.loads((folder / chapter / "numbers.json").read_text())[name]
    assert row["notebook"] == f"notebooks/{chapter}.ipynb"
    if isinstance(noted["value"], str):
        assert row["ours"] is None and row["verdict"] == "not testable here"
        return
    assert row["ours"] == pytest.approx(noted["value"])
    assert [row[end] for end in ("low", "high", "n")] == pytest.approx(
        [noted[end] for end in ("low", "high", "n")]
    )
    numbers = {one["name"]: one for one in row["beside"]}
    numbers["ours"] = {"value": row["ours"]} | {end: row[end] for end in ("low", "high", "n")}
    assert row["verdict"] == verdict(claim["rule"], numbers)
    for one in row["beside"]:
        noted = json.loads((folder / one["chapter"] / "numbers.json").read_text())[one["number"]]
        if one["unit"] == "depth" and not isinstance(noted["value"], str):
            assert one["text"].startswith(f"block {noted['value']} of ")
        elif one["value"] is not None:
            assert one["value"] == noted["value"] and one["high"] == noted.get("high")


def test_another_number_makes_another_ledger(results):
    before = rows_of(results)["fig2"]
    name = before["number"]
    change(results, "09_swapping_beliefs", **{name: interval(0.1, 0.01, 0.2)})
    after = rows_of(results)["fig2"]
    assert (after["ours"], after["low"], after["n"]) == (0.1, 0.01, 500)
    assert (before["verdict"], after["verdict"]) == ("reproduced", "not reproduced")
    assert after["text"] != before["text"] and after["because"] != before["because"]


def test_all_that_is_missing_is_named_at_once(results):
    gone, plain, text = (CLAIMS[0]["ours"] | CLAIMS[i]["ours"] for i in (0, 1, 2))
    change(results, gone["chapter"], **{gone["number"]: None})
    change(results, plain["chapter"], **{plain["number"]: {"value": 0.5}})
    change(results, text["chapter"], **{text["number"]: {"value": "64 %"}})
    lost = next(c["ours"]["chapter"] for c in CLAIMS if c["id"] == "fig7")
    for path in (results / "tiny-llava" / lost).iterdir():
        path.unlink()
    with pytest.raises(LedgerError) as error:
        rows_of(results)
    told = str(error.value)
    assert f"{gone['chapter']}: {gone['number']} is not among the chapter's numbers" in told
    assert f"{plain['number']} has no low, high, n: glue it as an Interval" in told
    assert f"{text['number']} is text only ('64 %')" in told
    assert told.count(f"{lost}: ") == 1  # once, though many numbers are asked of it
    assert f"python -m tools.notebooks run {lost}" in told


def test_a_number_that_is_nothing_is_an_error(results):
    ours = CLAIMS[0]["ours"]
    change(results, ours["chapter"], **{ours["number"]: interval(None, None, None)})
    with pytest.raises(LedgerError, match=f"{ours['number']} is not a number"):
        rows_of(results)


def test_what_was_not_measured_is_not_testable(results):
    ours = CLAIMS[0]["ours"]
    change(results, ours["chapter"], **{ours["number"]: {"value": "not measured"}})
    row = rows_of(results)["fig2"]
    assert (row["ours"], row["low"], row["n"]) == (None, None, None)
    assert (row["verdict"], row["text"]) == ("not testable here", "not measured")
    assert "not measured" in ledger_page.card(row)


@pytest.mark.parametrize(
    "number, unit, expected",
    [
        (interval(0.644, 0.6, 0.7), "percent", "64 % [60, 70]"),
        (interval(0.996, 0.991, 1.0), "percent", "99.6 % [99.1, 100.0]"),
        (interval(1.0, 1.0, 1.0), "percent", "100 % [100, 100]"),
        (interval(-0.001, -0.04, 0.02), "points", "0 points [-4, 2]"),
        (interval(0.35, 0.3, 0.4), "points", "+35 points [30, 40]"),
        (interval(7.84, 7.31, 8.3), "nats", "7.8 nats [7.3, 8.3]"),
        (interval(0.041, 0.012, 0.07), "nats", "0.04 nats [0.01, 0.07]"),
        (interval(0.854, 0.8, 0.9), "plain", "0.85 [0.80, 0.90]"),
        (interval(12, None, None), "count", "12"),
        ({"value": 0.5, "text": "block 4 of 8"}, "depth", "block 4 of 8"),
    ],
)
def test_numbers_are_rounded_in_their_unit(number, unit, expected):
    assert ledger.told(number, unit) == expected


def test_the_command_leaves_no_old_ledger_behind(results, tmp_path, monkeypatch, capsys):
    target = tmp_path / "ledger.json"
    monkeypatch.setattr(ledger, "SENT_IN", tmp_path / "none")
    rows = ledger.build("tiny-llava", results, target)
    assert json.loads(target.read_text()) == json.loads(json.dumps(rows))
    ours = CLAIMS[0]["ours"]
    change(results, ours["chapter"], **{ours["number"]: None})
    with pytest.raises(LedgerError):
        ledger.build("tiny-llava", results, target)
    assert not target.exists()
    monkeypatch.setattr(ledger, "RESULTS", tmp_path / "empty")
    monkeypatch.setattr(
        ledger, "build", lambda model, video_model: make_rows(CLAIMS, model, tmp_path / "e")
    )
    assert ledger.main(["build"]) == 1
    assert "holds no results" in capsys.readouterr().err


# ---------------------------------------------------------------- sent-in results


def sent(folder: Path, name="qwen--ada", model="Qwen/Qwen2-VL-2B-Instruct", **changed) -> Path:
    """A run of Figure 2's chapter as somebody might send it in."""
    chapter = CLAIMS[0]["ours"]["chapter"]
    numbers = {s["number"]: interval() for s in sources(CLAIMS[0]).values()}
    return write(folder / name, chapter, numbers, model, **changed)


@pytest.fixture
def known_chapters(tmp_path, monkeypatch):
    folder = tmp_path.parent / f"{tmp_path.name} notebooks"
    folder.mkdir()
    for source in (s for claim in CLAIMS for s in sources(claim).values()):
        (folder / f"{source['chapter']}.ipynb").touch()
    monkeypatch.setattr(ledger, "NOTEBOOKS", folder)


def test_a_sent_in_run_is_listed_in_its_rows_alone(results, tmp_path, known_chapters):
    sent(tmp_path / "in", hardware={"gpu": "NVIDIA L4"})
    rows = rows_of(results, sent_in=tmp_path / "in")
    (one,) = rows["fig2"]["sent_in"]
    assert one["model"] == "Qwen/Qwen2-VL-2B-Instruct" and one["verdict"] == "reproduced"
    assert (one["ours"], one["low"], one["n"], one["hardware"]) == (0.6, 0.5, 500, "NVIDIA L4")
    assert not any(row["sent_in"] for name, row in rows.items() if name != "fig2")
    card = ledger_page.card(rows["fig2"])
    assert "`Qwen/Qwen2-VL-2B-Instruct`: +60 points [50, 70], n = 500" in card
    assert "qwen--ada" in ledger_page.told_sent_in(list(rows.values()))


def test_a_sent_in_run_of_an_older_chapter_says_so(results, tmp_path, known_chapters):
    path = sent(tmp_path / "in") / "numbers.json"
    path.write_text(json.dumps({"ch9_old": interval()}))
    rows = rows_of(results, sent_in=tmp_path / "in")
    assert "another version of the chapter" in rows["fig2"]["sent_in"][0]["problem"]
    assert "cannot be used" in ledger_page.card(rows["fig2"])


SPOILED = {
    "small": ({"small": True}, None, "made with SMALL=True"),
    "another chapter": ({"of": "99_x"}, None, "manifest.json is of 99_x"),
    "no model": ({"models": {}}, None, "does not name the model"),
    "markup": ({"models": {"a": {"source": "<script>", "blocks": 8}}}, None, "does not name the"),
    "blocks": ({"models": {"a": {"source": "a/b"}}}, None, "how many blocks"),
    "seed": ({"seed": "none"}, None, "does not tell the seed"),
    "damaged": ({}, ("numbers.json", "{"), "damaged"),
    "a list": ({}, ("numbers.json", "[1]"), "not what a chapter writes"),
    "ends": ({}, ("numbers.json", json.dumps({"a": interval(0, 2, 1)})), "a is no interval"),
    "one sample": ({}, ("numbers.json", json.dumps({"a": interval(n=1)})), "a is no interval"),
    "half": ({}, ("numbers.json", '{"a": {"value": 1, "low": 0}}'), "a is no interval"),
    "nested": ({}, ("numbers.json", '{"a": {"value": [1]}}'), "a is neither a number nor text"),
    "more files": ({}, ("run.sh", "rm"), "run.sh does not belong here"),
    "manifest": ({}, ("manifest.json", "{}"), "manifest.json lacks chapter, hardware"),
}


@pytest.mark.parametrize("changed, written, message", SPOILED.values(), ids=SPOILED)
def test_sent_in_runs_are_looked_over(tmp_path, known_chapters, changed, written, message):
    path = sent(tmp_path, **changed)
    if written:
        (path / written[0]).write_text(written[1])
    with pytest.raises(LedgerError, match=re.escape(message)) as error:
        ledger.sent_names(tmp_path)
    assert f"sent_in/qwen--ada: {path.name}: " in str(error.value)


def test_folders_of_sent_in_runs_are_looked_over(tmp_path, known_chapters):
    (tmp_path / "README.md").touch()
    assert ledger.sent_names(tmp_path) == []
    sent(tmp_path, "fine")
    assert ledger.sent_names(tmp_path) == ["fine"]
    (tmp_path / "empty").mkdir()
    sent(tmp_path, "a b")
    (tmp_path / "fine" / "77_x").mkdir()
    write(tmp_path / "two", "05_their_geometry", {}, "a/model")
    sent(tmp_path, "two", "another/model")
    with pytest.raises(LedgerError) as error:
        ledger.sent_names(tmp_path)
    told = str(error.value)
    assert "empty: the folder is empty" in told and "a b: the folder's name" in told
    assert "77_x: is not the name of a chapter" in told
    assert "two: chapters of different models: a/model, another/model" in told


def test_the_sent_in_runs_of_this_book_are_in_order():
    ledger.sent_names()


# ---------------------------------------------------------------- the page


def prose(page: str) -> str:
    """What a reader reads of the page's own text: no code, links, labels or markers."""
    page = re.sub(r"```.*?```|<!--.*?-->|`[^`]*`", "", page, flags=re.S)
    return re.sub(r"\]\([^)]*\)", "]", page)


def test_nobody_typed_a_number_into_the_page():
    allowed = prose(PAGE).replace("95 % intervals", "intervals")
    assert re.findall(r"\d\S*", allowed) == []


def test_the_page_is_filled_from_the_rows(results):
    rows = list(rows_of(results).values())
    page = ledger_page.fill(PAGE, rows)
    assert "<!--" not in page
    for row in rows:
        assert f"[{row['title']}](#ledger-{row['id']})" in page
        assert f"(ledger-{row['id']})=" in page and row["paper"][1:] in page
        if row["ours"] is not None:
            assert page.count(row["text"]) >= 2  # in the overview, and in its block
            assert f"../notebooks/{Path(row['notebook']).stem}" in page
    with pytest.raises(LedgerError, match="needs the line '<!-- ledger: run -->'"):
        ledger_page.fill("# The ledger", rows)


def test_a_small_run_says_so(results):
    rows = list(rows_of(results).values())
    assert "SMALL" not in ledger_page.told_run(rows)
    rows[0]["small"] = True
    assert "SMALL" in ledger_page.told_run(rows)


def test_the_page_needs_the_ledger(tmp_path):
    with pytest.raises(LedgerError, match=r"ledger\.json has not been made"):
        ledger_page.fill_page(tmp_path / "ledger.md", tmp_path / "ledger.json")


def test_rules_are_said_in_words():
    rule = ["ours.low > 0.3", "band.value >= 0.2", "ours.low > noise.high", "words is both axes"]
    named = {"ours": {"unit": "points"}, "band": {"unit": "depth", "what": "where"},
             "noise": {"unit": "points", "what": "noise"},
             "words": {"unit": "text", "what": "axes"}}  # fmt: skip
    assert [ledger_page.in_words(one, named) for one in rule] == [
        "the lower end of *ours* is above 30 points",
        "“where” is at least 0.2 of the depth",
        "the lower end of *ours* is above the upper end of “noise”",
        "“axes” is “both axes”",
    ]


def test_the_page_builds_without_a_warning(results, tmp_path, known_chapters):
    pytest.importorskip("jupyter_book", reason="needs the 'book' extra")
    from tools import book

    sent(tmp_path / "in")
    rows = list(rows_of(results, sent_in=tmp_path / "in").values())
    source = tmp_path / "source"
    (source / "book").mkdir(parents=True)
    (source / "notebooks").mkdir()
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    wanted = {key: settings[key] for key in ("parse", "bibtex_bibfiles", "sphinx")}
    del wanted["sphinx"]["config"]["html_static_path"], wanted["sphinx"]["config"]["html_css_files"]
    wanted |= {"title": "A test", "execute": {"execute_notebooks": "off"}}
    (source / "_config.yml").write_text(yaml.safe_dump(wanted))
    chapters = {s["chapter"] for claim in CLAIMS for s in sources(claim).values()}
    pages = [f"notebooks/{name}" for name in sorted(chapters | {"15_bug_museum"})]
    for name in pages:
        (source / f"{name}.md").write_text("# A chapter\n")
    (source / "book" / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    toc = {"format": "jb-book", "root": "book/ledger"}
    toc["chapters"] = [{"file": name} for name in [*pages, "book/references"]]
    (source / "_toc.yml").write_text(yaml.safe_dump(toc))
    (source / "book" / "references.bib").write_text(ledger.REFERENCES.read_text())
    (source / "book" / "ledger.md").write_text(ledger_page.fill(PAGE, rows))
    html = book.build_pages(source, tmp_path / "work", tmp_path / "log") / "book" / "ledger.html"
    text = html.read_text()
    assert text.count("Its released code") == len(CLAIMS)
    assert all(f'href="#ledger-{row["id"]}"' in text for row in rows)


# ---------------------------------------------------------------- the book's own ledger


@pytest.mark.skipif(not ledger.LEDGER.exists(), reason="needs a built ledger: make book")
def test_the_books_ledger_is_what_its_results_hold():
    newest = max(path.stat().st_mtime for path in ledger.RESULTS.glob("*/*/numbers.json"))
    if newest > ledger.LEDGER.stat().st_mtime:
        pytest.skip("a chapter ran since the ledger was built: make book")
    rows = json.loads(ledger.LEDGER.read_text(encoding="utf-8"))
    assert [row["id"] for row in rows] == [claim["id"] for claim in CLAIMS]
    for video in (False, True):
        of_medium = zip(rows, CLAIMS, strict=True)
        assert len({row["model"] for row, claim in of_medium
                    if "model" in row and claim.get("video", False) is video}) <= 1  # fmt: skip
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert row.keys() >= KEYS
        if "ours" in claim:
            folder = ledger.RESULTS / row["model"]
            assert Run(folder).find(claim["ours"]) is not None
            assert_from_results(claim, row, folder)
