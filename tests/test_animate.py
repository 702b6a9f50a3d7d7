"""Clips on a page: an animation that ends for nobody, a strip for those who want no motion."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from helpers.animate import LIMIT, animation, show_clip, strip
from helpers.prompts import Video
from helpers.stimuli.clip_sampling import clips
from helpers.stimuli.clips import freeze

ALT = "A frog & a <camel> that 'come' and \"go\"."
STILL, NARROW = "(prefers-reduced-motion: reduce)", "(max-width: 600px)"


class Page(HTMLParser):
    """The pictures of a page: a (media, data) for each source, an (alt, data) for each image."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.sources, self.images = [], {}, []
        self.feed(shown._repr_html_())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "source":
            self.sources[attrs["media"]] = opened(attrs["srcset"])
        if tag == "img":
            self.images.append((attrs["alt"], opened(attrs["src"])))


def opened(uri):
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    content = base64.b64decode(data, validate=True)
    picture = Image.open(io.BytesIO(content))
    picture.info["bytes"] = len(content)
    return picture


@pytest.fixture(scope="module")
def clip():
    return clips(1, seed=3, kind="moving")[0]


def flat(count, size=(32, 32)):
    return [Image.new("RGB", size, (30 * number, 0, 0)) for number in range(count)]


def test_an_animation_holds_every_frame_and_never_ends(clip):
    ((alt, moving),) = Page(animation(clip, ALT)).images
    assert alt == ALT
    assert (moving.format, moving.n_frames, moving.info["loop"]) == ("WEBP", 8, 0)
    assert moving.size == (170, 170)  # with its rim
    assert moving.info["bytes"] <= LIMIT
    for number, frame in enumerate(clip.render(168)):
        moving.seek(number)
        moving.load()
        assert moving.info["duration"] == 500
        shown = np.asarray(moving.convert("RGB")).astype(int)[1:-1, 1:-1]
        assert np.abs(shown - np.asarray(frame)).mean() < 5


def test_a_clip_that_stands_still_is_shown_still(clip):
    ((_, moving),) = Page(animation(freeze(clip, 2), ALT)).images
    assert getattr(moving, "n_frames", 1) == 1


@pytest.mark.parametrize("kind", ["flashes", "events", "moving"])
def test_clips_of_every_kind_are_small(kind):
    for one in clips(5, seed=1, kind=kind):
        ((_, moving),) = Page(animation(one, ALT)).images
        assert moving.info["bytes"] <= 30_000
        assert len(show_clip(one, ALT).markup) < 150_000


def noise(side):
    levels = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)
    return [Image.fromarray(frame) for frame in levels]


def test_the_quality_falls_before_the_limit_is_broken():
    ((_, moving),) = Page(animation(noise(110), ALT)).images
    assert 0.8 * LIMIT < moving.info["bytes"] <= LIMIT
    with pytest.raises(ValueError, match=rf"8 frames of 168 x 168 .* than {LIMIT}: show fewer"):
        animation(noise(168), ALT)
    animation(noise(168), ALT, pixels=84)


def test_without_motion_an_animation_is_a_strip(clip):
    page = Page(animation(clip, ALT))
    assert page.tags == ["picture", "source", "source", "img"]
    # The first source that holds is taken: the narrower one must come first.
    assert list(page.sources) == [f"{STILL} and {NARROW}", STILL]
    narrow, wide = page.sources.values()
    assert getattr(wide, "n_frames", 1) == getattr(narrow, "n_frames", 1) == 1
    assert wide.width > 8 * 168 > narrow.width > 4 * 168
    assert 1.9 < narrow.height / wide.height < 2.1


