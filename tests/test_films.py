"""Films: which frames are read, what is refused and why, and what comes back from a file."""

import builtins
import json

import numpy as np
import pytest
from PIL import Image

from helpers.prompts import Video
from helpers.stimuli import films
from helpers.stimuli.clip_sampling import clips
from helpers.stimuli.clips import reverse
from helpers.stimuli.films import Film, load_films, read_frames, write_film

av = pytest.importorskip("av")
ROW = {"question": "Where does it go?", "candidates": ["Left", "Right", "Up"], "answer": "Right"}


def picture(number, size=(32, 16)):
    """A picture whose colour is a number below 32."""
    return Image.new("RGB", size, (8 * number, 0, 255 - 8 * number))


def numbers(frames):
    return [frame.getpixel((8, 8))[0] // 8 for frame in frames]


def film_of(path, count, **options):
    return write_film([picture(n) for n in range(count)], path, lossless=True, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder with a video of 16 frames, two a second, and a way to write questions about it."""
    film_of(tmp_path / "good.mp4", 16)

    def write(*rows):
        path = tmp_path / "questions.json"
        full = [ROW | row if isinstance(row, dict) else row for row in rows]
        path.write_text(json.dumps(full))
        return path, tmp_path

    return write


def only_reason(folder, row):
    """The reason for which a row is refused that comes after one that is not."""
    with pytest.warns(UserWarning, match="1 of 2 questions of .* cannot be used"):
        data = load_films(*folder({"video": "good.mp4"}, row))
    assert len(data.films) == 1
    assert list(data.refused["row"]) == [1]
    return data.refused["reason"][0]


# Which frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "count", "expected"),
    [
        (16, 8, [1, 3, 5, 7, 9, 11, 13, 15]),
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, 3, [1, 4, 7]),
        (10, 4, [1, 3, 6, 8]),
        (7, 1, [3]),
        (1, 1, [0]),
    ],
)
def test_frames_are_the_centres_of_equal_parts(tmp_path, there, count, expected):
    frames, seconds = read_frames(film_of(tmp_path / "a.mp4", there), count)
    assert numbers(frames) == expected
    assert seconds == tuple(number / 2 for number in expected)
    assert all(frame.mode == "RGB" and frame.size == (32, 16) for frame in frames)


def test_frames_lie_between_start_and_end(tmp_path):
    path = film_of(tmp_path / "a.mp4", 16)
    assert numbers(read_frames(path, 4, start=2, end=3.5)[0]) == [4, 5, 6, 7]
    assert numbers(read_frames(path, 2, start=2, end=3.5)[0]) == [5, 7]
    assert numbers(read_frames(path, 3, start=6.5)[0]) == [13, 14, 15]
    assert numbers(read_frames(path, 3, end=1.2)[0]) == [0, 1, 2]
    assert numbers(read_frames(path, 2, start=-5, end=99)[0]) == [4, 12]


def test_frames_are_told_by_the_times_that_the_file_says(tmp_path):
    frames, seconds = read_frames(film_of(tmp_path / "a.mp4", 30, fps=30), 3, start=0.5)
    assert numbers(frames) == [17, 22, 27]
    assert seconds == pytest.approx((17 / 30, 22 / 30, 27 / 30), abs=1e-3)


def test_large_frames_are_shrunk_if_asked(tmp_path):
    path = film_of(tmp_path / "a.mp4", 2)
    assert read_frames(path, 1, largest=8)[0][0].size == (8, 4)
    assert read_frames(path, 1, largest=99)[0][0].size == (32, 16)


def encode(path, codec, frames):
    """Write frames, two a second, in a format that ``write_film`` does not write."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=2)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")])
def test_other_formats_are_read(tmp_path, name, codec):
    encode(tmp_path / name, codec, [picture(number) for number in range(0, 32, 8)])
    frames, seconds = read_frames(tmp_path / name, 2)
    assert seconds == (0.5, 1.5)
    assert [frame.getpixel((8, 8))[0] for frame in frames] == pytest.approx([64, 192], abs=12)


