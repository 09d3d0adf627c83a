"""The files that wellheard trained itself and ships, and what tells one training from another."""

import hashlib
from functools import cache
from pathlib import Path

ACTS = Path(__file__).with_name("acts.safetensors")
SOUNDS = Path(__file__).with_name("sounds.safetensors")


@cache
def fingerprint(file: Path) -> str:
    """The beginning of the file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
