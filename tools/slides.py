"""Make a deck of slides from each chapter of the built book.

    python -m tools.slides build                        # every chapter
    python -m tools.slides build 06_steering_beliefs    # one
    python -m tools.slides where

A deck is made from the chapter's *page*, in which numbers, citations and links are resolved, so it
says what the page says. What becomes a slide follows from how chapters are written:

- the title, with the question in bold that the introduction asks;
- each figure or table with its caption ("**Figure 6.1.** *Title.* ..."), equations, and tables;
- what readers are told to write down before they look on;
- each exercise without its solution; the summary; the open question.

Prose becomes the speaker's notes (press S). Code stays in the notebook. Decks lie in
`_build/slides/` with all that they need, and load nothing from the network.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag

from tools.book import HTML, external_loads
from tools.notebooks import ROOT

SLIDES = ROOT / "_build" / "slides"
ASSETS = Path(__file__).with_name("slides_assets")
MATHJAX = ROOT / "book" / "_static" / "vendor" / "mathjax"

#: Longest caption and lead-in on a slide, in words. The whole text is in the notes.
WORDS = 55
#: Points of a summary on one slide.
POINTS = 4

CAPTION = re.compile(r"^(Figure|Table)\b\s*([A-Z]?[\d.]*\d)?\.?\s*")
PREDICTION = re.compile(
    r"\b(write down|make a prediction|say beforehand|guess first|think about it before|"
    r"before you read on)\b",
    re.IGNORECASE,
)


class SlidesError(Exception):
    """A deck cannot be made. The message says of which page, and what to do."""


@dataclass(frozen=True)
class Slide:
    """One slide: a line above the title, the title, the content and the notes as HTML."""

    above: str
    title: str
    content: str
    kind: str  # a class of the style sheet: text, figure, exercise ...
    notes: str = ""


@dataclass
class Deck:
    """A chapter's slides, in stacks: one for each section of the chapter."""

    name: str
    title: str
    stacks: list[list[Slide]] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.stacks))


# ---------------------------------------------------------------- reading a page


def read_deck(page: Path) -> Deck:
    """The deck of one page.

    Raises:
        SlidesError: if the page is missing or is not a chapter.
    """
    if not page.exists():
        raise SlidesError(f"There is no page {page}: run `make book` first.")
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    chapter = soup.select_one("article section")
    heading = chapter and chapter.find("h1")
    if not heading:
        raise SlidesError(f"{page} has no chapter in it: run `make book` again.")
    clean(chapter)
    deck = Deck(page.stem, text_of(heading))
    deck.stacks.append(opening(chapter, deck.title))
    sections = chapter.find_all("section", recursive=False)
    deck.stacks += [stack for part in sections if (stack := list(slides_of(part, deck.title)))]
    return deck


def clean(chapter: Tag) -> None:
    """Take out what only a page needs: marks on headings, code, plain output, links inside."""
    for unwanted in chapter.select(
        "a.headerlink, div.cell_input, details, style, div.stream, div.text_plain, script"
    ):
        unwanted.decompose()
    for link in chapter.find_all("a"):
        if not link.get("href", "").startswith("http"):
            link.unwrap()
    for node in chapter.find_all(id=True):
        del node["id"]
    for node in chapter.select(".admonition section"):  # in a deck, a section is a slide
        node.name = "div"


def opening(chapter: Tag, title: str) -> list[Slide]:
    """The title with its question, and what will be learned."""
    begin = [node for node in chapter.find_all(recursive=False) if node.name != "section"]
    paragraphs = [node for node in begin if node.name == "p"]
    bold = [text_of(strong) for p in paragraphs for strong in p.find_all("strong")]
    question = next((text for text in bold if text.endswith("?")), "")
    prose = [p for p in paragraphs[1:] if text_of(p) != "You will learn"]
    notes = "".join(map(str, prose))
    slides = [Slide("", title, f"<p class='question'>{escape(question)}</p>", "opening", notes)]
    if aims := next((node for node in begin if node.name == "ul"), None):
        slides.append(Slide(title, "You will learn", str(aims), "text"))
    return slides


def slides_of(section: Tag, above: str) -> Iterator[Slide]:
    """The slides of one section and those in it."""
    heading = text_of(section.find(re.compile("^h[2-6]$")))
    bare = re.sub(r"^[\d.]+\s*", "", heading)
    body = [node for node in section.find_all(recursive=False) if not node.name.startswith("h")]
    if bare == "Further reading":
        return
    if bare == "Summary":
        yield from summary(body, above)
    elif bare.startswith("Open question"):
        yield Slide(above, "Open question", "".join(map(str, body)), "text")
    else:
        yield from _Section(above, heading).slides(body)


