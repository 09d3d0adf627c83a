"""From files to sound: whatever a recorder has written, the call lasts as long as it can be heard.

The numbers are those of the cases that people reported of tools for this job; each test makes its own input.
"""

import os
import random
import shutil
import struct
import subprocess
import threading
import time
import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.frame import AudioFrame

from wellheard.pipeline import audio, media
from wellheard.pipeline.audio import decode
from wellheard.pipeline.errors import CallError, NoSound, UnreadableAudio
from wellheard.pipeline.records import CallInfo, Recording, Source

Samples = npt.NDArray[np.int16]

RATE = 8000
A_S = 6.35


def hear(*paths: Path, agent_channel: int | None = None) -> Recording:
    return decode(
        Source(paths=tuple(map(str, paths)), info=CallInfo(call_id="", agent_channel=agent_channel))
    )


def failure(path: Path) -> CallError:
    with pytest.raises(CallError) as caught:
        hear(path)
    return caught.value


def clip(path: Path) -> Samples:
    """A clip's samples, (1, n)."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)[None].copy()


def beside(left: Samples, right: Samples) -> Samples:
    both = np.zeros((2, max(left.shape[1], right.shape[1])), np.int16)
    both[0, : left.shape[1]], both[1, : right.shape[1]] = left[0], right[0]
    return both


def after(samples: Samples, seconds: float) -> Samples:
    return np.concatenate([np.zeros((1, round(seconds * RATE)), np.int16), samples], axis=1)


def noise(seconds: float, level_db: float, seed: int = 1) -> Samples:
    loud = 32768 * 10 ** (level_db / 20)
    return np.random.default_rng(seed).normal(0, loud, (1, round(seconds * RATE))).round().astype(np.int16)


def write_wav(path: Path, samples: Samples, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.T.tobytes())
    return path


def encode(
    path: Path,
    *tracks: Samples,
    codec: str,
    rate: int = RATE,
    bit_rate: int = 24_000,
    form: str | None = None,
    muxer: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
    shift: Callable[[float], float] = lambda _: 0.0,
    video: bool = False,
) -> Path:
    """Write tracks, (channels, n) each, with FFmpeg's libraries; `shift` moves packets, in seconds."""
    with av.open(str(path), "w", format=form, options=muxer or {}) as container:
        picture = container.add_stream("mpeg4", rate=10) if video else None
        if picture is not None:
            picture.width = picture.height = 64
        streams = [
            container.add_stream(
                codec, rate=rate, layout="stereo" if len(track) == 2 else "mono", options=encoder or {}
            )
            for track in tracks
        ]
        if picture is not None:
            for _ in range(70):
                container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(picture.encode(None))
        for stream, track in zip(streams, tracks, strict=True):
            stream.bit_rate = bit_rate
            frame = AudioFrame.from_ndarray(
                np.ascontiguousarray(track.T).reshape(1, -1),
                format="s16",
                layout="stereo" if len(track) == 2 else "mono",
            )
            frame.sample_rate = rate
            frame.pts = 0
            frame.time_base = Fraction(1, rate)
            for packet in (*stream.encode(frame), *stream.encode(None)):
                moved = round(shift(float(packet.pts * packet.time_base)) / packet.time_base)
                packet.pts += moved
                packet.dts += moved
                container.mux(packet)
    return path


def alike(one: Samples, other: Samples) -> float:
    """Correlation of two sounds, one perhaps some milliseconds later, as codecs shift them: 1 is the same."""
    x, y = (sound.ravel().astype(np.float64) for sound in (one, other))
    product = np.fft.irfft(np.fft.rfft(x, 2 * x.size) * np.conj(np.fft.rfft(y, 2 * x.size)))
    near = np.r_[product[:2400], product[-2400:]]
    return float(near.max() / np.sqrt((x @ x) * (y @ y)))


def patched(path: Path, source: Path, *changes: tuple[int, bytes]) -> Path:
    data = bytearray(source.read_bytes())
    for at, value in changes:
        data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.fixture
def agent(spoken: Path) -> Samples:
    return clip(spoken / "A.wav")


@pytest.fixture
def customer(spoken: Path) -> Samples:
    return clip(spoken / "C.wav")


