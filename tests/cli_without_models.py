"""The command line with a scorer that needs no models; run as a script, it is what cron would run."""

from pathlib import Path

from stub_calls import Stub

from wellheard.pipeline.settings import Settings


def scorer(settings: Settings, cache: Path, threads: int) -> Stub:
    """Stands in for `CallScorer`; a manifest's column `does` tells what becomes of a call."""
    return Stub()


if __name__ == "__main__":
    import wellheard.pipeline.call
    from wellheard.cli import main

    wellheard.pipeline.call.CallScorer = scorer  # type: ignore[misc, assignment]
    main()
