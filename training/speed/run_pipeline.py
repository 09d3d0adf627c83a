"""This pipeline, from file to scorecard, its stage cache empty for each file."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from wellheard.pipeline.cache import KeyPart, StageCache, T
from wellheard.pipeline.call import CallScorer
from wellheard.pipeline.records import CallInfo, Source
from wellheard.pipeline.settings import Settings
from wellheard.training.speed.child import Job, serve


def load(threads: int) -> Job:
    """All stages with default settings."""
    with TemporaryDirectory(prefix="wellheard-") as unused:
        scorer = CallScorer(Settings(), Path(unused), threads)

    def job(path: str) -> tuple[str, dict[str, float]]:
        with TemporaryDirectory(prefix="wellheard-") as folder:
            cache = scorer._cache = _TimedCache(Path(folder))
            start = time.perf_counter()
            result = scorer(Source(paths=(path,), info=CallInfo(call_id="")), cache.begin)
            rest = time.perf_counter() - start - sum(cache.stages.values())
        stages = {**cache.stages, "rest": rest}
        return " ".join(turn.text for turn in result.conversation.turns), stages

    return job


class _TimedCache(StageCache):
    """Notes the seconds of each stage; decoding is what comes before the call's length is known."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stages: dict[str, float] = {}
        self._start = time.perf_counter()

    def begin(self, _: float) -> None:
        self.stages["decode"] = time.perf_counter() - self._start

    def get_or_make(
        self,
        stage: str,
        key_parts: Sequence[KeyPart],
        type_: type[T],
        make: Callable[[], T],
        worth_keeping: Callable[[T], bool] = lambda _: True,
    ) -> T:
        start = time.perf_counter()
        try:
            return super().get_or_make(stage, key_parts, type_, make, worth_keeping)
        finally:
            self.stages[stage] = time.perf_counter() - start


if __name__ == "__main__":
    serve(load)
