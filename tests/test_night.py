"""A night from the folder to Parquet, as cron would run it: real speech, real models, and no network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from sounds import read, silence, write

from wellheard.pipeline.store import Results
from wellheard.rubrics.acts import may_show

# Loaded by every Python that the night starts: a connection to anywhere is written down and refused.
NO_NETWORK = """
import os, socket

def refused(self, address, *rest):
    if self.family != socket.AF_UNIX:
        with open(os.environ["ATTEMPTS"], "a") as file:
            print(address, file=file)
        raise OSError("no network")
    return connect(self, address, *rest)

def unresolved(host, *rest, **more):
    with open(os.environ["ATTEMPTS"], "a") as file:
        print(host, file=file)
    raise socket.gaierror("no network")

connect = socket.socket.connect
socket.socket.connect = refused
socket.getaddrinfo = unresolved
"""


@pytest.fixture(scope="module")
def recordings(spoken, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    a, c = read(spoken / "A.wav"), read(spoken / "C.wav")
    name = "AGENT_{}_DT_2026-11-{}T09-00-00.wav"
    write(folder / name.format("ChrisL", 23), np.concatenate([a, silence(0.5), c]))
    write(
        folder / name.format("ChrisL", 24), np.concatenate([a, silence(4)]), np.concatenate([silence(7), c])
    )
    write(folder / name.format("ZofiaŁ", 24), np.concatenate([c, silence(0.5), a]))
    write(folder / name.format("Quiet", 24), silence(20) + np.int16(3))
    (folder / name.format("Broken", 24)).write_bytes(b"this is no sound at all\n" * 50)
    (folder / "._AGENT_ChrisL_DT_2026-11-23T09-00-00.wav").write_bytes(bytes(4096))
    return folder


@pytest.fixture(scope="module")
def night(recordings, tmp_path_factory):
    """The finished command, the results folder, and every address that anything tried to reach."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    command = [
        sys.executable,
        "-m",
        "wellheard.cli",
        "score",
        str(recordings),
        "--results",
        str(folder / "r"),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PYTHONPATH": str(folder),
        "ATTEMPTS": str(folder / "attempts"),
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        **{name: os.environ[name] for name in ("WELLHEARD_MODELS",) if name in os.environ},
    }
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400
    )
    attempts = folder / "attempts"
    return done, folder / "r", attempts.read_text() if attempts.exists() else ""


def test_what_can_be_scored_is_and_what_cannot_is_named_with_what_to_do(night):
    done, results, _ = night
    assert done.returncode == 3, done.stderr
    calls = Results(results).table("calls").to_pylist()
    assert sorted((c["agent_id"], c["date"]) for c in calls) == [
        ("ChrisL", "2026-11-23"),
        ("ChrisL", "2026-11-24"),
        ("ZofiaŁ", "2026-11-24"),
    ]
    failures = {f["path"].split("_")[-3]: f for f in Results(results).table("failures").to_pylist()}
    assert set(failures) == {"Quiet", "Broken"}
    assert all(f["advice"] for f in failures.values())
    assert "Broken" in done.stdout


def test_every_criterion_of_every_call_has_a_mark_and_every_mark_its_evidence_within_the_call(night):
    _, results, _ = night
    lengths = {c["call_id"]: c["duration_s"] for c in Results(results).table("calls").to_pylist()}
    marks = Results(results).table("marks").to_pylist()
    assert len(marks) == 24 * len(lengths)
    for mark in marks:
        assert mark["answer"] in ("yes", "no", "na", "unsure")
        assert mark["leaning"] in ("yes", "no", "na")
        assert all(0 <= e["start_s"] < e["end_s"] <= lengths[mark["call_id"]] for e in mark["evidence"])


def test_agent_and_customer_are_told_apart_also_when_the_customer_speaks_first(night):
    _, results, _ = night
    turns = Results(results).table("turns", filter=pc.field("agent_id") == "ZofiaŁ").to_pylist()
    assert [(t["speaker"], t["text"].split()[0]) for t in turns] == [
        ("customer", "Hello,"),
        ("agent", "Thank"),
    ]


def test_every_act_is_one_that_its_turn_s_speaker_can_show(night):
    _, results, _ = night
    turns = Results(results).table("turns").to_pylist()
    speakers = {(turn["call_id"], turn["turn"]): turn["speaker"] for turn in turns}
    acts = Results(results).table("acts").to_pylist()
    assert {act["call_id"] for act in acts} == {turn["call_id"] for turn in turns}
    assert all(may_show(speakers[act["call_id"], act["turn"]], act["act"]) for act in acts)
    assert all(0 < act["probability"] <= 1 for act in acts)


def test_nothing_leaves_the_machine(night):
    assert night[2] == ""


def test_nothing_that_was_said_is_logged(night):
    done, _, _ = night
    assert not [word for word in ("Anna", "order", "calling") if word in done.stdout + done.stderr]


def test_all_files_are_for_their_owner_alone(night):
    _, results, _ = night
    assert not [p for p in results.rglob("*") if p.stat().st_mode & 0o077]
