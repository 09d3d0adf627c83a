"""Whether a worker's memory grows: many short calls, one after another, in one process.

    python benchmarks/memory.py [CALLS]

Prints the resident memory after every tenth call. The calls are one spoken clip with a little more silence
each time, so that none is known from the stage cache.
"""

import os
import sys
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

from wellheard.pipeline.call import CallScorer
from wellheard.pipeline.records import CallInfo, Source
from wellheard.pipeline.settings import Settings

CLIP = Path(__file__).parent.parent / "tests" / "audio" / "A.wav"


def resident_mb() -> float:
    """Resident memory of this process, from /proc."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(calls: int) -> None:
    """Score so many calls and print the memory."""
    with wave.open(str(CLIP)) as file:
        parameters, sound = file.getparams(), file.readframes(file.getnframes())
    with TemporaryDirectory() as folder:
        scorer = CallScorer(Settings(), Path(folder) / "cache", threads=1)
        for number in range(1, calls + 1):
            path = Path(folder) / "call.wav"
            with wave.open(str(path), "wb") as file:
                file.setparams(parameters)
                file.writeframes(sound + bytes(160 * number))
            os.utime(path, (1, 1))
            info = CallInfo(call_id="", agent_id="A1", language="en")
            scorer(Source(paths=(str(path),), info=info), lambda _: None)
            if number % 10 == 0:
                print(f"after {number} calls: {resident_mb():.0f} MB", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