# Questions --------------------------------------------------------------------------------------


def test_questions_become_films(folder):
    path, videos = folder(
        {"video": "good.mp4", "extra": 1},
        {"video": "good.mp4", "start": 2, "end": 5.5, "answer": "Up"},
        {"video": "good.mp4", "start": None, "end": None},
    )
    data = load_films(path, videos)
    assert data.refused.empty
    assert list(data.refused.columns) == ["row", "video", "question", "reason"]
    whole, part, same = data.films
    assert (whole.question, whole.answer, whole.path) == (
        "Where does it go?", "Right", videos / "good.mp4",
    )  # fmt: skip
    assert whole.candidates == ("Left", "Right", "Up")
    assert (whole.wrong, part.wrong) == (("Left", "Up"), ("Left", "Right"))
    assert numbers(whole.frames) == numbers(same.frames) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert numbers(part.frames) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert part.seconds[0] == 2
    assert Video(whole.frames).frames == whole.frames
    assert numbers(load_films(path, videos, frames=2, limit=1).films[0].frames) == [4, 12]
    assert len(load_films(path, videos, limit=1).films) == 1


def test_a_film_is_asked_with_lettered_options():
    film = Film("Where?", ("Left", "Right", "Up"), "Right", None, (), ())
    every = film.ask()
    assert every.text.splitlines()[:4] == ["Where?", "(A) Left", "(B) Right", "(C) Up"]
    assert (every.answer, every.kind) == ("B", "film")
    two = film.ask([film.answer, film.wrong[1]])
    assert "(A) Right\n(B) Up\n" in two.text
    assert (two.answer, film.ask(["Up", "Right"]).answer) == ("A", "B")
    with pytest.raises(ValueError, match="'Right' is not among"):
        film.ask(["Left", "Up"])
    for options in (["Right", "Down"], ["Right", "Right"]):
        with pytest.raises(ValueError, match="are not different ones of"):
            film.ask(options)


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("good.mp4", "is no object with video, question, candidates and answer"),
        ({"question": " ", "video": "good.mp4"}, "has no text under 'question'"),
        ({"video": 3}, "has no text under 'video'"),
        ({"video": "good.mp4", "answer": None}, "has no text under 'answer'"),
        ({"video": "good.mp4", "candidates": "Right"}, "has no list of texts"),
        ({"video": "good.mp4", "candidates": [1, 2]}, "has no list of texts"),
        ({"video": "good.mp4", "candidates": ["Right"]}, "fewer than two"),
        ({"video": "good.mp4", "candidates": ["Right", "Up", "Up"]}, "one twice"),
        ({"video": "good.mp4", "answer": "right"}, "the answer 'right' is not among"),
        ({"video": "good.mp4", "start": 3, "end": 2}, "start 3 is not before end 2"),
        ({"video": "good.mp4", "start": 2, "end": 2}, "start 2 is not before end 2"),
        ({"video": "good.mp4", "start": float("nan"), "end": 2}, "start nan is not before end 2"),
        ({"video": "good.mp4", "start": "1"}, "start '1' and end None are no seconds"),
        ({"video": "good.mp4", "start": [1]}, "start [1] and end None are no seconds"),
        (
            {"video": "good.mp4", "start": 1, "end": 2},
            "good.mp4 has 3 frames from 1 s to 2 s, and 8 were asked for",
        ),
        ({"video": "good.mp4", "start": 50}, "good.mp4 has 0 frames from 50 s to the end, and 8"),
        ({"video": "absent.mp4"}, "absent.mp4 is missing or empty"),
        ({"video": "."}, ". is a folder, and only video files are read"),
    ],
)
def test_questions_that_cannot_be_used_are_listed_with_their_reasons(folder, row, reason):
    assert reason in only_reason(folder, row)