def test_a_strip_shows_every_frame_in_its_place():
    page = Page(strip(flat(8), ALT))
    ((alt, wide),) = page.images
    assert alt == ALT
    assert list(page.sources) == [NARROW]
    for picture, rows in ((wide, 1), (page.sources[NARROW], 2)):
        pixels = np.asarray(picture.convert("RGBA")).astype(int)
        height, width = pixels.shape[0] / rows, pixels.shape[1] / (8 // rows)
        for number in range(8):
            row, column = divmod(number, 8 // rows)
            middle = pixels[int((row + 0.7) * height), int((column + 0.5) * width)]
            assert middle == pytest.approx([30 * number, 0, 0, 255], abs=12)


def test_a_strip_is_clear_between_frames_and_labels_stand_out_on_any_page():
    ((_, picture),) = Page(strip(flat(3), ALT, labels=["a", "", "b"])).images
    pixels = np.asarray(picture.convert("RGBA")).astype(int)
    gaps = (pixels[..., 3] == 0).all(0)
    assert 0 < gaps.sum() <= 6
    heads = pixels[:12][:, ~gaps]
    assert (heads[..., 3] == 255).all()
    assert np.median(heads[..., 0]) == pytest.approx(96, abs=4)
    third = pixels[:12].shape[1] // 3
    white = (pixels[:12, :, :3].min(-1) > 160) & (pixels[:12, :, 3] == 255)
    assert white[:, :third].any()
    assert not white[:, third + 2 : 2 * third - 2].any()
    assert white[:, 2 * third :].any()


def test_frames_are_numbered_from_0():
    numbered, same = (strip(flat(3), ALT, labels).markup for labels in (None, ["0", "1", "2"]))
    assert numbered == same != strip(flat(3), ALT, ["1", "2", "3"]).markup


def test_a_clip_is_shown_moving_above_its_strip(clip):
    shown = show_clip(clip, ALT)
    page = Page(shown)
    (alt, moving), (told, row) = page.images
    assert (alt, moving.n_frames) == (ALT, 8)
    assert told == f"{ALT.rstrip('.')}: all 8 frames, side by side."
    assert list(page.sources) == [STILL, NARROW]
    assert getattr(page.sources[STILL], "n_frames", 1) == 1
    assert page.sources[STILL].size == moving.size
    assert row.width > 8 * 168


def test_it_needs_no_script_and_no_network_and_as_text_it_is_short(clip):
    shown = show_clip(clip, ALT)
    assert not {"script", "link", "style", "iframe"} & set(Page(shown).tags)
    assert not re.search(r"https?:|javascript|\son\w+=", shown.markup)
    assert ALT not in shown.markup  # escaped
    assert repr(shown) == f"Moving(alt={ALT!r})"
    assert shown.alt == ALT


def test_clips_videos_and_pictures_are_shown_alike(clip):
    frames = clip.render(168)
    expected = show_clip(clip, ALT)
    assert show_clip(frames, ALT) == expected == show_clip(Video(tuple(frames)), ALT)
    assert show_clip(tuple(frames), ALT) == expected


def test_large_pictures_are_shrunk_and_small_ones_are_left():
    ((_, moving),) = Page(animation(flat(2, (640, 360)), ALT, pixels=160)).images
    assert moving.size == (162, 92)
    ((_, moving),) = Page(animation(flat(2), ALT)).images
    assert moving.size == (34, 34)


def test_frames_are_shown_as_long_as_asked(clip):
    ((_, moving),) = Page(animation(clip, ALT, seconds=0.25)).images
    moving.seek(1)
    moving.load()
    assert moving.info["duration"] == 250


@pytest.mark.parametrize("show", [show_clip, animation, strip])
@pytest.mark.parametrize(
    ("frames", "alt", "message"),
    [
        ([], ALT, "there are no frames"),
        ([*flat(1), *flat(1, (16, 32))], ALT, "there are 32 x 32 and 16 x 32"),
        ([Image.new("RGBA", (8, 8))], ALT, "frame 0 has mode RGBA"),
        (flat(2), " ", "say in words what the clip shows"),
    ],
)
def test_bad_input(show, frames, alt, message):
    with pytest.raises(ValueError, match=message):
        show(frames, alt)


def test_labels_and_times_that_do_not_fit():
    for show in (show_clip, strip):
        with pytest.raises(ValueError, match="2 frames need as many labels, not 3"):
            show(flat(2), ALT, labels=["a", "b", "c"])
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=f"not {seconds} seconds"):
            animation(flat(2), ALT, seconds=seconds)
