"""The icons of the built pages: of Font Awesome's two thousand, the few that are used.

The theme brings them as fonts, 0.3 MB for each page, and names all of them in its style sheet.
"""

import re
from pathlib import Path

from fontTools import subset

STYLES = "_static/styles/pydata-sphinx-theme.css"
FONTS = "_static/vendor/fontawesome/webfonts"
NAME = re.compile(r"\bfa-[a-z0-9-]+")
#: ".fa-gear:before,.fa-cog:before{content:"\f013"}"
RULE = re.compile(r'(?:\.fa-[a-z0-9-]+:{1,2}before,?)+\{content:"[^"]*"\}')
WOFF2 = re.compile(r'url\([^)]*fontawesome[^)]*\.woff2\) format\("woff2"\),')
#: A character of a font's own, as such or as CSS writes it.
CHARACTER = re.compile(r"[\ue000-\uf8ff]|\\([ef][0-9a-f]{3})(?![0-9a-f])")


def keep_used_icons(pages: Path) -> None:
    """Cut style sheet and fonts down to the icons that pages and scripts name, in place."""
    path = pages / STYLES
    names = set()
    for source in [*pages.rglob("*.html"), *(pages / "_static").rglob("*.js")]:
        names |= set(NAME.findall(source.read_text(encoding="utf-8")))
    style = RULE.sub(
        lambda rule: rule[0] if names & set(NAME.findall(rule[0])) else "",
        path.read_text(encoding="utf-8"),
    )
    path.write_text(WOFF2.sub("", style), encoding="utf-8")
    sheets = [sheet.read_text(encoding="utf-8") for sheet in (pages / "_static").rglob("*.css")]
    codes = {
        int(found[1], 16) if found[1] else ord(found[0])
        for sheet in sheets
        for found in CHARACTER.finditer(sheet)
    }
    for font in (pages / FONTS).iterdir():
        if font.suffix == ".ttf":
            cut_down(font, codes)
        else:
            font.unlink()


def cut_down(path: Path, codes: set[int]) -> None:
    """Keep some characters of a font."""
    options = subset.Options(notdef_outline=True, layout_features=[])
    with subset.load_font(str(path), options) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=codes)
        cutter.subset(font)
        subset.save_font(font, str(path), options)