def test_a_recording_is_16_khz_and_lasts_what_was_decoded(spoken: Path) -> None:
    recording = hear(spoken / "A.wav")
    assert recording.samples.dtype == np.int16
    assert recording.samples.shape == (1, 101_614)
    assert recording.duration_s == pytest.approx(6.351, abs=0.001)
    assert not recording.incomplete
    assert recording.notes == ()


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"])
def test_case_1_sizes_in_the_header_never_filled_in(spoken: Path, tmp_path: Path, size: bytes) -> None:
    original = (spoken / "A.wav").read_bytes()
    broken = patched(tmp_path / "a.wav", spoken / "A.wav", (4, size), (original.index(b"data") + 4, size))
    recording = hear(broken)
    assert recording.duration_s == pytest.approx(A_S, abs=0.01)
    assert recording.audio_id == hear(spoken / "A.wav").audio_id
    assert not recording.incomplete


def test_case_1_a_wrong_byte_rate(spoken: Path, tmp_path: Path) -> None:
    at = (spoken / "A.wav").read_bytes().index(b"fmt ") + 16
    broken = patched(tmp_path / "a.wav", spoken / "A.wav", (at, struct.pack("<I", 8000)))
    recording = hear(broken)
    assert recording.audio_id == hear(spoken / "A.wav").audio_id
    assert not recording.incomplete


def cut(path: Path, share: float = 0.7) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def test_case_2_cut_off_recordings_say_how_much_is_missing(agent: Samples, tmp_path: Path) -> None:
    mp3 = hear(cut(encode(tmp_path / "a.mp3", agent, codec="libmp3lame")))
    flac = hear(cut(encode(tmp_path / "a.flac", agent, codec="flac")))
    wav = hear(cut(write_wav(tmp_path / "a.wav", agent)))
    for recording, heard_s in ((mp3, 4.5), (flac, 4.2), (wav, 4.4)):
        assert recording.duration_s == pytest.approx(heard_s, abs=0.2)
        assert recording.expected_s == pytest.approx(A_S, abs=0.05)
        assert recording.notes == (f"incomplete: {recording.duration_s:.1f} of 6.4 seconds heard",)


