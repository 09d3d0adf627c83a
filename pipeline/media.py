"""Reads one sound file: every sound track of it, decoded to the end, whatever its header says.

Lengths, identity and times come from the decoded sound alone. FFmpeg's libraries do the decoding, through
PyAV; they are allowed only formats that hold sound, so that no file can make them open another one.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from wellheard.pipeline import headers
from wellheard.pipeline.errors import NoSound, UnreadableAudio
from wellheard.pipeline.records import SAMPLE_RATE

Samples = npt.NDArray[np.int16]

# Formats that hold recordings. Playlists, scripts and sound devices, which FFmpeg also reads, are not here.
_FORMATS = (
    *(
        "wav",
        "w64",
        "mp3",
        "flac",
        "ogg",
        "matroska",
        "webm",
        "mov",
        "mp4",
        "m4a",
        "3gp",
        "3g2",
        "mj2",
        "aac",
        "ac3",
    ),
    *(
        "eac3",
        "amr",
        "amrnb",
        "amrwb",
        "gsm",
        "asf",
        "aiff",
        "au",
        "caf",
        "avi",
        "flv",
        "mpeg",
        "mpegts",
        "wv",
        "ape",
    ),
    *("tta", "dss", "voc", "mulaw", "alaw", "sln", "g722", "g729"),
)
# FFmpeg computes these formats' durations from tables that the recorder wrote, not from the file's size.
_KNOWS_ITS_LENGTH = ("flac", "mov", "aiff", "caf", "matroska")
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),  # Content Encryption Object
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),  # Extended Content Encryption Object
)
_PROTECTED_TAGS = {"enca", "drms"}
_SHORTEST_S = 0.05
_RATES = range(2000, 400_000)
_MOST_CHANNELS = 64
_LONGEST_S = 24 * 3600
_GAP_S = 0.1
_LONGEST_GAP_S = 3600.0
_BATCH_S = 1.0


@dataclass(frozen=True)
class Sound:
    """A decoded file: each track int16 of shape (channels, n) at `SAMPLE_RATE`, and the hash of the sound.

    `expected_s` is set where the file promises more than could be heard.
    """

    tracks: tuple[Samples, ...]
    digest: bytes
    expected_s: float | None
    notes: tuple[str, ...]


class Tape:
    """Sound that grows, in blocks large enough that each goes back to the system once it is copied."""

    BLOCK = 1 << 24

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._blocks: list[Samples] = []
        self.length = 0

    def append(self, samples: Samples) -> None:
        """Add int16 of shape (channels, n)."""
        done = 0
        while done < samples.shape[1]:
            at = self.length % self.BLOCK
            if at == 0:
                self._blocks.append(np.empty((self._channels, self.BLOCK), np.int16))
            count = min(self.BLOCK - at, samples.shape[1] - done)
            self._blocks[-1][:, at : at + count] = samples[:, done : done + count]
            self.length += count
            done += count

    def take(self) -> Samples:
        """All of it in one array, (channels, n). The tape is empty afterwards."""
        whole = np.empty((self._channels, self.length), np.int16)
        for start in range(0, self.length, self.BLOCK):
            block = self._blocks.pop(0)
            count = min(self.BLOCK, self.length - start)
            whole[:, start : start + count] = block[:, :count]
        self.length = 0
        return whole


class _Track:
    """One sound track on its way from packets to samples at `SAMPLE_RATE`."""

    def __init__(self, stream: AudioStream, origin_s: float | None) -> None:
        self.stream = stream
        self.tape: Tape | None = None
        self.hash = hashlib.sha256()
        self.clock_s = 0.0
        self.lost_s = 0.0
        self.gaps: list[tuple[float, float]] = []
        self.frames = 0
        self.damaged = 0
        self._codec = stream.codec_context.name
        self._origin_s = origin_s
        self._damage_open = False
        self._rate = 0
        self._channels = 0
        self._batch: list[Samples] = []
        self._batch_s = 0.0
        self._converter: tuple[tuple[str, str, int], AudioResampler] | None = None
        self._resamplers: list[AudioResampler] = []

    def feed(self, packet: "Packet[AudioStream]") -> None:
        """Decode one packet; a damaged one is counted and skipped."""
        if packet.has_sidedata("encryption_info"):
            raise _protected()
        if _nothing_sent(self._codec, packet):
            if not self._rate:
                self._change_rate(self.stream.rate, 1)
            self.gaps.append((self.clock_s, 0.02))
            self._write(np.zeros((self._rate // 50, self._channels), np.int16))
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.damaged += 1
            self._damage_open = True
            return
        for frame in frames:
            self._hear(frame)

    def finish(self) -> None:
        """Bring what is still on its way onto the tape."""
        self._flush()
        self._drain()

    def _hear(self, frame: AudioFrame) -> None:
        if frame.samples == 0:
            return
        if frame.sample_rate not in _RATES or frame.layout.nb_channels > _MOST_CHANNELS:
            raise UnreadableAudio(
                f"its header is damaged: {frame.sample_rate} Hz, {frame.layout.nb_channels} channels",
                headers.PLAY,
            )
        samples = self._interleaved(frame)
        if frame.sample_rate != self._rate:
            self._change_rate(frame.sample_rate, samples.shape[1])
        silence_s = self._silence_before(frame)
        if silence_s:
            if self._damage_open:
                self.lost_s += silence_s
            else:
                self.gaps.append((self.clock_s, silence_s))
            self._write(np.zeros((round(silence_s * self._rate), self._channels), np.int16))
        self._damage_open = False
        self.frames += 1
        self._write(_with_channels(samples, self._channels))

    def _interleaved(self, frame: AudioFrame) -> Samples:
        """The frame as int16 of shape (n, channels), at its own rate.

        Packed, since PyAV 18 crashes on planar frames of more than eight channels.
        """
        channels = frame.layout.nb_channels
        if frame.format.name == "s16":
            return cast(Samples, frame.to_ndarray().reshape(-1, channels))
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._converter is None or self._converter[0] != kind:
            self._converter = kind, AudioResampler("s16", frame.layout, frame.sample_rate)
        parts = [part.to_ndarray().reshape(-1, channels) for part in self._converter[1].resample(frame)]
        return np.concatenate(parts) if parts else np.empty((0, channels), np.int16)

    def _change_rate(self, rate: int, channels: int) -> None:
        if self._rate:
            self._flush()
            self._drain()
        else:
            self._channels = channels
            self.tape = Tape(channels)
        self._rate = rate
        self.hash.update(f"{rate} Hz, {self._channels} channels;".encode())
        self._resamplers = [AudioResampler("s16", "mono", SAMPLE_RATE) for _ in range(self._channels)]

    def _silence_before(self, frame: AudioFrame) -> float:
        """Seconds by which the file's own clock is ahead of the sound so far."""
        if frame.pts is None or frame.time_base is None:
            return 0.0
        stamp_s = float(frame.pts * frame.time_base)
        if self._origin_s is None:
            self._origin_s = stamp_s
        ahead_s = stamp_s - self._origin_s - self.clock_s
        if ahead_s < -1 or ahead_s > _LONGEST_GAP_S:  # the clock was set anew
            self._origin_s += ahead_s
            return 0.0
        return ahead_s if ahead_s > _GAP_S else 0.0

    def _write(self, samples: Samples) -> None:
        length_s = samples.shape[0] / self._rate
        self.clock_s += length_s
        if self.clock_s > _LONGEST_S:
            raise UnreadableAudio("the recording is longer than 24 hours", "Cut it into calls.")
        self._batch.append(samples)
        self._batch_s += length_s
        if self._batch_s >= _BATCH_S:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        samples = np.ascontiguousarray(np.concatenate(self._batch))
        self._batch, self._batch_s = [], 0.0
        self.hash.update(samples.astype("<i2", copy=False).data)
        frames = []
        for channel in samples.T:
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(channel)[None], format="s16", layout="mono")
            frame.sample_rate = self._rate
            frames.append(frame)
        self._resample(frames)

    def _drain(self) -> None:
        self._resample([None] * len(self._resamplers))

    def _resample(self, frames: Sequence[AudioFrame | None]) -> None:
        rows = [
            [part.to_ndarray()[0] for part in resampler.resample(frame)]
            for resampler, frame in zip(self._resamplers, frames, strict=True)
        ]
        if self.tape is not None and rows[0]:
            self.tape.append(np.stack([np.concatenate(row) for row in rows]))


