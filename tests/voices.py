"""Sentences spoken for a test by espeak-ng, over a telephone line: 8 kHz, given at 16 kHz."""

import io
import shutil
import subprocess
import wave

import numpy as np
import pytest
from scipy.signal import resample_poly


def say(text: str, voice: str) -> np.ndarray:
    """The text spoken, int16 at 16 kHz; the test is skipped where espeak-ng is not installed."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng, which speaks this test's sentences, is not installed")
    spoken = subprocess.run(
        ["espeak-ng", "-v", voice, "--stdout", text], capture_output=True, check=True
    ).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    telephone = resample_poly(samples.astype(np.float64), 8_000, rate)
    return np.clip(resample_poly(telephone, 2, 1), -32768, 32767).astype(np.int16)
