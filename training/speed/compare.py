"""The contestants side by side: each in a process of its own, one at a time, file after file."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wellheard.models import store
from wellheard.pipeline import media
from wellheard.pipeline.errors import WellheardError
from wellheard.pipeline.records import SAMPLE_RATE, Record
from wellheard.training.hearing import text_errors
from wellheard.training.references import Reference

PIPELINE, SCRIPT, WHISPERX = "wellheard", "faster-whisper, then pyannote", "WhisperX, words alone"

OnStep = Callable[[str, int, int], None]


class ContestantFailed(WellheardError):
    """A contestant could not start, or gave up on a file."""


class Run(Record):
    """How one file went: seconds by the clock and of the processor, in the models alone, and by stage.

    `errors` of `words` are those of the text against the file's reference, None without one.
    """

    file: str
    sound_s: float
    wall_s: float
    cpu_s: float
    inference_s: float
    stages: dict[str, float]
    words: int | None
    errors: int | None


class Contestant(Record):
    """All files of one contestant. `load_s` is until it could begin, `peak_bytes` its largest memory."""

    name: str
    load_s: float
    peak_bytes: int
    runs: tuple[Run, ...]


def contestants(threads: int, whisperx: Path | None) -> dict[str, list[str]]:
    """The commands that start them; WhisperX needs a Python in which it is installed."""
    folder = Path(__file__).parent
    commands = {
        PIPELINE: [sys.executable, "-m", f"{__package__}.run_pipeline", str(threads)],
        SCRIPT: [sys.executable, "-m", f"{__package__}.run_script", str(threads)],
    }
    if whisperx is not None:
        model = str(store.locate("whisper-base"))
        commands[WHISPERX] = [str(whisperx), "-P", str(folder / "run_whisperx.py"), str(threads), model]
    return commands


def compare(
    files: Sequence[str],
    references: Mapping[str, Reference],
    commands: Mapping[str, Sequence[str]],
    on_step: OnStep,
) -> list[Contestant]:
    """Have every contestant hear every file; who begins changes from file to file.

    Before anything is counted, each hears the first file once, so that what is loaded late is loaded.

    Raises:
        ContestantFailed: one could not start, or gave up.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    with ExitStack() as stack:
        processes = {name: stack.enter_context(_started(name, command)) for name, command in commands.items()}
        load_s = {name: process.answer()["load_s"] for name, process in processes.items()}
        for name, process in processes.items():
            on_step(f"warming up {name}", 0, len(files))
            process.hear(files[0])
        for number, file in enumerate(files):
            sound_s = media.read(Path(file)).tracks[0].shape[1] / SAMPLE_RATE
            names = [*processes][number % len(processes) :] + [*processes][: number % len(processes)]
            for name in names:
                on_step(name, number, len(files))
                runs[name].append(_run(file, sound_s, processes[name].hear(file), references.get(file)))
        on_step("all", len(files), len(files))
        peaks = {name: process.end()["peak_bytes"] for name, process in processes.items()}
    return [
        Contestant(name=name, load_s=load_s[name], peak_bytes=peaks[name], runs=tuple(runs[name]))
        for name in commands
    ]


def _run(file: str, sound_s: float, answer: Mapping[str, Any], reference: Reference | None) -> Run:
    words, errors = None, None
    if reference is not None and reference.verbatim and reference.language is not None:
        words, errors = text_errors(reference, answer["text"], reference.language)
    return Run(
        file=Path(file).name,
        sound_s=sound_s,
        wall_s=answer["wall_s"],
        cpu_s=answer["cpu_s"],
        inference_s=answer["inference_s"],
        stages=answer["stages"],
        words=words,
        errors=errors,
    )


class _Process:
    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    def hear(self, file: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{file}\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContestantFailed(
                f"{self._name} ended before it was done",
                "What it says of that is above, if it said anything.",
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.answer()


@contextmanager
def _started(name: str, command: Sequence[str]) -> Iterator[_Process]:
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise ContestantFailed(
            f"{command[0]} cannot be started ({error.strerror})", "Check its path."
        ) from error
    try:
        yield _Process(name, process)
    finally:
        process.kill()
        process.wait()
