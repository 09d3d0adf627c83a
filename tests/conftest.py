"""What all tests share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The labelled material beside the project; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "calls").is_dir():
        pytest.skip("the labelled material (../shared) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def spoken() -> Path:
    """Two short spoken clips, 8 kHz: A.wav (an agent's greeting, 6.35 s) and C.wav (a customer, 3.35 s)."""
    return ROOT / "tests" / "audio"
