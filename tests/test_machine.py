"""How many workers and threads a run gets where nobody says."""

import pytest

from wellheard.pipeline import machine

GIB = 1 << 30


@pytest.fixture(autouse=True)
def eight_cores_and_plenty(monkeypatch):
    monkeypatch.setattr(machine.joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(machine, "memory", lambda: 64 * GIB)


def test_many_calls_take_a_worker_a_core():
    assert machine.workers(1000, None, None) == (8, 1)


def test_few_calls_take_what_is_left_as_threads():
    assert machine.workers(2, None, None) == (2, 4)
    assert machine.workers(0, None, None) == (1, 8)


def test_memory_limits_the_workers(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 2 * machine.WORKER_BYTES + GIB)
    assert machine.workers(1000, None, None) == (2, 4)


def test_what_is_given_stays():
    assert machine.workers(1000, 3, None) == (3, 2)
    assert machine.workers(1000, None, 4) == (2, 4)
    assert machine.workers(1000, 20, 20) == (20, 20)


def test_a_container_limits_the_memory(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(machine, "_CONTAINER_LIMIT", tmp_path / "memory.max")
    whole = machine.memory()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory() == whole
    (tmp_path / "memory.max").write_text(f"{GIB // 4}\n")
    assert machine.memory() == GIB // 4
