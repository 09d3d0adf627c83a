"""A night of calls: what dies, sleeps or fails costs one call, and a killed run goes on where it was."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from stub_calls import Starts, Stub, source

from wellheard.pipeline.batch import Doubled, Event, Failed, Outcome, Pace, Scored, Started, Stored, run
from wellheard.pipeline.errors import ModelMissing
from wellheard.pipeline.records import CallResult, Source
from wellheard.pipeline.store import SCHEMAS, Results
from wellheard.pipeline.workers import Limits, WorkersBroken

WARSAW = ZoneInfo("Europe/Warsaw")


def night(
    folder: Path, sources: list[Source], make_scorer=Stub, jobs: int = 2, **options
) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    with Results(folder).writer(WARSAW, print) as writer:
        outcome = run(sources, make_scorer, writer, jobs, events.append, **options)
    return outcome, events


def rows(folder: Path) -> dict[str, list[dict[str, object]]]:
    return {name: sorted(Results(folder).table(name).to_pylist(), key=str) for name in SCHEMAS}


def calls(number: int, **does: str) -> list[Source]:
    """So many calls of three agents; `c7="dies"` says what becomes of call 7."""
    return [
        source(i, agent_id=f"A{i % 3}", extra={"does": does[f"c{i}"]} if f"c{i}" in does else {})
        for i in range(number)
    ]


def test_a_night_is_scored_stored_and_told_of(tmp_path: Path) -> None:
    outcome, events = night(tmp_path, calls(9))
    assert (outcome.calls, outcome.scored, outcome.failed) == (9, 9, 0)
    assert outcome.audio_s == pytest.approx(9 * 60.1)
    assert outcome.wall_s > 0
    assert not outcome.interrupted
    assert events[0] == Started(calls=9, jobs=2)
    assert {event.call_id for event in events if isinstance(event, Scored)} == {f"c{i:05}" for i in range(9)}
    assert events[-1] == Stored(9)
    assert len(Results(tmp_path).table("calls")) == 9


def test_one_that_sleeps_one_that_dies_and_one_that_stumbles_cost_one_call_each(tmp_path: Path) -> None:
    sources = calls(20, c3="sleeps for ever", c8="dies", c9="is silent", c15="stumbles")
    limits = Limits(reading_s=60, base_s=0.9, per_second=0.01)
    outcome, events = night(tmp_path, sources, limits=limits)
    assert (outcome.scored, outcome.failed) == (16, 4)
    failures = {row["call_id"]: row for row in Results(tmp_path).table("failures").to_pylist()}
    assert failures["c00003"]["reason"].startswith("took longer than 2 s")  # 0.9 s, and 0.01 for each of 60.1
    assert "SIGKILL" in failures["c00008"]["reason"]
    assert "fewer --jobs" in failures["c00008"]["advice"]
    assert (failures["c00009"]["stage"], failures["c00009"]["advice"]) == ("transcribe", "Leave it out.")
    assert failures["c00015"]["reason"].startswith("FileNotFoundError in ")
    assert "4111" not in str(failures)  # nothing that may have been said
    assert all(row["date"] == "2025-02-19" and row["path"] for row in failures.values())
    assert len([event for event in events if isinstance(event, Failed)]) == 4


def test_a_call_that_never_gets_a_length_is_given_up_as_well(tmp_path: Path) -> None:
    outcome, _ = night(tmp_path, calls(3, c0="hangs in reading"), limits=Limits(reading_s=1))
    assert (outcome.scored, outcome.failed) == (2, 1)


def test_what_would_stop_every_call_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="wellheard models pull"):
        night(tmp_path, calls(6, c5="lacks a model"), jobs=1)
    assert len(Results(tmp_path).table("calls")) == 5


def test_workers_that_cannot_start_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(WorkersBroken, match="exit code 7"):
        night(tmp_path, calls(2), Starts)


def test_an_id_that_cannot_be_stored_costs_no_work(tmp_path: Path) -> None:
    outcome, _ = night(tmp_path, [source(1), source(2, agent_id="Ж" * 100)])
    assert (outcome.scored, outcome.failed) == (1, 1)
    (failure,) = Results(tmp_path).table("failures").to_pylist()
    assert (failure["call_id"], failure["stage"]) == ("c00002", "ingest")
    assert "shorter id" in failure["advice"]


def test_a_night_of_nothing_ends_at_once(tmp_path: Path) -> None:
    outcome, _ = night(tmp_path, [])
    assert (outcome.calls, outcome.scored, outcome.failed) == (0, 0, 0)


def test_workers_start_though_the_parent_holds_threads_and_locks(tmp_path: Path) -> None:
    """A forked worker would inherit the lock, held for ever."""
    held = threading.Lock()
    release = threading.Event()

    def hold() -> None:
        with held:
            release.wait()

    threads = [threading.Thread(target=hold, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert night(tmp_path, calls(4))[0].scored == 4
    finally:
        release.set()


# Doubles


def nameless(name: str) -> Source:
    """A file whose sound, and so whose name, is told by what stands before the dash."""
    return Source(paths=(f"/calls/{name}.wav",), info=source(0, call_id="").info)


def test_the_same_sound_twice_is_one_call_whichever_worker_is_faster(tmp_path: Path) -> None:
    files = [nameless(name) for name in ("b-2", "a-1", "a-3", "a-2")]
    stored = []
    for attempt in range(3):
        outcome, events = night(tmp_path / str(attempt), files, jobs=1 + attempt)
        assert (outcome.scored, outcome.failed) == (2, 0)
        (call_id,) = {event.call_id for event in events if isinstance(event, Doubled)}
        assert outcome.notes == (
            f"/calls/a-2.wav is the same recording as /calls/a-1.wav: scored once, as {call_id}",
            f"/calls/a-3.wav is the same recording as /calls/a-1.wav: scored once, as {call_id}",
        )
        stored.append(rows(tmp_path / str(attempt)))
    assert stored[0] == stored[1] == stored[2]
    assert sorted(call["paths"] for call in stored[0]["calls"]) == [["/calls/a-1.wav"], ["/calls/b-2.wav"]]


# Storing on the way


def test_results_are_stored_on_the_way_and_then_dropped(tmp_path: Path) -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, CallResult) for thing in gc.get_objects())

    on_disk, in_memory, of_others = [], [], alive()

    def watch(event: Event) -> None:
        if isinstance(event, Stored):
            on_disk.append(len(Results(tmp_path).table("calls")))
            in_memory.append(alive() - of_others)

    with Results(tmp_path).writer(WARSAW, print) as writer:
        run(calls(120), partial(Stub, turns=50), writer, 2, watch, pace=Pace(calls=5))
    assert on_disk[-1] == 120
    assert len(on_disk) >= 4
    assert on_disk[0] < 120
    assert max(in_memory) <= 2  # the one just taken, still in a variable


# Stopped and killed

RUN = """
import sys
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, {tests!r})
from stub_calls import Stub, source
from wellheard.pipeline.batch import Pace, run
from wellheard.pipeline.store import Results