def _with_channels(samples: Samples, channels: int) -> Samples:
    """Fit sound of (n, other) into (n, channels), should a file change in the middle."""
    if samples.shape[1] == channels:
        return samples
    mixed = samples.mean(axis=1, dtype=np.float32).round().astype(np.int16)
    return np.repeat(mixed[:, None], channels, axis=1)


def _nothing_sent(codec: str, packet: "Packet[AudioStream]") -> bool:
    """Whether the phone sent no speech: an AMR frame of kind "silence" or "no data" (3GPP TS 26.101, 26.201).

    FFmpeg's decoder refuses them, though every call from a mobile phone is full of them.
    """
    first_silent = {"amrnb": 8, "amrwb": 9}.get(codec)
    return first_silent is not None and packet.size > 0 and (bytes(packet)[0] >> 3 & 0xF) >= first_silent


def read(path: Path) -> Sound:
    """Decode all sound tracks of a file.

    Raises:
        UnreadableAudio: there is no such file, it is no recording, encrypted, or cannot be decoded.
        NoSound: there is no sound track in it, or nothing on it.
    """
    before = _regular(path)
    if before.st_size == 0:
        raise NoSound("the file is empty (0 bytes)", headers.NOT_ANSWERED)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UnreadableAudio(
            f"the file cannot be opened ({error.strerror})", "Check who may read it."
        ) from error
    sound = _read(path, head)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnreadableAudio("the file was still being written while it was read", "Score it again later.")
    return sound


