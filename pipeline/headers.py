"""What a sound file says of itself: how it is coded, how long it claims to be, why it is no recording."""

import os
from pathlib import Path

import numpy as np

from wellheard.pipeline.errors import NoSound, UnreadableAudio

# What the extension alone can tell of files without a header: FFmpeg's format and its options.
_HEADERLESS: dict[str, tuple[str, dict[str, str]]] = {
    **dict.fromkeys((".ulaw", ".ul", ".pcmu", ".mulaw"), ("mulaw", {"sample_rate": "8000"})),
    **dict.fromkeys((".alaw", ".al", ".pcma"), ("alaw", {"sample_rate": "8000"})),
    ".sln": ("sln", {}),
    ".sln16": ("sln", {"sample_rate": "16000"}),
    ".g722": ("g722", {}),
    ".g729": ("g729", {}),
}
_UNCOMPRESSED = ("mulaw", "alaw", "sln")
_UNNAMED = (".raw", ".pcm", ".vox")
_HEADERS = (b"RIFF", b"RIFX", b"RF64", b"OggS", b"ID3", b"fLaC", b"\x1aE\xdf\xa3", b".snd", b"FORM")

_MARKS = {
    b"-----BEGIN PGP": "encrypted (OpenPGP)",
    b"Salted__": "encrypted (OpenSSL)",
    b"age-encryption.org": "encrypted (age)",
    b"PK\x03\x04": "an archive (ZIP)",
    b"7z\xbc\xaf\x27\x1c": "an archive (7z)",
    b"Rar!": "an archive (RAR)",
    b"\x1f\x8b": "an archive (gzip)",
}
_ENCRYPTED_EXTENSIONS = (".gpg", ".pgp", ".asc", ".enc", ".aes", ".age")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_NEVER_FILLED_IN = 0x7FF00000
_SMALLEST_HEADER = 44

CONVERT = "Convert it, for example: ffmpeg -i FILE call.wav"
PLAY = "Play it in a player; if that fails too, fetch the recording again."
NOT_ANSWERED = "Nothing was recorded; see whether the call was answered."
PLAY_OR_CONVERT = f"{PLAY} {CONVERT}"


def coding(path: Path, head: bytes) -> tuple[str | None, dict[str, str]]:
    """FFmpeg's format and options for a file without a header, by its extension; else None, to look inside.

    Raises:
        UnreadableAudio: neither the first bytes nor the extension tell.
    """
    if head.startswith(_HEADERS):
        return None, {}
    if path.suffix.lower() in _UNNAMED:
        raise UnreadableAudio(
            f"a {path.suffix} file does not say how its sound is coded",
            "Rename it to .ulaw, .alaw (G.711, 8 kHz) or .sln (16 bit, 8 kHz) if that is what it holds, or "
            "give it a header, for example: ffmpeg -f mulaw -ar 8000 -i FILE call.wav",
        )
    form, options = _HEADERLESS.get(path.suffix.lower(), (None, {}))
    if form in _UNCOMPRESSED and looks_random(head):
        raise no_recording(path)
    return form, options


def wav_coding(head: bytes) -> str:
    """The number of a WAV file's coding, in brackets; nothing for other files."""
    at = head.find(b"fmt ")
    return f" (WAV format 0x{int.from_bytes(head[at + 8 : at + 10], 'little'):04x})" if at > 0 else ""


def promised_by_wav(path: Path, heard_s: float) -> float | None:
    """From the share of the data chunk that is there; the byte rate in the header is often wrong."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(12)
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                there = size - file.tell()
                return heard_s * length / there if there and 0 < length < _NEVER_FILLED_IN else None
            file.seek(length + length % 2, os.SEEK_CUR)
    return None


def promised_by_mp3(path: Path, rate: int) -> float | None:
    """From the count of frames in the first one (Xing, Info, VBRI); without it, the length is a guess."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = head[6:10]
        skip = 10 + (tag[0] << 21 | tag[1] << 14 | tag[2] << 7 | tag[3]) if head.startswith(b"ID3") else 0
        file.seek(skip)
        first = file.read(2048)
    for mark, offset in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        at = first.find(mark)
        if at >= 0 and (mark == b"VBRI" or first[at + 7] & 1):
            frames = int.from_bytes(first[at + offset : at + offset + 4], "big")
            return frames * (1152 if rate >= 32000 else 576) / rate
    return None


def promised_by_asf(path: Path) -> float | None:
    """From the header's play duration (WMA); FFmpeg adjusts its own figure to the size of the file."""
    with path.open("rb") as file:
        head = file.read(4096)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0:
        return None
    play, preroll = (int.from_bytes(head[at + offset : at + offset + 8], "little") for offset in (64, 80))
    return play / 1e7 - preroll / 1e3 if play else None


def ends_within_page(path: Path) -> bool:
    """Whether the last page of an Ogg file is not all there."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1 << 17), os.SEEK_END)
        tail = file.read()
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) < 27 or len(page) < 27 + page[26] + sum(segments)


def no_recording(path: Path) -> UnreadableAudio | NoSound:
    """Why FFmpeg could not open the file, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if len(head) < _SMALLEST_HEADER and not _reads_as_text(head[4:]):
        return NoSound(f"the file has only {len(head)} bytes", NOT_ANSWERED)
    for mark, what in _MARKS.items():
        if head.startswith(mark):
            return UnreadableAudio(f"the file is {what}", "Decrypt or unpack it first.")
    if path.suffix.lower() in _ENCRYPTED_EXTENSIONS:
        return UnreadableAudio(f"the file is encrypted ({path.suffix})", "Decrypt it first.")
    if head[4:8] == b"ftyp":
        return UnreadableAudio("the recording was cut off: its index, which comes last, is missing", PLAY)
    if not head.strip(b"\0"):
        return UnreadableAudio("the file holds only zeros", "The copy failed; fetch the recording again.")
    if _reads_as_text(head):
        return UnreadableAudio("the file holds text, not sound", "See what wrote it under this name.")
    if looks_random(head):
        return UnreadableAudio(
            "the file is no recording that can be read; it looks encrypted", "Decrypt it first."
        )
    return UnreadableAudio("the file is no sound recording that can be read", PLAY_OR_CONVERT)


def _reads_as_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
    return bool(head) and printable == len(head) and not head.startswith(_HEADERS)


def looks_random(head: bytes) -> bool:
    """Whether the bytes are as evenly spread as encrypted ones: 7.9 bits of information in each."""
    if len(head) < 4096:
        return False
    share = np.bincount(np.frombuffer(head, np.uint8), minlength=256) / len(head)
    present = share[share > 0]
    return float(-(present * np.log2(present)).sum()) > 7.9