def tell(what):
    print(what, flush=True)


if __name__ == "__main__":
    folder, first, last, pause_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    does = {{3: {{"does": "is silent"}}, 12: {{"does": "stumbles"}}}}
    sources = [source(i, f"A{{i % 3}}", extra=does.get(i, {{}})) for i in range(first, last)]
    with Results(folder).writer(ZoneInfo("Europe/Warsaw"), lambda who: tell(f"waits: {{who}}")) as writer:
        outcome = run(sources, partial(Stub, pause_s), writer, 2, tell, pace=Pace(calls=2))
        tell(f"{{'interrupted' if outcome.interrupted else 'done'}} {{outcome.scored}}")
"""


@pytest.fixture
def start(tmp_path: Path):
    """Starts a run in a process of its own."""
    script = tmp_path / "nightly.py"
    script.write_text(RUN.format(tests=str(Path(__file__).parent)))
    running = []

    def start(folder: Path, first: int = 0, last: int = 20, pause_s: float = 0.02) -> subprocess.Popen:
        command = [sys.executable, str(script), str(folder), str(first), str(last), str(pause_s)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen, word: str) -> list[str]:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(lines)


def workers_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True)
    return [int(line) for line in found.stdout.split()]


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_killed_at_any_moment_and_started_again_it_ends_with_the_same_rows(tmp_path: Path, start) -> None:
    undisturbed = start(tmp_path / "undisturbed")
    read_until(undisturbed, "done")
    wanted = rows(tmp_path / "undisturbed")
    assert (len(wanted["calls"]), len(wanted["failures"])) == (18, 2)
    dice = random.Random(7)
    folder = tmp_path / "killed"
    for kill in range(5):
        killed = start(folder)
        read_until(killed, "Started")
        for _ in range(dice.randrange(1, 14)):  # somewhere between two events, in mid-flush too
            killed.stdout.readline()
        time.sleep(dice.random() * 0.02)
        workers = workers_of(killed.pid)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        if (folder / "calls").exists():
            for dataset in SCHEMAS:  # readable, and no call twice
                Results(folder).table(dataset)
            ids = Results(folder).table("calls")["call_id"].to_pylist()
            assert len(ids) == len(set(ids))
        if kill == 0:
            deadline = time.monotonic() + 10
            while not all(map(gone, workers)):  # nobody goes on working for a dead parent
                assert time.monotonic() < deadline
                time.sleep(0.05)
    read_until(start(folder), "done")
    assert rows(folder) == wanted
    private = sorted(path.name for path in (folder / ".wellheard").iterdir())
    assert private == ["lock", "whereabouts.json"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_stores_what_is_done(tmp_path: Path, start, number: int) -> None:
    stopped = start(tmp_path / "results", pause_s=0.3)
    done = len([line for line in read_until(stopped, "c00006") if line.startswith("Scored")])
    os.kill(stopped.pid, number)
    rest = stopped.stdout.read()
    assert stopped.wait() == 0
    assert "interrupted" in rest
    assert done <= len(Results(tmp_path / "results").table("calls")) < 18


def test_two_runs_at_once_on_one_folder_do_no_harm(tmp_path: Path, start) -> None:
    folder = tmp_path / "results"
    first = start(folder, 0, 20, 0.1)
    read_until(first, "Stored")
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second has started
    second = start(folder, 20, 40)
    waiting = read_until(second, "waits")
    first.send_signal(signal.SIGCONT)
    assert f"process {first.pid} on " in waiting[-1]
    while first.poll() is None:  # a reader beside them never meets half a file
        for dataset in SCHEMAS:
            Results(folder).table(dataset)
        first.stdout.readline()
    read_until(second, "done")
    ids = Results(folder).table("calls")["call_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 38


def test_the_second_run_goes_on_when_the_first_is_killed(tmp_path: Path, start) -> None:
    folder = tmp_path / "results"
    first = start(folder, 0, 20, 0.5)
    read_until(first, "Scored")
    second = start(folder, 20, 25)
    read_until(second, "waits")
    first.kill()
    read_until(second, "done 5")
