"""What a sound file's first bytes and its name say: how it is coded, how long it claims to be, why it is no recording."""

import os
from pathlib import Path

import numpy as np

from wellheard.pipeline.errors import UnreadableAudio

_G711_RATE = "8000"
# What the extension alone can tell of files without a header: FFmpeg's format and its options.
_HEADERLESS: dict[str, tuple[str, dict[str, str]]] = {
    **dict.fromkeys((".ulaw", ".ul", ".pcmu", ".mulaw"), ("mulaw", {"sample_rate": _G711_RATE})),
    **dict.fromkeys((".alaw", ".al", ".pcma"), ("alaw", {"sample_rate": _G711_RATE})),
    ".sln": ("sln", {}),
    ".sln16": ("sln", {"sample_rate": "16000"}),
    ".g722": ("g722", {}),
    ".g729": ("g729", {}),
}
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
_ASF_ENCRYPTION = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),  # Content Encryption Object
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),  # Extended Content Encryption Object
)

_NEVER_FILLED_IN = 0x7FF00000

CONVERT = "convert it, for example: ffmpeg -i FILE call.wav"
PLAY = "Play it in a player; if that fails too, fetch the recording again"


def headerless(path: Path, head: bytes) -> tuple[str | None, dict[str, str]]:
    if head.startswith(_HEADERS):
        return None, {}
    if path.suffix.lower() in _UNNAMED:
        raise UnreadableAudio(
            f"a {path.suffix} file does not say how its sound is coded",
            "Rename it to .ulaw, .alaw (G.711, 8 kHz) or .sln (16 bit, 8 kHz) if that is what it holds, or give it a "
            "header, for example: ffmpeg -f mulaw -ar 8000 -i FILE call.wav",
        )
    return _HEADERLESS.get(path.suffix.lower(), (None, {}))


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


def no_recording(path: Path) -> UnreadableAudio:
    """Why FFmpeg could not open the file, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    for mark, what in _MARKS.items():
        if head.startswith(mark):
            return UnreadableAudio(f"the file is {what}", "Decrypt or unpack it first.")
    if path.suffix.lower() in _ENCRYPTED_EXTENSIONS:
        return UnreadableAudio(f"the file is encrypted ({path.suffix})", "Decrypt it first.")
    if head[4:8] == b"ftyp":
        return UnreadableAudio(
            "the recording was cut off: its index, which comes last, is missing", f"{PLAY}."
        )
    if not head.strip(b"\0"):
        return UnreadableAudio("the file holds only zeros", "The copy failed; fetch the recording again.")
    if _reads_as_text(head):
        return UnreadableAudio("the file holds text, not sound", "See what wrote it under this name.")
    if _looks_random(head):
        return UnreadableAudio(
            "the file is no recording that can be read; it looks encrypted", "Decrypt it first."
        )
    return UnreadableAudio("the file is no sound recording that can be read", f"{PLAY}, or {CONVERT}")


def _reads_as_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
    return printable == len(head) and not head.startswith(_HEADERS)


def _looks_random(head: bytes) -> bool:
    """Encrypted bytes are evenly spread: all 256 values, 7.9 bits of information in each."""
    if len(head) < 4096:
        return False
    share = np.bincount(np.frombuffer(head, np.uint8), minlength=256) / len(head)
    present = share[share > 0]
    return float(-(present * np.log2(present)).sum()) > 7.9
