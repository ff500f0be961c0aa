"""Clips through PyAV: decoded as a stream, once to count the frames and again each time that they are needed."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from siv_jax.config import DataConfig
from siv_jax.data.decoding import check_pixels, decoded
from siv_jax.data.notes import Notes
from siv_jax.data.pictures import over_background
from siv_jax.data.pixel_format import PICTURE
from siv_jax.data.resize import resize
from siv_jax.data.selection import select
from siv_jax.data.source import Source
from siv_jax.errors import UserError

# Formats that hold a clip in one file. FFmpeg knows many more, among them playlists that name other files.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,dv,yuv4mpegpipe"
# Every decoding thread holds frames of its own: this bounds the memory of a 4K clip on large machines.
_THREADS = 4
# Frames that are larger are refused: a decoder holds several at a time.
_MAX_PIXELS = 50_000_000
_COLORSPACE_UNSPECIFIED = 2
_HDR_TRANSFERS = (16, 18)  # PQ and HLG


def clip_source(path: Path, name: str, data: DataConfig, notes: Notes) -> Source:
    """The frames of a clip between `data.start` and `data.end`.

    Pixels that are not square are brought to square ones.

    Raises UserError: not a clip, one without frames in that time, or damaged.
    """
    found, damaged, size, matrix = 0, 0, (0, 0), np.eye(2)
    with contextlib.closing(decoded(name, notes, _frames(path, name, data))) as frames:
        for frame, pixel_shape in frames:
            if found == 0:
                matrix = _display_matrix(frame)
                size = (frame.height, max(1, round(frame.width * pixel_shape)))
                size = size[::-1] if _is_transposed(matrix) else size
                if frame.color_trc in _HDR_TRANSFERS:
                    notes.add(name, "its high dynamic range is not tone-mapped, colours will look pale")
                if frame.interlaced_frame:
                    notes.add(name, "it is interlaced, what moves looks combed: ffmpeg -i CLIP -vf yadif NEW mends it")
            found += 1
            damaged += frame.is_corrupt
    if found == 0:
        wanted = f" from data.start {data.start:g} s" + (f" to data.end {data.end:g} s" if data.end else "")
        raise UserError(f"{name} holds no frames" + (wanted if data.start or data.end else ""))
    if damaged:
        notes.add(name, f"{damaged} of {found} frames are damaged and were patched up by the decoder")
    check_pixels(name, *size, _MAX_PIXELS)
    chosen = select(name, found, data, notes, timed=True)

    def chosen_frames() -> Iterator[np.ndarray]:
        wanted = set(chosen)
        with contextlib.closing(_frames(path, name, data)) as frames:
            for number, (frame, _) in enumerate(frames):
                if number in wanted:
                    rgb = over_background(_to_image(frame), name, data.background, notes)
                    yield resize(_turned(np.asarray(rgb), matrix), *size)
                if number == chosen[-1]:
                    return
        raise UserError(f"{name} decodes to fewer frames the second time: it is damaged")

    return Source(name, found, len(chosen), size, 3, PICTURE, lambda: decoded(name, notes, chosen_frames()), notes)


def _frames(path: Path, name: str, data: DataConfig) -> Iterator[tuple]:
    """(decoded frame, width of its pixels over their height) in order of time."""
    import av

    time = 0.0
    with contextlib.ExitStack() as closing:
        container = closing.enter_context(_opened(path, name, closing))
        stream = _picture_stream(container, name)
        origin = stream.start_time or 0
        try:
            for frame in _decoded_from(container, stream, data.start):
                if frame.pts is not None:
                    time = float((frame.pts - origin) * stream.time_base)
                elif data.start or data.end:
                    raise UserError(f"{name} has no times: leave data.start and data.end at 0")
                if time < data.start:
                    continue
                if data.end and time >= data.end:
                    return
                check_pixels(name, frame.height, frame.width, _MAX_PIXELS)
                yield frame, stream.sample_aspect_ratio or 1
        except av.error.FFmpegError:
            if time == 0:
                raise UserError(f"{name} is damaged from its beginning") from None
            raise UserError(
                f"{name} is damaged after {time:.2f} s: set data.end {time:.2f} to use what comes before"
            ) from None


def _opened(path: Path, name: str, closing: contextlib.ExitStack):
    import av

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    # PyAV below 19 stops at a title that is not UTF-8 unless told otherwise; later ones have no such setting.
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    # FFmpeg is given names only in UTF-8.
    file = f"file:{path.absolute()}" if str(path.absolute()).isprintable() else closing.enter_context(path.open("rb"))
    try:
        return av.open(file, options=options, **lenient)
    except av.error.FFmpegError:
        raise UserError(
            f"{name} is neither a picture nor a clip that can be read: it is damaged or of another kind"
        ) from None


def _picture_stream(container, name: str):
    import av

    covers = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams or streams[0].codec_context is None:
        raise UserError(f"{name} holds no pictures that can be decoded")
    stream = streams[0]
    if stream.height and stream.width:
        check_pixels(name, stream.height, stream.width, _MAX_PIXELS)
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _THREADS
    stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    return stream


def _decoded_from(container, stream, start: float) -> Iterator:
    """Decoded frames from the key frame before `start` seconds on, or from an earlier one."""
    if not start:
        return _decoded(container, stream)
    origin = stream.start_time or 0
    container.seek(round(start / stream.time_base) + origin, stream=stream)
    frames = _decoded(container, stream)
    first = next(frames, None)
    if first is not None and first.pts is not None and first.pts - origin <= start / stream.time_base:
        return itertools.chain((first,), frames)
    # Formats without an index may find a later key frame.
    container.seek(origin, stream=stream)
    return _decoded(container, stream)


def _decoded(container, stream) -> Iterator:
    import av

    started = False
    for packet in container.demux(stream):
        # Decoders may patch up what is left of a packet where the file ends in it. Broadcasts mark other packets, too.
        if packet.is_corrupt and not container.format.name.startswith("mpeg"):
            raise av.error.InvalidDataError(av.error.ErrorType.INVALIDDATA.value, "the file ends in a packet")
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            # A piece cut out of a broadcast begins with frames that refer to lost ones.
            if started:
                raise
            continue
        started = started or bool(frames)
        yield from frames


def _display_matrix(frame) -> np.ndarray:
    """[[a, b], [c, d]] of (x, y) -> (a x + c y, b x + d y), y downwards, which shows the clip upright."""
    # Call this for one frame only: a frame that was asked refers to itself, so only the garbage collector frees it.
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return np.eye(2) if matrix is None else np.frombuffer(memoryview(matrix), np.int32).reshape(3, 3)[:2, :2]


def _is_transposed(matrix: np.ndarray) -> bool:
    return not matrix.diagonal().any()


def _turned(samples: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`samples` [H,W,C] turned by quarters and mirrored as `matrix` says, left alone where that is not all."""
    if _is_transposed(matrix):
        samples, matrix = samples.swapaxes(0, 1), matrix[::-1]
    (a, b), (c, d) = np.sign(matrix)
    return samples if b or c or not a or not d else np.ascontiguousarray(samples[:: int(d), :: int(a)])


def _to_image(frame) -> Image.Image:
    """RGB or RGBA as stored."""
    # Clips that do not say how their colours are coded: players take small ones for BT.601, large for BT.709.
    unsaid = frame.colorspace == _COLORSPACE_UNSPECIFIED and not frame.format.is_rgb
    colorspace = "ITU709" if unsaid and frame.height >= 720 else None
    has_alpha = any(component.is_alpha for component in frame.format.components)
    samples = frame.to_ndarray(format="rgba" if has_alpha else "rgb24", src_colorspace=colorspace)
    return Image.fromarray(samples)