def test_case_2_damage_in_the_middle_is_skipped_and_decoding_goes_on(agent: Samples, tmp_path: Path) -> None:
    path = encode(tmp_path / "b.mp3", agent, codec="libmp3lame")
    patched(path, path, (path.stat().st_size // 2, random.Random(1).randbytes(2000)))
    recording = hear(path)
    assert 5.0 < recording.duration_s < 6.1
    assert recording.incomplete
    whole = hear(encode(tmp_path / "whole.mp3", agent, codec="libmp3lame"))
    last = whole.samples[:, -16_000:]
    assert alike(recording.samples[:, -16_000:], last) > 0.9


def test_case_2_without_its_index_an_m4a_cannot_be_read(agent: Samples, tmp_path: Path) -> None:
    error = failure(cut(encode(tmp_path / "c.m4a", agent, codec="aac")))
    assert isinstance(error, UnreadableAudio)
    assert "cut off" in error.reason
    assert "fetch the recording again" in error.advice


def test_case_2_a_cut_ogg_file_is_named_so(agent: Samples, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.opus", np.tile(agent, 4), codec="libopus", rate=RATE)
    assert hear(path).notes == ()
    assert "cut off" in hear(cut(path)).notes[0]


def test_case_2_damage_that_the_file_itself_shows_is_noted(agent: Samples, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.opus", np.tile(agent, 4), codec="libopus")
    patched(path, path, (path.stat().st_size // 2, random.Random(1).randbytes(2000)))
    recording = hear(path)
    assert recording.duration_s == pytest.approx(4 * A_S, abs=0.1)
    assert "nothing was sent or stored" in recording.notes[0]


@pytest.mark.parametrize(("name", "coding"), [("one.WAV", "libgsm_ms"), ("two.gsm", "libgsm")])
def test_case_3_gsm(spoken: Path, tmp_path: Path, name: str, coding: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which writes GSM, is not on this machine")
    form = ["-f", "wav"] if name.endswith("WAV") else []
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(spoken / "A.wav"),
        "-c:a",
        coding,
        *form,
        str(tmp_path / name),
    ]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this ffmpeg cannot write GSM")
    recording = hear(tmp_path / name)
    assert recording.duration_s == pytest.approx(6.36, abs=0.001)
    assert alike(recording.samples, hear(spoken / "A.wav").samples) > 0.9


def test_case_3_amr_of_a_mobile_phone_with_its_pauses(agent: Samples, tmp_path: Path) -> None:
    """Where nobody speaks the phone sends "silence" and "no data", which FFmpeg's decoder refuses."""
    sound = np.concatenate([agent, np.zeros((1, 2 * RATE), np.int16), agent], axis=1)
    path = encode(
        tmp_path / "four.amr", sound, codec="libopencore_amrnb", bit_rate=12_200, encoder={"dtx": "1"}
    )
    kinds = {kind >> 3 & 15 for kind in path.read_bytes()[6:]}
    assert kinds & {8, 15}, "the encoder has written no pauses"
    recording = hear(path)
    assert recording.duration_s == pytest.approx(2 * A_S + 2, abs=0.05)
    assert not recording.incomplete
    pause = recording.samples[0, int(7.0 * 16_000) : int(8.2 * 16_000)]
    assert np.abs(pause).max() < 100
    assert audio.is_audible(recording.samples[0, int(8.5 * 16_000) :])


def test_case_3_a_coding_that_is_not_known_is_named(spoken: Path, tmp_path: Path) -> None:
    at = (spoken / "A.wav").read_bytes().index(b"fmt ") + 8
    error = failure(patched(tmp_path / "a.wav", spoken / "A.wav", (at, b"\x34\x12")))
    assert "0x1234" in error.reason
    assert error.advice.startswith("Convert it")


@pytest.mark.parametrize("name", ["a.ulaw", "a.ul", "a.pcmu", "a.ULAW", "a.alaw", "a.pcma"])
def test_case_4_g711_without_a_header(agent: Samples, spoken: Path, tmp_path: Path, name: str) -> None:
    law = "alaw" if name.startswith("a.a") or name == "a.pcma" else "mulaw"
    recording = hear(encode(tmp_path / name, agent, codec=f"pcm_{law}", form=law))
    assert recording.duration_s == pytest.approx(A_S, abs=0.01)
    assert alike(recording.samples, hear(spoken / "A.wav").samples) > 0.999


def test_case_4_a_raw_file_says_nothing_of_itself(agent: Samples, tmp_path: Path) -> None:
    error = failure(encode(tmp_path / "a.raw", agent, codec="pcm_mulaw", form="mulaw"))
    assert isinstance(error, UnreadableAudio)
    assert ".raw" in error.reason
    assert ".ulaw" in error.advice


def test_case_4_a_wav_file_under_a_raw_name_is_read_as_wav(spoken: Path, tmp_path: Path) -> None:
    shutil.copy(spoken / "A.wav", tmp_path / "a.ulaw")
    assert hear(tmp_path / "a.ulaw").audio_id == hear(spoken / "A.wav").audio_id


def test_case_5_an_mp3_that_only_guesses_its_length(spoken: Path, tmp_path: Path) -> None:
    voice = clip(spoken / "A22.wav")
    quiet = np.zeros((1, 60 * 22_050), np.int16)
    path = encode(
        tmp_path / "a.mp3",
        np.concatenate([quiet, voice, voice, voice], axis=1),
        codec="libmp3lame",
        rate=22_050,
        encoder={"flags": "+qscale", "global_quality": str(4 * 118)},
        muxer={"write_xing": "0"},
    )
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base > 90, "the header's guess is false, which is the case"
    recording = hear(path)
    assert recording.duration_s == pytest.approx(79.1, abs=0.1)
    assert not recording.incomplete


def test_case_5_joined_mp3_files_are_heard_to_the_end(spoken: Path, tmp_path: Path) -> None:
    voice = clip(spoken / "A22.wav")
    one = encode(tmp_path / "one.mp3", voice, codec="libmp3lame", rate=22_050)
    joined = tmp_path / "b.mp3"
    joined.write_bytes(one.read_bytes() * 3)
    recording = hear(joined)
    assert recording.duration_s == pytest.approx(19.2, abs=0.2)
    assert not recording.incomplete
    assert recording.notes == ()
    third = recording.samples[:, -int(6.2 * 16_000) :]
    assert alike(third, hear(one).samples[:, -int(6.2 * 16_000) :]) > 0.9


def test_case_6_recordings_of_calls_nobody_answered(spoken: Path, tmp_path: Path) -> None:
    header = bytearray((spoken / "A.wav").read_bytes()[:44])
    header[40:44] = bytes(4)
    (tmp_path / "header.wav").write_bytes(header)
    (tmp_path / "nothing.wav").write_bytes(b"")
    write_wav(tmp_path / "short.wav", np.zeros((1, 80), np.int16))
    write_wav(tmp_path / "zeros.wav", np.zeros((1, 30 * RATE), np.int16))
    (tmp_path / "stub.wav").write_bytes(header[:20])
    reasons = {
        "header.wav": "a header and no sound",
        "nothing.wav": "0 bytes",
        "short.wav": "10 ms",
        "zeros.wav": "silent",
        "stub.wav": "20 bytes",
    }
    for name, reason in reasons.items():
        error = failure(tmp_path / name)
        assert isinstance(error, NoSound), name
        assert reason in error.reason


@pytest.mark.parametrize("silence", ["zeros", "noise at -70 dB"])
@pytest.mark.parametrize("empty", [0, 1])
def test_case_7_one_party_was_not_recorded(agent: Samples, tmp_path: Path, silence: str, empty: int) -> None:
    still = noise(A_S, -70) if silence != "zeros" else np.zeros_like(agent)
    sides = (still, agent) if empty == 0 else (agent, still)
    recording = hear(write_wav(tmp_path / "a.wav", beside(*sides)))
    assert len(recording.samples) == 2
    assert recording.empty_channels == (empty,)
    side = ("left", "right")[empty]
    assert recording.notes == (f"one party was not recorded: nothing is on the {side} channel",)


def test_case_7_an_agent_on_the_empty_side_is_a_contradiction(agent: Samples, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", beside(np.zeros_like(agent), agent))
    assert "the agent should be on the left channel" in hear(path, agent_channel=0).notes[1]
    assert len(hear(path, agent_channel=1).notes) == 1


def test_case_7_a_quiet_voice_is_no_empty_side(agent: Samples, customer: Samples, tmp_path: Path) -> None:
    """45 dB under the other voice, as in case 33, it is still somebody."""
    quiet = (after(customer, 7) * 10 ** (-45 / 20)).round().astype(np.int16)
    recording = hear(write_wav(tmp_path / "a.wav", beside(agent, quiet)))
    assert recording.empty_channels == ()
    assert len(recording.samples) == 2


def test_case_8_one_sound_on_both_channels(agent: Samples, customer: Samples, tmp_path: Path) -> None:
    mono = np.concatenate([agent, customer], axis=1)
    recording = hear(write_wav(tmp_path / "a.wav", beside(mono, mono)), agent_channel=1)
    assert recording.samples.shape[0] == 1
    assert recording.agent_channel is None
    assert recording.notes == (
        "both channels carry the same sound: taken as one channel with both parties",
        "agent_channel is not used, as the recording has one channel",
    )


@pytest.mark.parametrize("level_db", [-3, -12, 6])
@pytest.mark.parametrize(
    ("name", "codec"), [("b.mp3", "libmp3lame"), ("b.opus", "libopus"), ("b.m4a", "aac")]
)
def test_case_8_one_sound_at_two_levels_through_a_codec(
    agent: Samples, customer: Samples, tmp_path: Path, level_db: int, name: str, codec: str
) -> None:
    mono = np.concatenate([agent, customer], axis=1) // 2
    other = (mono * 10 ** (level_db / 20)).round().astype(np.int16)
    recording = hear(encode(tmp_path / name, beside(mono, other), codec=codec))
    assert len(recording.samples) == 1
    assert "both channels carry the same sound" in recording.notes[0]


def test_case_8_one_sound_with_the_poles_exchanged(agent: Samples, tmp_path: Path) -> None:
    recording = hear(write_wav(tmp_path / "a.wav", beside(agent, -agent)))
    assert len(recording.samples) == 1
    assert audio.is_audible(recording.samples[0])


@pytest.mark.parametrize("leak_db", [-3, -12, -30])
def test_case_8_two_parties_who_leak_into_each_other_stay_apart(
    agent: Samples, customer: Samples, tmp_path: Path, leak_db: int
) -> None:
    both = beside(agent, after(customer, 7)).astype(np.float64)
    mixed = (both + both[::-1] * 10 ** (leak_db / 20)).clip(-32768, 32767).astype(np.int16)
    recording = hear(encode(tmp_path / "a.mp3", mixed, codec="libmp3lame", bit_rate=32_000))
    assert len(recording.samples) == 2
    assert recording.empty_channels == ()


def test_case_8_music_that_both_hear_makes_no_copies(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    music = noise(60, -14)
    left = np.concatenate([music, agent], axis=1)
    right = np.concatenate([music, after(customer, 3)], axis=1)
    recording = hear(write_wav(tmp_path / "a.wav", beside(left, right)))
    assert len(recording.samples) == 2


def test_case_28_a_gap_in_time_is_kept_as_silence(agent: Samples, spoken: Path, tmp_path: Path) -> None:
    path = encode(
        tmp_path / "gap.webm",
        agent,
        codec="libopus",
        rate=RATE,
        shift=lambda at: 20.0 if at >= 3 else 0.0,
    )
    recording = hear(path)
    assert recording.duration_s == pytest.approx(26.4, abs=0.1)
    assert not recording.incomplete
    assert recording.notes == (
        "nothing was sent or stored for 20.0 seconds, first at 0:03; they are kept as silence",
    )
    assert not audio.is_audible(recording.samples[0, int(3.2 * 16_000) : int(22.8 * 16_000)])
    rest = hear(spoken / "A.wav").samples[:, int(3.5 * 16_000) : (6 * 16_000)]
    assert alike(recording.samples[:, int(23.5 * 16_000) : (26 * 16_000)], rest) > 0.8


def test_case_28_the_other_party_of_the_pair_falls_between(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    left = write_wav(tmp_path / "left.wav", after(customer, 12))
    right = encode(tmp_path / "right.webm", agent, codec="libopus", shift=lambda at: 20.0 if at >= 3 else 0.0)
    recording = hear(left, right)
    assert recording.samples.shape[0] == 2
    assert recording.duration_s == pytest.approx(26.4, abs=0.1)
    assert recording.agent_channel == 0
    middle = slice(12 * 16_000, 15 * 16_000)
    assert audio.is_audible(recording.samples[0, middle])
    assert not audio.is_audible(recording.samples[1, middle])
    assert any(note.startswith("right.webm: nothing was sent") for note in recording.notes)
    assert any(note.startswith("left.wav is 11.0 seconds shorter") for note in recording.notes)


def test_case_30_a_picture_in_the_file_is_no_matter(agent: Samples, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", agent, codec="libmp3lame")
    with av.open(str(tmp_path / "p.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame(64, 64, "rgb24")))
        container.mux(stream.encode(None))
    picture = b"\0image/png\0\3\0" + (tmp_path / "p.png").read_bytes()
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\3\0\0" + size + frame + path.read_bytes())
    with av.open(str(tagged)) as container:
        assert len(container.streams) == 2
    assert hear(tagged).audio_id == hear(path).audio_id


def test_case_30_of_two_sound_tracks_the_one_with_sound_is_used(agent: Samples, tmp_path: Path) -> None:
    recording = hear(encode(tmp_path / "b.m4a", np.zeros_like(agent), agent, codec="aac"))
    assert len(recording.samples) == 1
    assert audio.is_audible(recording.samples[0])
    assert recording.notes == ("2 sound tracks: track 2 is used, the others hold no sound of their own",)


def test_case_30_two_tracks_with_sound_are_two_parties(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    recording = hear(encode(tmp_path / "b.m4a", agent, customer, codec="aac"), agent_channel=1)
    assert len(recording.samples) == 2
    assert recording.agent_channel == 1
    assert recording.notes == (
        "2 sound tracks: track 1 and track 2 hold sound, and are taken as one party each",
    )


def test_case_30_sound_beside_a_film(agent: Samples, tmp_path: Path) -> None:
    recording = hear(encode(tmp_path / "c.mp4", agent, codec="aac", video=True))
    assert recording.duration_s == pytest.approx(A_S, abs=0.1)


def test_case_30_a_film_without_sound(tmp_path: Path) -> None:
    error = failure(encode(tmp_path / "d.mp4", codec="aac", video=True))
    assert isinstance(error, NoSound)
    assert error.reason == "the file has no sound track"


@pytest.mark.parametrize("channels", [3, 6, 9])
def test_of_many_channels_those_with_sound_are_the_parties(
    agent: Samples, customer: Samples, tmp_path: Path, channels: int
) -> None:
    many = np.zeros((channels, 12 * RATE), np.int16)
    many[1, : agent.shape[1]] = agent
    many[2, 7 * RATE : 7 * RATE + customer.shape[1]] = customer
    recording = hear(write_wav(tmp_path / "many.wav", many))
    assert len(recording.samples) == 2
    assert recording.notes[0].startswith(f"{channels} channels: channel 2 and channel 3 hold sound")


def test_more_than_two_different_channels_are_mixed(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    many = np.zeros((3, 12 * RATE), np.int16)
    many[0, : agent.shape[1]] = agent
    many[1, 7 * RATE : 7 * RATE + customer.shape[1]] = customer
    many[2, : 12 * RATE] = noise(12, -30)
    recording = hear(write_wav(tmp_path / "many.wav", many))
    assert len(recording.samples) == 1
    assert "mixed to one" in recording.notes[0]


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.flac", "flac", None),
        ("a.mkv", "pcm_s16le", None),
        ("a.mov", "pcm_s16be", None),
        ("a.aiff", "pcm_s16be", None),
        ("a.caf", "pcm_s16le", None),
        ("a.sln", "pcm_s16le", "s16le"),
    ],
)
def test_the_same_sound_in_another_file_is_the_same_call(
    agent: Samples, spoken: Path, tmp_path: Path, name: str, codec: str, form: str | None
) -> None:
    recording = hear(encode(tmp_path / name, agent, codec=codec, form=form))
    assert recording.audio_id == hear(spoken / "A.wav").audio_id
    assert recording.notes == ()


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp3", "libmp3lame", 8000),
        ("a.opus", "libopus", 16_000),
        ("a.m4a", "aac", 44_100),
        ("a.aac", "aac", 16_000),
        ("a.ts", "aac", 16_000),
        ("a.webm", "libopus", 48_000),
        ("a.wma", "wmav2", 22_050),
        ("a.avi", "pcm_mulaw", 8000),
        ("a.flv", "libmp3lame", 22_050),
        ("a.wav", "adpcm_ima_wav", 8000),
        ("a.wav", "pcm_f32le", 8000),
        ("a.wav", "pcm_alaw", 8000),
        ("a.g722", "g722", 16_000),
    ],
)
def test_every_format_is_heard_whole_and_without_false_gaps(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    seconds = 20
    sweep = np.sin(np.cumsum(np.linspace(200, 2000, seconds * rate) * 2 * np.pi / rate)) * 8000
    path = tmp_path / name
    try:
        encode(path, sweep.astype(np.int16)[None], codec=codec, rate=rate, bit_rate=64_000)
    except ValueError as error:
        pytest.skip(f"this PyAV cannot write {codec}: {error}")
    recording = hear(path)
    assert recording.duration_s == pytest.approx(seconds, abs=0.35)
    assert recording.notes == ()


def test_another_sound_or_another_rate_is_another_call(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    ids = {
        hear(write_wav(tmp_path / "a.wav", agent)).audio_id,
        hear(write_wav(tmp_path / "b.wav", customer)).audio_id,
        hear(write_wav(tmp_path / "c.wav", agent, rate=16_000)).audio_id,
        hear(write_wav(tmp_path / "d.wav", agent), write_wav(tmp_path / "e.wav", customer)).audio_id,
        hear(tmp_path / "e.wav", tmp_path / "d.wav").audio_id,
    }
    assert len(ids) == 5


def test_a_pair_of_files_is_one_call_with_the_agent_on_the_left(spoken: Path) -> None:
    recording = hear(spoken / "A.wav", spoken / "C.wav")
    assert recording.samples.shape == (2, 101_614)
    assert recording.agent_channel == 0
    assert recording.notes == ("C.wav is 3.0 seconds shorter than the other file; taken to start together",)
    assert np.array_equal(recording.samples[0], hear(spoken / "A.wav").samples[0])


def test_a_pair_may_have_two_rates_and_two_formats(customer: Samples, spoken: Path, tmp_path: Path) -> None:
    other = encode(tmp_path / "c.opus", customer, codec="libopus")
    recording = hear(spoken / "A22.wav", other)
    assert recording.duration_s == pytest.approx(A_S, abs=0.1)


def test_a_pair_with_one_empty_file_has_an_empty_channel(spoken: Path, tmp_path: Path) -> None:
    (tmp_path / "c.wav").write_bytes(b"")
    recording = hear(spoken / "A.wav", tmp_path / "c.wav")
    assert recording.empty_channels == (1,)
    assert recording.notes == (
        "c.wav: the file is empty (0 bytes)",
        "one party was not recorded: nothing is on the right channel",
    )


def test_a_pair_with_two_empty_files_is_no_call(tmp_path: Path) -> None:
    for name in ("a.wav", "c.wav"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(NoSound):
        hear(tmp_path / "a.wav", tmp_path / "c.wav")


def test_a_stereo_file_in_a_pair_becomes_its_partys_one_channel(
    agent: Samples, spoken: Path, tmp_path: Path
) -> None:
    stereo = write_wav(tmp_path / "a.wav", beside(agent, np.zeros_like(agent)))
    recording = hear(stereo, spoken / "C.wav")
    assert np.array_equal(recording.samples[0], hear(spoken / "A.wav").samples[0])


def test_the_same_file_twice_is_no_pair(spoken: Path) -> None:
    recording = hear(spoken / "A.wav", spoken / "A.wav")
    assert len(recording.samples) == 1
    assert recording.agent_channel is None


def test_the_agents_channel_of_a_stereo_call_comes_from_the_manifest(
    agent: Samples, customer: Samples, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "a.wav", beside(after(customer, 7), agent))
    assert hear(path, agent_channel=1).agent_channel == 1
    assert hear(path).agent_channel is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.wav", b"Dear all, the recording follows. " * 20, "text"),
        ("login.mp3", b"<!DOCTYPE html><html><body>Please log in again</body></html>", "text"),
        ("a.wav.gpg", b"\x85\x02\x0c" + random.Random(1).randbytes(9000), "encrypted"),
        ("salted.mp3", b"Salted__" + random.Random(2).randbytes(9000), "encrypted (OpenSSL)"),
        ("random.wav", random.Random(3).randbytes(60_000), "looks encrypted"),
        ("random.ulaw", random.Random(4).randbytes(60_000), "looks encrypted"),
        ("random.flac", random.Random(5).randbytes(60_000), "looks encrypted"),
        ("random.aac", random.Random(6).randbytes(60_000), "cannot be decoded"),
        ("packed.wav", b"PK\x03\x04" + bytes(500), "archive"),
        ("hole.wav", bytes(9000), "only zeros"),
        ("image.wav", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "no sound recording"),
    ],
)
def test_what_is_no_recording_is_said(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    error = failure(tmp_path / name)
    assert isinstance(error, UnreadableAudio)
    assert reason in error.reason
    assert error.advice.endswith((".", "call.wav"))


def test_protected_recordings_are_named_so(agent: Samples, tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    error = failure(encode(tmp_path / "a.mp4", agent, codec="aac", muxer=key))
    assert "protected" in error.reason


def test_a_file_cannot_make_another_one_be_opened(spoken: Path, tmp_path: Path) -> None:
    """FFmpeg also runs scripts that name other files, and playlists that name addresses."""
    shutil.copy(spoken / "A.wav", tmp_path / "secret.wav")
    (tmp_path / "script.wav").write_text("ffconcat version 1.0\nfile secret.wav\n")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\nsecret.wav\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    (tmp_path / "list.wav").write_text(playlist)
    with av.open(str(tmp_path / "script.wav")) as container:
        assert container.streams.audio, "left to itself, FFmpeg opens it"
    for name in ("script.wav", "list.m3u8", "list.wav"):
        assert "text" in failure(tmp_path / name).reason


@pytest.mark.parametrize(("at", "value"), [(24, b"\x40\x1f\0\x13"), (24, b"\x01\0\0\0"), (22, b"\xff\xff")])
def test_a_header_with_impossible_figures_costs_no_memory_and_no_time(
    spoken: Path, tmp_path: Path, at: int, value: bytes
) -> None:
    started = time.monotonic()
    error = failure(patched(tmp_path / "a.wav", spoken / "A.wav", (at, value)))
    assert isinstance(error, UnreadableAudio)
    assert time.monotonic() - started < 1


def test_names_with_marks_of_addresses_and_patterns_are_plain_names(spoken: Path, tmp_path: Path) -> None:
    for name in (
        "concat:a|b.wav",
        "a%20b#c?d.wav",
        "call [urgent] 12.wav",
        "%03d.wav",
        "Иванова 'x'.wav",
        "-i.wav",
    ):
        shutil.copy(spoken / "A.wav", tmp_path / name)
        assert hear(tmp_path / name).duration_s == pytest.approx(A_S, abs=0.01), name


def test_folders_pipes_and_missing_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path, reason in (
        (tmp_path, "folder or a device"),
        (tmp_path / "pipe.wav", "folder or a device"),
        (Path("/dev/zero"), "folder or a device"),
        (tmp_path / "gone.wav", "No such file"),
    ):
        error = failure(path)
        assert isinstance(error, UnreadableAudio)
        assert reason in error.reason


def test_titles_in_an_old_encoding_do_no_harm(agent: Samples, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp3", agent, codec="libmp3lame")
    title = b"\0" + "Иванова".encode("cp1251")
    frame = b"TIT2" + struct.pack(">I", len(title)) + b"\0\0" + title
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\3\0\0" + bytes([0, 0, 0, len(frame)]) + frame + path.read_bytes())
    assert hear(tagged).audio_id == hear(path).audio_id


def test_case_29_a_file_that_grows_while_it_is_read_is_not_taken_for_whole(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "c.wav", noise(1800, -20))
    stop = threading.Event()

    def append() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(bytes(8000))
                file.flush()
                time.sleep(0.005)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        error = failure(path)
    finally:
        stop.set()
        writer.join()
    assert "still being written" in error.reason


def test_case_27_a_long_call_is_not_held_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape gives each block back once it is copied, so that there is one whole-length copy at the end."""
    monkeypatch.setattr(media.Tape, "BLOCK", 1000)
    tape = media.Tape(2)
    sound = np.arange(2 * 4321, dtype=np.int16).reshape(2, -1)
    for start in range(0, 4321, 700):
        tape.append(sound[:, start : start + 700])
    assert np.array_equal(tape.take(), sound)
    assert tape.length == 0


def test_recordings_longer_than_a_day_are_refused(
    agent: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_LONGEST_S", 5)
    assert "longer than 24 hours" in failure(write_wav(tmp_path / "a.wav", agent)).reason


def test_a_wrong_clock_makes_no_hours_of_silence(agent: Samples, tmp_path: Path) -> None:
    path = encode(
        tmp_path / "clock.webm", agent, codec="libopus", shift=lambda at: 90_000.0 if at >= 3 else 0.0
    )
    assert hear(path).duration_s == pytest.approx(A_S, abs=0.2)


def test_errors_name_no_words_and_no_traces(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("my card number is 4471 " * 30)
    error = failure(tmp_path / "text.wav")
    assert "4471" not in str(error)
    assert "Traceback" not in str(error)


def channels_of(recordings: Sequence[Recording]) -> list[int]:
    return [len(recording.samples) for recording in recordings]


def test_the_recordings_of_the_shared_material_are_told_apart(shared: Path) -> None:
    folder = shared / "recordings" / "real"
    recordings = [hear(folder / "lca_auto40_stereo.flac"), hear(folder / "lca_auto40_mono.mp3")]
    assert channels_of(recordings) == [2, 1]
    assert all(recording.empty_channels == () for recording in recordings)