def test_a_film_with_too_few_frames(folder, tmp_path):
    film_of(tmp_path / "short.mp4", 7)
    assert only_reason(folder, {"video": "short.mp4"}) == (
        "short.mp4 has 7 frames, and 8 were asked for"
    )


@pytest.mark.parametrize("content", [b"not a video", b"\x00" * 4000])
def test_files_that_are_no_videos(folder, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    reason = only_reason(folder, {"video": "bad.mp4"})
    assert reason.startswith("bad.mp4 is no video, or broken: Invalid data")


def noise(count):
    generator = np.random.default_rng(0)
    return [
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(count)
    ]


@pytest.mark.parametrize("name", ["bad.mp4", "bad.mkv", "bad.webm"])
def test_a_download_that_broke_off_is_not_taken_for_a_shorter_film(folder, tmp_path, name):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    encode(tmp_path / name, codec, noise(16))
    whole = (tmp_path / name).read_bytes()
    assert len(read_frames(tmp_path / name, 8)[0]) == 8
    (tmp_path / name).write_bytes(whole[: int(0.8 * len(whole))])
    reason = only_reason(folder, {"video": name})
    assert reason.startswith((f"{name} is no video, or broken", f"{name} breaks off after"))


def test_a_film_with_damage_inside_is_not_patched_up(tmp_path):
    path = write_film(clips(1, seed=3, kind="moving")[0], tmp_path / "bad.mp4", pixels=168)
    whole = path.read_bytes()
    places = range(2000, len(whole) - 2000, 2000)
    refused = 0
    for place in places:
        path.write_bytes(whole[:place] + bytes(400) + whole[place + 400 :])
        try:
            read_frames(path)
        except ValueError as error:
            assert str(error).startswith("bad.mp4 is no video, or broken")
            refused += 1
    # Left to itself, the decoder patches up most; and some damage still makes a picture.
    assert refused > 0.7 * len(places)


def test_a_film_that_tells_no_times(tmp_path):
    encode(tmp_path / "a.h264", "libx264", [picture(number) for number in range(4)])
    with pytest.raises(ValueError, match=r"a\.h264 does not tell when each of its frames"):
        read_frames(tmp_path / "a.h264", 1)


def test_sound_is_no_film(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"sound\.mp4 holds no video"):
        read_frames(tmp_path / "sound.mp4", 1)


def test_one_warning_counts_and_names_what_is_refused(folder, tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    rows = [
        {"video": "good.mp4"},
        {"video": "text.mp4"},
        *[{"video": f"{n}.mp4"} for n in range(11)],
    ]
    path, videos = folder(*rows)
    with pytest.warns(UserWarning) as caught:
        data = load_films(path, videos)
    (warning,) = caught
    told = str(warning.message)
    assert warning.filename == __file__
    for part in ("12 of 13 questions", "questions.json", "1: text.mp4 is no video", "2: 0.mp4 is"):
        assert part in told
    assert "10: 8.mp4" in told
    assert "11: 9.mp4" not in told  # ten are named
    assert "and 2 more" in told
    assert len(data.films) == 1
    assert list(data.refused["row"]) == list(range(1, 13))
    assert data.refused["video"][0] == "text.mp4"
    with pytest.raises(ValueError, match="12 of 13 questions"):
        load_films(path, videos, strict=True)


def test_a_file_of_which_nothing_can_be_used(folder):
    with pytest.raises(ValueError, match=r"(?s)2 of 2 questions.*a\.mp4 is missing"):
        load_films(*folder({"video": "a.mp4"}, {"video": "b.mp4"}))


def test_missing_and_broken_files_of_questions(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of questions .*none\.json"):
        load_films(tmp_path / "none.json", tmp_path)
    path, videos = folder({"video": "good.mp4"})
    with pytest.raises(FileNotFoundError, match=r"no folder of videos .*none"):
        load_films(path, videos / "none")
    with pytest.raises(FileNotFoundError, match="no folder of videos"):
        load_films(path, videos / "good.mp4")
    for content, message in (
        ("[{", "is no JSON"),
        ("{}", "holds no list of questions"),
        ("[]", "holds no list of questions"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            load_films(path, videos)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no JSON"):
        load_films(path, videos)


@pytest.mark.parametrize("options", [{"frames": 0}, {"frames": -1}, {"largest": 0}])
def test_bad_counts_are_no_fault_of_the_questions(folder, options):
    with pytest.raises(ValueError, match=r"^asked for .*; ask for at least one$"):
        load_films(*folder({"video": "good.mp4"}), **options)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        read_frames(tmp_path / "none.mp4")


def test_without_pyav_the_error_says_how_to_get_it(folder, monkeypatch, tmp_path):
    path, videos = folder({"video": "good.mp4"})
    load = builtins.__import__

    def missing(name, *rest):
        if name == "av":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    for call in (
        lambda: load_films(path, videos),
        lambda: read_frames(videos / "good.mp4"),
        lambda: write_film([picture(0)], tmp_path / "a.mp4"),
    ):
        with pytest.raises(ImportError, match="pip install av"):
            call()


# Writing ----------------------------------------------------------------------------------------


def levels(frames):
    return np.stack([np.asarray(frame) for frame in frames]).astype(int)


def test_a_lossless_film_comes_back_exactly(tmp_path):
    clip = clips(1, seed=3, kind="moving")[0]
    path = write_film(clip, tmp_path / "a.mp4", pixels=56, lossless=True)
    frames, seconds = read_frames(path)
    assert np.array_equal(levels(frames), levels(clip.render(56)))
    assert seconds == tuple(number / 2 for number in range(8))
    odd = write_film([picture(3, (33, 17))], tmp_path / "odd.mp4", lossless=True)
    assert read_frames(odd, 1)[0][0].size == (33, 17)


def test_a_film_for_players_is_close(tmp_path):
    clip = clips(1, seed=3, kind="moving")[0]
    path = write_film(clip, tmp_path / "a.mp4", pixels=168)
    off = np.abs(levels(read_frames(path)[0]) - levels(clip.render(168)))
    assert 0 < off.mean() < 4
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_reversed_clip_gives_reversed_frames(tmp_path):
    clip = clips(1, seed=4, kind="moving")[0]
    there, back = (
        levels(read_frames(write_film(one, tmp_path / "a.mp4", pixels=56, lossless=True))[0])
        for one in (clip, reverse(clip))
    )
    assert np.array_equal(there, back[::-1])
    assert not np.array_equal(there, back)


@pytest.mark.parametrize("fps", [0.5, 2, 29.97])
def test_films_play_as_fast_as_asked(tmp_path, fps):
    _, seconds = read_frames(film_of(tmp_path / "a.mp4", 4, fps=fps), 4)
    assert seconds == pytest.approx([number / fps for number in range(4)], abs=2e-3)


def test_grey_pictures_can_be_frames(tmp_path):
    path = write_film([Image.new("L", (16, 16), 99)], tmp_path / "a.mp4", lossless=True)
    assert read_frames(path, 1)[0][0].getpixel((0, 0)) == (99, 99, 99)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([], {}, "there are no frames"),
        ([picture(0), picture(1, (16, 16))], {}, "there are 32 x 16 and 16 x 16"),
        ([Image.new("RGBA", (16, 16))], {}, "frame 0 has mode RGBA: make it RGB first"),
        ([picture(0, (33, 16))], {}, "33 x 16 pixels: sides must be even"),
        ([picture(0)], {"fps": 0}, "asked for 0 frames per second"),
        ([picture(0)], {"fps": float("nan")}, "asked for nan frames per second"),
    ],
)
def test_films_that_cannot_be_written(tmp_path, frames, options, message):
    with pytest.raises(ValueError, match=message):
        write_film(frames, tmp_path / "a.mp4", **options)
    assert list(tmp_path.iterdir()) == []


def test_frames_are_checked_the_same_way_for_all():
    assert films.as_frames(iter([picture(0)]), 8)[0].size == (32, 16)
