"""Films: questions about real videos, in the format of MVBench, and clips as video files.

A file of questions is a JSON list, and the videos lie in a folder::

    [{"video": "video_10009.mp4", "question": "...", "candidates": ["...", "..."],
      "answer": "...", "start": 2.1, "end": 9.4}, ...]

    films = load_films("json/moving_direction.json", "video/clevrer/video_validation").films
    question = films[0].ask()
    prompt = vlm.prompt(Video(films[0].frames), question.text)

``answer`` is one of the ``candidates``, word for word. ``start`` and ``end`` (seconds) are there
in some of the tasks; other keys are left alone. Nothing is dropped silently: questions that cannot
be used are counted in one warning and listed in ``refused``. Videos are read by PyAV, which
``pip install av`` installs.
"""

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from PIL import Image

from helpers.stimuli.clips import FRAMES, Clip
from helpers.stimuli.questions import Question

#: A video that ends before this share of the length it tells broke off, as a download may.
ENOUGH = 0.9

# Films ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Film:
    """Some frames of a video, a question about it, and the answers to choose from.

    Attributes:
        question: the question, as given.
        candidates: the answers to choose from, the right one among them.
        answer: the right one.
        path: the video file.
        frames: RGB, in order.
        seconds: when each of the frames is shown, counted from the video's first.
    """

    question: str
    candidates: tuple[str, ...]
    answer: str
    path: Path
    frames: tuple[Image.Image, ...]
    seconds: tuple[float, ...]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The candidates that are not the answer."""
        return tuple(candidate for candidate in self.candidates if candidate != self.answer)

    def ask(self, options: Sequence[str] | None = None) -> Question:
        """Ask for the letter of one of several options.

        Of two options, beliefs are read from the letters: ``film.ask([film.answer,
        film.wrong[0]])`` and the pair ("A", "B"). Ask in both orders: models favour a letter.

        Args:
            options: some of the candidates, in this order; by default all.

        Raises:
            ValueError: if one is no candidate or given twice, or the answer is not among them.
        """
        options = self.candidates if options is None else tuple(options)
        if not set(options) <= set(self.candidates) or len(set(options)) < len(options):
            raise ValueError(f"{list(options)} are not different ones of {list(self.candidates)}")
        if self.answer not in options:
            raise ValueError(f"the answer {self.answer!r} is not among {list(options)}")
        lines = [f"({_letter(place)}) {option}" for place, option in enumerate(options)]
        text = "\n".join([self.question, *lines, "Answer with the letter of the right option."])
        return Question("film", text, _letter(options.index(self.answer)))


@dataclass(frozen=True)
class Films:
    """The films of a file of questions, and the questions that are not among them.

    Attributes:
        films: in the order of the file.
        refused: a row for each question left out: ``row`` (counted from 0), ``video``,
            ``question`` and ``reason``.
    """

    films: tuple[Film, ...]
    refused: pd.DataFrame


def _letter(place: int) -> str:
    return chr(ord("A") + place)


# Files of questions -----------------------------------------------------------------------------


def load_films(
    json_path: str | Path,
    video_folder: str | Path,
    frames: int = FRAMES,
    largest: int | None = None,
    limit: int | None = None,
    strict: bool = False,
) -> Films:
    """Read questions in the format at the top of this file, and frames of their videos.

    A question is refused if its keys are missing or of the wrong kind, its answer is not among
    its candidates, its start is not before its end, or its video is missing, cannot be read, or
    has fewer frames than asked for. Videos kept as folders of pictures are refused, too.

    Frames are held in memory, 1 MB each at 720 x 480.

    Args:
        json_path: the file of questions.
        video_folder: where the videos are.
        frames: how many of each video; :func:`read_frames` says which.
        largest: shrink frames whose longer side is longer than this, in pixels.
        limit: read only so many questions, from the first.
        strict: refuse the whole file for one question.

    Raises:
        FileNotFoundError: if the file or the folder is missing.
        ValueError: if the file is no JSON list, or holds no question that can be used; with
            ``strict``, if it holds one that cannot.
        ImportError: if PyAV is not installed.
    """
    path, folder = Path(json_path), Path(video_folder)
    rows = _read_rows(path)[:limit]
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of videos {folder}")
    _pyav()

    # Several questions may be asked about one video.
    @lru_cache(maxsize=8)
    def read(video: Path, start: float | None, end: float | None):
        return read_frames(video, frames, start, end, largest)

    films, refused = [], []
    for number, row in enumerate(rows):
        try:
            question, candidates, answer = _asked(row)
            _bounds(row.get("start"), row.get("end"))
            video = _video(folder, row["video"])
            shown, seconds = read(video, row.get("start"), row.get("end"))
            films.append(Film(question, candidates, answer, video, shown, seconds))
        except Unusable as error:
            known = row if isinstance(row, dict) else {}
            refused.append((number, known.get("video"), known.get("question"), str(error)))
    if refused:
        message = _refusals(path, refused, len(rows))
        if strict or not films:
            raise ValueError(message)
        warnings.warn(message, stacklevel=2)
    columns = ["row", "video", "question", "reason"]
    return Films(tuple(films), pd.DataFrame(refused, columns=columns))


class Unusable(ValueError):
    """Why a question or a video cannot be used."""


def _read_rows(path: Path) -> list:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of questions {path}")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} holds no list of questions")
    return rows


def _asked(row: Any) -> tuple[str, tuple[str, ...], str]:
    """The question, candidates and answer of a row."""
    if not isinstance(row, dict):
        raise Unusable("is no object with video, question, candidates and answer")
    for key in ("video", "question", "answer"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise Unusable(f"has no text under {key!r}")
    candidates, answer = row.get("candidates"), row["answer"]
    if not isinstance(candidates, list) or not all(isinstance(one, str) for one in candidates):
        raise Unusable("has no list of texts under 'candidates'")
    if len(set(candidates)) < max(len(candidates), 2):
        raise Unusable(f"has candidates that are fewer than two, or one twice: {candidates}")
    if answer not in candidates:
        raise Unusable(f"the answer {answer!r} is not among the candidates {candidates}")
    return row["question"], tuple(candidates), answer


def _video(folder: Path, name: str) -> Path:
    path = folder / name
    if path.is_dir():
        raise Unusable(f"{name} is a folder, and only video files are read")
    if not path.is_file() or path.stat().st_size == 0:
        raise Unusable(f"{name} is missing or empty")
    return path


def _refusals(path: Path, refused: list[tuple], total: int) -> str:
    told = "".join(f"\n  {number}: {reason}" for number, _, _, reason in refused[:10])
    more = f"\n  and {len(refused) - 10} more" if len(refused) > 10 else ""
    return (
        f"{len(refused)} of {total} questions of {path} cannot be used, by row from 0:{told}{more}"
    )


# Frames of a video ------------------------------------------------------------------------------


def read_frames(
    path: str | Path,
    count: int = FRAMES,
    start: float | None = None,
    end: float | None = None,
    largest: int | None = None,
) -> tuple[tuple[Image.Image, ...], tuple[float, ...]]:
    """Read frames evenly spaced in a video: the centres of equal parts.

    Of ``n`` frames, all or those shown from ``start`` to ``end``, these are the frames
    ``floor((k + 0.5) * n / count)`` for k = 0 to count - 1, counted from 0: of 16 frames, eight
    are 1, 3, ... 15. No frame comes twice. The video is decoded twice, so as not to hold all of it.

    Args:
        path: the video file.
        count: how many frames.
        start: the first moment, in seconds from the video's first frame; by default that frame.
        end: the last moment, included; by default the video's end.
        largest: shrink frames whose longer side is longer than this, in pixels.

    Returns:
        The frames, RGB, and the seconds at which they are shown.

    Raises:
        ValueError: if ``count`` or ``largest`` is not positive, start is not before end, the file
            is no video or broken, or there are fewer frames than asked for.
        FileNotFoundError: if there is no file.
        ImportError: if PyAV is not installed.
    """
    if count < 1 or (largest is not None and largest < 1):
        raise ValueError(f"asked for {count} frames of {largest} pixels; ask for at least one")
    path = Path(path)
    low, high = _bounds(start, end)
    with _told_by(path):
        times = [seconds for seconds, _ in _decode(path)]
    inside = [index for index, seconds in enumerate(times) if low <= seconds <= high]
    if len(inside) < count:
        span = f" from {start or 0} s to {'the end' if end is None else f'{end} s'}"
        told = span if len(inside) < len(times) else ""
        raise Unusable(f"{path.name} has {len(inside)} frames{told}, and {count} were asked for")
    chosen = {inside[int((part + 0.5) * len(inside) / count)] for part in range(count)}
    with _told_by(path):
        found = [
            frame.to_image() for index, (_, frame) in enumerate(_decode(path)) if index in chosen
        ]
    for image in found:
        if largest is not None:
            image.thumbnail((largest, largest))
    return tuple(found), tuple(times[index] for index in sorted(chosen))


def _bounds(start: Any, end: Any) -> tuple[float, float]:
    low, high = -math.inf if start is None else start, math.inf if end is None else end
    if not all(isinstance(bound, int | float) for bound in (low, high)):
        raise Unusable(f"start {start!r} and end {end!r} are no seconds")
    if not low < high:
        raise Unusable(f"start {start} is not before end {end}")
    return low, high


def _decode(path: Path) -> Iterator[tuple[float, Any]]:
    """Yield the seconds since the first frame and each frame, in the order in which they show."""
    with _pyav().open(str(path)) as container:
        if not container.streams.video:
            raise Unusable(f"{path.name} holds no video")
        stream = container.streams.video[0]
        # Without this, damaged frames are patched up from their neighbours.
        stream.codec_context.options = {"err_detect": "explode"}
        # With several threads, damage that one of them meets is not told.
        stream.codec_context.thread_count = 1
        first, last, end = None, 0.0, 0.0
        for frame in container.decode(stream):
            first = frame.time if first is None else first
            # So it is in raw streams, and in .avi files of H.264.
            if frame.time is None or frame.time - first < last:
                raise Unusable(f"{path.name} does not tell when each of its frames is shown")
            last = frame.time - first
            end = last + float((frame.duration or 0) * stream.time_base)
            yield last, frame
        length = _length(container, stream)
        if end < ENOUGH * length:
            raise Unusable(f"{path.name} breaks off after {end:.1f} of {length:.1f} seconds")


def _length(container: Any, stream: Any) -> float:
    """The seconds that a file says it lasts, 0 if it does not."""
    if stream.duration is None:
        return (container.duration or 0) / _pyav().time_base
    return float(stream.duration * stream.time_base)


@contextmanager
def _told_by(path: Path) -> Iterator[None]:
    """Turn PyAV's errors into one that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except _pyav().error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise Unusable(f"{path.name} is no video, or broken: {reason}") from error


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ImportError("reading and writing videos needs PyAV: pip install av") from error
    return av