def _regular(path: Path) -> os.stat_result:
    try:
        info = path.stat()
    except OSError as error:
        raise UnreadableAudio(
            f"the file cannot be opened ({error.strerror})", "Check the path, and who may read the file."
        ) from error
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableAudio("this is a folder or a device, not a file", "Give the recording itself.")
    return info


def _read(path: Path, head: bytes) -> Sound:
    form, options = headers.coding(path, head)
    options = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file", **options}
    try:
        container = av.open(f"file:{path.absolute()}", "r", form, options, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise headers.no_recording(path) from error
    with container:
        tracks = _tracks(container, head)
        by_stream = {track.stream.index: track for track in tracks}
        try:
            for packet in container.demux([track.stream for track in tracks]):
                by_stream[packet.stream.index].feed(cast("Packet[AudioStream]", packet))
        except (av.FFmpegError, ValueError):  # the container ends here; what was heard stays
            for track in tracks:
                track.damaged += 1
        for track in tracks:
            track.finish()
        heard = [track for track in tracks if track.tape is not None]
        _refuse_silence(path, head, tracks, heard)
        return _sound(path, container, heard)


def _tracks(container: InputContainer, head: bytes) -> list[_Track]:
    streams = list(container.streams.audio)
    if not streams:
        raise NoSound("the file has no sound track", "See whether the recorder was set to record sound.")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        coding = headers.wav_coding(head)
        raise UnreadableAudio(f"the sound is coded in a way that is not known here{coding}", headers.CONVERT)
    if {stream.codec_context.codec_tag for stream in decodable} & _PROTECTED_TAGS or any(
        mark in head for mark in _ASF_ENCRYPTION
    ):
        raise _protected()
    start = container.start_time
    alone = len(container.streams) == 1 or start is None
    return [_Track(stream, None if alone else start / av.time_base) for stream in decodable]


def _protected() -> UnreadableAudio:
    return UnreadableAudio(
        "the recording is protected (its sound is encrypted)", "Export it without protection."
    )


def _refuse_silence(path: Path, head: bytes, tracks: Sequence[_Track], heard: Sequence[_Track]) -> None:
    codec = tracks[0].stream.codec_context.codec.long_name
    damaged = sum(track.damaged for track in tracks)
    if damaged > sum(track.frames for track in tracks):
        raise UnreadableAudio(
            f"the sound ({codec}) is damaged and cannot be decoded", headers.PLAY_OR_CONVERT
        )
    longest_s = max((track.clock_s for track in heard), default=0.0)
    if not longest_s and headers.looks_random(head):
        raise headers.no_recording(path)
    if longest_s < _SHORTEST_S:
        what = f"only {longest_s * 1000:.0f} ms of sound" if longest_s else "a header and no sound"
        raise NoSound(f"the file holds {what}", headers.NOT_ANSWERED)


def _sound(path: Path, container: InputContainer, tracks: Sequence[_Track]) -> Sound:
    notes: list[str] = []
    expected_s: float | None = None
    for track in tracks:
        heard_s = track.clock_s - track.lost_s
        promised_s = _promised_s(path, container, track, heard_s)
        if promised_s is not None and heard_s < promised_s - max(0.3, 0.002 * promised_s):
            expected_s = max(expected_s or 0.0, promised_s)
            notes.append(f"incomplete: {heard_s:.1f} of {promised_s:.1f} seconds heard")
        elif track.damaged and (promised_s is None or track.lost_s):
            notes.append(f"damaged: {track.damaged} place(s) cannot be decoded and are left out")
        notes.extend(_about_gaps(track.gaps))
    if container.format.name == "ogg" and headers.ends_within_page(path):
        notes.append("cut off: the file ends in the middle; how much is missing, it does not say")
    digests = [track.hash.digest() for track in tracks]
    return Sound(
        tracks=tuple(track.tape.take() for track in tracks if track.tape is not None),
        digest=digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest(),
        expected_s=expected_s,
        notes=tuple(dict.fromkeys(notes)),
    )


def _about_gaps(gaps: Sequence[tuple[float, float]]) -> Iterable[str]:
    total_s = sum(length for _, length in gaps)
    if total_s >= 1:
        minutes, seconds = divmod(int(gaps[0][0]), 60)
        at = f"{minutes}:{seconds:02}"
        yield f"nothing was sent or stored for {total_s:.1f} seconds, first at {at}; they are kept as silence"


def _promised_s(path: Path, container: InputContainer, track: _Track, heard_s: float) -> float | None:
    """The length the recorder wrote into the file, or None where it wrote none that can be trusted."""
    name = container.format.name.split(",")[0]
    if name == "wav":
        return headers.promised_by_wav(path, heard_s)
    if name == "asf":
        return headers.promised_by_asf(path)
    stream = track.stream
    length_s: float | None = None
    if stream.duration is not None and stream.time_base is not None:
        length_s = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:  # else it may be the picture's length
        length_s = container.duration / av.time_base
    if name == "mp3" and length_s is not None:
        counted_s = headers.promised_by_mp3(path, stream.rate)
        return None if counted_s is None else min(length_s, counted_s)
    return length_s if name in _KNOWS_ITS_LENGTH else None