def summary(body: Sequence[Tag], above: str) -> Iterator[Slide]:
    """What to take home, a few points on each slide."""
    points = [point for node in body if node.name == "ul" for point in node.find_all("li")]
    notes = "".join(str(node) for node in body if node.name == "p")
    pages = -(-len(points) // POINTS)
    size = -(-len(points) // pages) if pages else 1
    for first in range(0, len(points), size):
        shown = "".join(map(str, points[first : first + size]))
        yield Slide(above, "Take home", f"<ul>{shown}</ul>", "text", notes)


class _Section:
    """Walks through a section; keeps the prose and the pictures that wait for their caption."""

    def __init__(self, above: str, heading: str):
        self.above, self.heading = above, heading
        self.prose: list[Tag] = []
        self.pictures: list[Tag] = []
        self.figure_title = ""  # of a figure whose caption ends with a colon: a table follows

    def slides(self, body: Sequence[Tag]) -> Iterator[Slide]:
        for number, node in enumerate(body):
            classes = set(node.get("class", []))
            if node.name == "section":
                yield from slides_of(node, self.above)
            elif "cell" in classes:
                self.pictures += pictures_in(node)
            elif "exercise" in classes:
                yield self.slide(*exercise(node), "exercise")
            elif "admonition" in classes:
                title = node.select_one(".admonition-title")
                title.extract()
                yield self.slide(text_of(title), node.decode_contents(), "text")
            elif node.name == "div" and "math" in classes:
                yield self.equation(node, body[number + 1 :])
            elif node.find("table"):
                yield self.table(node)
            elif node.name == "p" and CAPTION.match(text_of(node)) and self.pictures:
                yield from self.figure(node)
            else:
                self.prose.append(node)
                if node.name == "p" and PREDICTION.search(text_of(node)):
                    yield self.slide("Before you look", f"<p>{asked(node)}</p>", "text")

    def slide(self, title: str, content: str, kind: str, notes: str = "") -> Slide:
        """A slide that takes the prose so far as its notes."""
        told = "".join(map(str, self.prose))
        self.prose = []
        return Slide(f"{self.above} · {self.heading}", title, content, kind, told + notes)

    def figure(self, caption: Tag) -> Iterator[Slide]:
        """Slides of what was drawn since the last caption; the caption goes with the last."""
        label, title, rest = split_caption(caption)
        shown = [node for node in self.pictures if is_picture(node)] or self.pictures
        main = shown[-1] if label.startswith("Figure") else self.pictures[-1]
        others = [node for node in self.pictures if node is not main]
        self.pictures = []
        for picture in others:
            yield self.slide(title, f"<div class='visual'>{picture}</div>", "figure")
        for image in main.find_all("img") if main.name != "img" else [main]:
            if image.get("alt", "").startswith(("../", "_images")):
                image["alt"] = f"{label}. {title}"
        content = f"<div class='visual'>{main}</div>"
        content += f"<p class='caption'><b>{label}.</b> {capital(shortened(rest))}</p>"
        self.figure_title = title if text_of(caption).endswith(":") else ""
        yield self.slide(title or self.heading, content, "figure", str(caption))

    def equation(self, node: Tag, following: Sequence[Tag]) -> Slide:
        """An equation between the paragraphs around it."""
        lead = f"<p>{shortened(self.prose[-1], from_end=True)}</p>" if self.prose else ""
        after = following[0] if following and following[0].name == "p" else None
        if after is None or CAPTION.match(text_of(after)):
            return self.slide(self.heading, f"{lead}{node}", "text")
        return self.slide(self.heading, f"{lead}{node}<p>{shortened(after)}</p>", "text")

    def table(self, node: Tag) -> Slide:
        """A table of the text, with the sentence that leads to it."""
        lead = f"<p>{shortened(self.prose[-1], from_end=True)}</p>" if self.prose else ""
        title = f"{self.figure_title}: the numbers" if self.figure_title else self.heading
        self.figure_title = ""
        return self.slide(title, f"{lead}<div class='visual'>{node}</div>", "figure")


def pictures_in(cell: Tag) -> list[Tag]:
    """What a cell shows: images, sliders, tables."""
    output = cell.select_one("div.cell_output")
    return output.find_all(recursive=False) if output else []


def is_picture(node: Tag) -> bool:
    return node.name == "img" or node.find("img") is not None


def exercise(node: Tag) -> tuple[str, str]:
    """(title, content) of an exercise: what to do, how hard and how long it is."""
    title = node.select_one(".admonition-title")
    name = re.search(r"\((.*)\)\s*$", text_of(title))
    number = re.match(r"Exercise\s+[\w.]+", text_of(title))
    title.extract()
    shown = f"{number.group() if number else 'Exercise'}. {name.group(1) if name else ''}"
    return shown.removesuffix(". "), node.decode_contents()


def split_caption(caption: Tag) -> tuple[str, str, Tag]:
    """(label, title, the rest) of a paragraph that begins "**Figure 6.1.** *Title.* ..."."""
    rest = BeautifulSoup(str(caption), "html.parser").p
    strong = rest.find("strong").extract()
    label = CAPTION.match(text_of(strong)).group().strip().removesuffix(".")
    title = text_of(strong)[len(CAPTION.match(text_of(strong)).group()) :]
    first = next((node for node in rest.children if text_of(node)), None)
    if not title and isinstance(first, Tag) and first.name == "em":
        title = text_of(first.extract())
    return label, title.rstrip(".,"), rest


def capital(text: str) -> str:
    """The text without the comma that parted it from its title, with a capital in front."""
    text = text.lstrip(" ,:;\n")
    return text[:1].upper() + text[1:]


def text_of(node: Tag | NavigableString) -> str:
    return " ".join(node.get_text().split())


def sentences_of(paragraph: Tag) -> list[str]:
    """The sentences of a paragraph, as HTML."""
    sentences = [""]
    for node in paragraph.children:
        if isinstance(node, Tag):
            sentences[-1] += str(node)
            continue
        first, *others = re.split(r"(?<=[.?!:])\s+(?=[A-Z(])", escape(str(node)))
        sentences[-1] += first
        sentences += others
    return [sentence for sentence in sentences if sentence.strip()]


def asked(paragraph: Tag) -> str:
    """A paragraph up to the sentence that asks for a prediction; what follows may be the answer."""
    sentences = sentences_of(paragraph)
    last = max(n for n in range(len(sentences)) if PREDICTION.search(bare(" ".join(sentences[n:]))))
    return " ".join(sentences[: last + 1])


def bare(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", "", html).split())


def shortened(paragraph: Tag, words: int = WORDS, from_end: bool = False) -> str:
    """Whole sentences of a paragraph from its beginning (or its end), as HTML."""
    sentences, kept = sentences_of(paragraph), []
    for sentence in reversed(sentences) if from_end else sentences:
        length = sum(len(bare(s).split()) for s in [*kept, sentence])
        if kept and length > words:
            break
        kept.append(sentence)
    return " ".join(reversed(kept) if from_end else kept)


# ---------------------------------------------------------------- writing decks


def html_of(deck: Deck) -> str:
    """The deck as a page."""
    stacks = []
    for stack in deck.stacks:
        slides = "".join(map(_html_of_slide, stack))
        stacks.append(slides if len(stack) == 1 else f"<section>{slides}</section>")
    page = (ASSETS / "deck.html").read_text(encoding="utf-8")
    return page.replace("{{title}}", escape(deck.title)).replace("{{slides}}", "\n".join(stacks))


def _html_of_slide(slide: Slide) -> str:
    above = f"<p class='above'>{escape(slide.above)}</p>" if slide.above else ""
    notes = f"<aside class='notes'>{slide.notes}</aside>" if slide.notes else ""
    size = " class='long'" if len(slide.title) > 58 else ""
    title = f"<h2{size}>{escape(slide.title)}</h2>"
    return (
        f"<section class='{slide.kind}'><header>{above}{title}</header>"
        f"<div class='content'>{slide.content}</div>{notes}</section>\n"
    )


def take_images(html: str, pages: Path, target: Path) -> str:
    """Copy the images that a deck shows next to it; return the deck with their new addresses."""
    soup = BeautifulSoup(html, "html.parser")
    for image in soup.find_all("img"):
        address = image.get("src", "")
        if address.startswith("data:"):
            continue
        source = (pages / address).resolve()
        if not source.is_file():
            raise SlidesError(f"The image {address} is missing: run `make book` again.")
        (target / "_images").mkdir(exist_ok=True)
        shutil.copy2(source, target / "_images" / source.name)
        image["src"] = f"_images/{source.name}"
    return str(soup)


def contents(decks: Sequence[Deck]) -> str:
    """The page that lists the decks."""
    rows = "".join(
        f"<li><a href='{deck.name}.html'>{escape(deck.title)}</a> · {len(deck)} slides</li>"
        for deck in decks
    )
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    return page.replace("{{decks}}", rows)


def chapters() -> list[str]:
    """The names of the chapters, in the order of the book."""
    return sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


def build(names: Sequence[str] = (), html: Path = HTML, target: Path = SLIDES) -> list[Deck]:
    """Write the decks of the named chapters (all, if none is named) and a list of them.

    Raises:
        SlidesError: if a page is missing, or if a deck would load something from the network.
    """
    pages = html / "notebooks"
    decks = [read_deck(pages / f"{name}.html") for name in names or chapters()]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copytree(ASSETS, target / "_static", ignore=shutil.ignore_patterns("*.html"))
    shutil.copytree(MATHJAX, target / "_static" / "mathjax")
    for deck in decks:
        page = take_images(html_of(deck), pages, target)
        (target / f"{deck.name}.html").write_text(page, encoding="utf-8")
    (target / "index.html").write_text(contents(decks), encoding="utf-8")
    if loads := external_loads(target):
        told = "\n".join(f"{page}: {address}" for page, address in loads)
        raise SlidesError(f"These decks would load something from the network:\n{told}")
    return decks


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.slides", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="make the decks")
    verb.add_argument("names", nargs="*", help="chapters; all of them if none is named")
    verbs.add_parser("where", help="tell where they are")
    args = parser.parse_args(argv)
    if args.verb == "where":
        print(f"\nThe slides are here:\n  {(SLIDES / 'index.html').as_uri()}\n")
        return 0
    try:
        decks = build(args.names)
    except SlidesError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        return 1
    print(f"   the slides: {len(decks)} decks, {sum(map(len, decks))} slides", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