# Writing ----------------------------------------------------------------------------------------


def write_film(
    clip: Clip | Sequence[Image.Image],
    path: str | Path,
    fps: float = 2,
    pixels: int = 336,
    lossless: bool = False,
) -> Path:
    """Write a clip as an .mp4 file, to look at in a player or to read again.

    Every player takes the default, H.264 in yuv420p, which keeps colours at half the resolution:
    along coloured edges a level is off by up to about half of its range, elsewhere by a few.
    ``lossless`` files (H.264 in RGB) come back exactly, and few players but ffmpeg's and VLC
    show them.

    Args:
        clip: the clip, or pictures of one size.
        path: the file, which is replaced.
        fps: frames per second.
        pixels: width and height at which a clip is drawn; pictures keep theirs.
        lossless: keep every pixel.

    Returns:
        The path.

    Raises:
        ValueError: if there are no frames, they differ in size or are not RGB, ``fps`` is not
            positive, or a side is odd and not ``lossless``.
        ImportError: if PyAV is not installed.
    """
    frames = as_frames(clip, pixels)
    width, height = frames[0].size
    if not fps > 0:
        raise ValueError(f"asked for {fps} frames per second; ask for more than none")
    if not lossless and (width % 2 or height % 2):
        raise ValueError(f"{width} x {height} pixels: sides must be even, or lossless=True")
    av, path = _pyav(), Path(path)
    with av.open(str(path), "w", format="mp4") as container:
        codec = "libx264rgb" if lossless else "libx264"
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.options = {"qp": "0"} if lossless else {"crf": "10"}
        stream.codec_context.thread_count = 1  # the same file on every machine
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))
    return path


def as_frames(clip: Clip | Sequence[Image.Image], pixels: int) -> list[Image.Image]:
    """Draw a clip, or check pictures that are to be its frames.

    Raises:
        ValueError: if there are none, they differ in size, or one is neither RGB nor grey.
    """
    frames = clip.render(pixels) if isinstance(clip, Clip) else list(clip)
    sizes = dict.fromkeys(frame.size for frame in frames)
    if len(sizes) != 1:
        told = " and ".join(f"{width} x {height}" for width, height in sizes) or "no frames"
        raise ValueError(f"frames must be of one size, and there are {told}")
    for number, frame in enumerate(frames):
        if frame.mode not in ("RGB", "L"):
            raise ValueError(f"frame {number} has mode {frame.mode}: make it RGB first")
    return [frame.convert("RGB") for frame in frames]
