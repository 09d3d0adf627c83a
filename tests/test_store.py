"""Results: what is stored, and what readers find."""

import math
import os
import stat
import threading
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from stub_calls import result, source

from wellheard.pipeline.errors import BadManifestRow, CannotWrite, DamagedResults, NoResults
from wellheard.pipeline.records import CallInfo, CallResult, Failure, Heard, Mark
from wellheard.pipeline.store import PARTITIONED_BY, SCHEMAS, Results

WARSAW = ZoneInfo("Europe/Warsaw")
OF_AGENTS = [dataset for dataset, columns in PARTITIONED_BY.items() if "agent_id" in columns]


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def store(folder: Path, *results: CallResult) -> Results:
    stored = Results(folder)
    with stored.writer(WARSAW, print) as writer:
        for one in results:
            writer.add(one)
    return stored


def rows(stored: Results) -> dict[str, list[dict[str, object]]]:
    """Everything that is stored, in an order of its own."""
    return {name: sorted(stored.table(name).to_pylist(), key=str) for name in SCHEMAS}


def failure(path: str = "/calls/x.wav", call_id: str = "", agent_id: str = "unknown") -> Failure:
    return Failure(
        call_id=call_id,
        agent_id=agent_id,
        path=path,
        stage="ingest",
        reason="no sound",
        advice="Leave it out.",
    )


# What is stored


def test_all_that_is_known_of_a_call_reads_back(tmp_path: Path) -> None:
    of = source(
        1,
        agent_id="007",
        agent_name="Żaneta Łuczak",
        team="Sales",
        region="North",
        customer_segment="gold",
        company="Brightline",
        direction="in",
        language="en",
        agent_channel=0,
        extra={"queue": "orders", "phone": "0048"},
    )
    stored = store(tmp_path, result(of))
    (call,) = stored.table("calls").to_pylist()
    assert call["agent_id"] == "007"
    assert call["date"] == "2025-02-19"
    assert call["agent_name"] == "Żaneta Łuczak"
    assert call["started_at"].isoformat() == "2025-02-19T05:01:00+00:00"
    assert call["started_local"] == "2025-02-19T06:01:00+01:00"
    assert dict(call["extra"]) == {"queue": "orders", "phone": "0048"}
    assert call["paths"] == ["/calls/00001.wav"]
    assert call["parties"] == [
        {"speaker": "agent", "talk_s": 30.0, "talk_share": 0.5, "words_per_minute": 140.0}
    ]
    assert call["silences"] == [{"start_s": 10.0, "end_s": 14.0}]
    assert call["interruptions"] == [{"at_s": 9.0, "by": "agent"}]
    assert call["scores"] == [{"rubric": "pec", "score": 0.5, "counted": 2, "unsure": 0}]
    assert call["answers"] == [{"criterion": "pec.empathy", "yes": 0.125, "no": 0.25, "na": 0.625}]
    assert call["tokens"] == 0
    turns = stored.table("turns").to_pylist()
    assert [turn["turn"] for turn in turns] == [0, 1, 2, 3]
    assert turns[1]["text"] == "turn1 of c00001"
    assert turns[1]["words"][0] == {"start_s": 3.0, "end_s": 3.2, "text": "turn1", "probability": 0.9}
    acts = stored.table("acts", ["call_id", "turn", "act", "probability"]).to_pylist()
    assert acts == [
        {"call_id": "c00001", "turn": 0, "act": "company", "probability": 0.25},
        {"call_id": "c00001", "turn": 0, "act": "greet", "probability": 0.98},
    ]
    mark = stored.table("marks").to_pylist()[0]
    assert mark["rubric_version"] == "1.10"
    assert (mark["answer"], mark["leaning"], mark["absence"]) == ("yes", "yes", None)
    assert mark["evidence"] == [
        {"start_s": 0.0, "end_s": 0.8, "speaker": "agent", "quote": "thank you for calling"}
    ]


def test_a_no_is_stored_with_where_it_belonged_and_an_unsure_with_what_it_leans_to(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1), "no"), result(source(2), "unsure"))
    no, _, unsure, _ = stored.table("marks").sort_by("call_id").to_pylist()
    assert no["absence"] == {
        "start_s": 0.0,
        "end_s": 6.8,
        "nearest": [{"start_s": 6.0, "end_s": 6.8, "speaker": "agent", "quote": "how may I help you"}],
        "intelligible": 0.9,
    }
    assert (unsure["answer"], unsure["leaning"], unsure["absence"]) == ("unsure", "no", None)


def test_what_a_language_model_has_read_and_written_is_stored(tmp_path: Path) -> None:
    call = result(source(1))
    asked = msgspec.structs.replace(call.scorecard, tokens=1234)
    stored = store(tmp_path, msgspec.structs.replace(call, scorecard=asked))
    assert stored.table("calls")["tokens"].to_pylist() == [1234]


def test_every_field_of_the_records_has_its_column() -> None:
    renamed = {"language": "language_given"}
    assert {renamed.get(name, name) for name in CallInfo.__struct_fields__} <= set(SCHEMAS["calls"].names)
    assert set(Mark.__struct_fields__) <= set(SCHEMAS["marks"].names)
    assert set(Failure.__struct_fields__) - {"started_at"} <= set(SCHEMAS["failures"].names)
    apart = {"info", "conversation", "heard", "acts", "scorecard"}
    assert set(Heard.__struct_fields__) | {"answers", "tokens"} <= set(SCHEMAS["calls"].names)
    assert set(CallResult.__struct_fields__) - apart <= set(SCHEMAS["calls"].names)


def test_an_agents_day_is_summed_up(tmp_path: Path) -> None:
    stored = store(
        tmp_path,
        result(source(1, agent_name="Ann"), "yes", 1.0),
        result(source(2, agent_name="Anna"), "no", 0.0),
        result(source(3, agent_name=None), "na", None),
        result(source(4, agent_id="B2"), "unsure", None),
    )
    first, second = stored.table("agents").sort_by("agent_id").to_pylist()
    assert (first["agent_id"], first["date"], first["calls"]) == ("A1", "2025-02-19", 3)
    assert first["agent_name"] == "Anna"  # the latest that is told
    assert first["seconds"] == pytest.approx(180.3)
    (pec,) = first["rubrics"]
    assert (pec["rubric"], pec["score"], pec["calls"], sorted(pec["scores"])) == ("pec", 0.5, 2, [0.0, 1.0])
    assert first["criteria"] == [
        {"rubric": "pec", "criterion": "greets", "yes": 1, "no": 1, "na": 1, "unsure": 0},
        {"rubric": "pec", "criterion": "thanks", "yes": 1, "no": 1, "na": 1, "unsure": 0},
    ]
    # Nothing to divide by is no score: neither 0 nor NaN.
    assert [(r["score"], r["calls"], r["scores"]) for r in second["rubrics"]] == [(None, 0, [])]
    (call,) = stored.table("calls", filter=pc.field("agent_id") == "B2").to_pylist()
    assert call["scores"] == [{"rubric": "pec", "score": None, "counted": 0, "unsure": 2}]


@pytest.mark.parametrize(
    ("started_at", "date"),
    [
        ("2025-02-19T23:30:00+00:00", "2025-02-20"),  # half past midnight in Warsaw
        ("2024-10-26T23:50:00-04:00", "2024-10-27"),
        ("2025-02-19T23:30:00", "2025-02-19"),  # without a zone it is the house's
    ],
)
def test_a_call_counts_to_the_houses_day(tmp_path: Path, started_at: str, date: str) -> None:
    call = result(source(1, started_at=datetime.fromisoformat(started_at)))
    assert store(tmp_path, call).table("calls")["date"].to_pylist() == [date]


def test_both_moments_of_the_doubled_hour_are_told_apart(tmp_path: Path) -> None:
    twice = [
        result(source(number, started_at=datetime(2024, 10, 27, 2, 30, tzinfo=WARSAW, fold=number)))
        for number in (0, 1)
    ]
    calls = store(tmp_path, *twice).table("calls").sort_by("call_id").to_pylist()
    assert [call["started_local"][-6:] for call in calls] == ["+02:00", "+01:00"]
    assert [call["started_at"].hour for call in calls] == [0, 1]


def test_a_call_without_a_time_lies_under_unknown(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1, started_at=None)))
    (call,) = stored.table("calls").to_pylist()
    assert (call["date"], call["started_at"], call["started_local"]) == ("unknown", None, None)


def test_file_names_that_are_no_unicode_are_stored_escaped(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/calls/\xc8\xe2.wav")
    call = msgspec.structs.replace(result(source(1)), paths=(odd,))
    stored = Results(tmp_path)
    with stored.writer(WARSAW, print) as writer:
        writer.add(call)
        writer.fail(failure(path=odd + "2"))
    assert stored.table("calls")["paths"].to_pylist() == [["/calls/\\udcc8\\udce2.wav"]]
    assert stored.table("failures")["path"].to_pylist() == ["/calls/\\udcc8\\udce2.wav2"]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(tmp_path / "results", result(source(1)))
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


# Readers


NIGHTS = [
    {"007": 1, "7": 2, "0042": 3},
    {"101": 4, "A7": 5, "79001234567": 6},
]


def two_nights(folder: Path, nights: int) -> dict[str, int]:
    number = 0
    expected: dict[str, int] = {}
    for night, agents in enumerate(NIGHTS[:nights]):
        results = []
        for agent_id, calls in agents.items():
            expected[agent_id] = calls
            for _ in range(calls):
                number += 1
                results.append(result(source(number, agent_id, f"2025-02-{19 + night}")))
        store(folder, *results)
    return expected


def read_with_results(folder: Path) -> list[str]:
    return Results(folder).table("calls")["agent_id"].to_pylist()


def read_with_pyarrow(folder: Path) -> list[str]:
    text = pa.schema([("agent_id", pa.string()), ("date", pa.string())])
    calls = ds.dataset(f"{folder}/calls", partitioning=ds.partitioning(text, flavor="hive"))
    return calls.to_table()["agent_id"].to_pylist()


def read_with_pandas(folder: Path) -> list[str]:
    text = pa.schema([("agent_id", pa.string()), ("date", pa.string())])
    calls = pd.read_parquet(f"{folder}/calls", partitioning=ds.partitioning(text, flavor="hive"))
    return calls["agent_id"].tolist()


def read_with_duckdb(folder: Path) -> list[str]:
    calls = duckdb.sql(
        f"""
        SELECT agent_id, date FROM read_parquet('{folder}/calls/**/*.parquet',
            hive_partitioning = true, hive_types = {{'agent_id': VARCHAR, 'date': VARCHAR}})
        """
    )
    return [agent_id for agent_id, _ in calls.fetchall()]


def read_with_polars(folder: Path) -> list[str]:
    calls = pl.scan_parquet(f"{folder}/calls", hive_schema={"agent_id": pl.String, "date": pl.String})
    return calls.collect()["agent_id"].to_list()


READERS = [read_with_results, read_with_pyarrow, read_with_pandas, read_with_duckdb, read_with_polars]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("nights", [1, 2])
def test_agents_007_and_7_stay_apart_in_every_reader(tmp_path: Path, read, nights: int) -> None:
    expected = two_nights(tmp_path, nights)
    found = read(tmp_path)
    assert {agent_id: found.count(agent_id) for agent_id in found} == expected


ODD_IDS = [
    "sales/07",
    "Anna Maria",
    "50%",
    "a=b",
    "Żółć",
    "..",
    "back\\slash",
    "%2F",
    "q:r",
    "+7",
    "blank ",
    "Anna",
    "anna",
    "ANNA",
    ".hidden",
    "_private",
    "[red]Anna",
    "null",
    "a\nb",
    "Ольга-7",
]


@pytest.mark.parametrize("read", READERS)
def test_ids_that_are_no_folder_names_read_back_unchanged(tmp_path: Path, read) -> None:
    folder = tmp_path / "results"
    store(folder, *(result(source(number, agent_id)) for number, agent_id in enumerate(ODD_IDS)))
    assert sorted(read(folder)) == sorted(ODD_IDS)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_no_two_folders_differ_in_case_alone(tmp_path: Path) -> None:
    for number, agent_id in enumerate(ODD_IDS):  # one run each: the names must hold from run to run
        store(tmp_path, result(source(number, agent_id)))
    store(tmp_path, *(result(source(number, agent_id)) for number, agent_id in enumerate(ODD_IDS)))
    for dataset in OF_AGENTS:
        names = [path.name.casefold() for path in (tmp_path / dataset).iterdir()]
        assert len(names) == len(set(names)) == len(ODD_IDS)
        assert not any(name.endswith((".", " ")) for name in names)  # which Windows would cut off


def test_one_agent_can_be_asked_for(tmp_path: Path) -> None:
    stored = store(tmp_path, *(result(source(number, agent_id)) for number, agent_id in enumerate(ODD_IDS)))
    for number, agent_id in enumerate(ODD_IDS):
        found = stored.table("calls", ["call_id"], pc.field("agent_id") == agent_id)
        assert found.to_pylist() == [{"call_id": f"c{number:05}"}]


@pytest.mark.parametrize("agent_id", ["Ж" * 43, "x" * 250, "__HIVE_DEFAULT_PARTITION__"])
def test_an_id_that_no_folder_can_be_named_after_is_refused(tmp_path: Path, agent_id: str) -> None:
    with Results(tmp_path).writer(WARSAW, print) as writer:
        with pytest.raises(BadManifestRow, match="shorter id"):
            writer.check_agent(agent_id)
        with pytest.raises(BadManifestRow):
            writer.add(result(source(1, agent_id)))


def test_a_call_without_an_agent_is_the_unknown_agents(tmp_path: Path) -> None:
    assert read_with_results(store(tmp_path, result(source(1, ""))).folder) == ["unknown"]


# The second run


def test_scoring_again_replaces_and_the_next_night_adds(tmp_path: Path) -> None:
    first = [result(source(1)), result(source(2))]
    stored = store(tmp_path, *first)
    once = rows(stored)
    assert len(once["calls"]) == 2
    assert rows(store(tmp_path, *first)) == once
    store(tmp_path, result(source(3, day="2025-02-20")), result(source(4, day="2025-02-20")))
    assert len(stored.table("calls")) == 4
    assert [day["calls"] for day in stored.table("agents").to_pylist()] == [2, 2]
    store(tmp_path, result(source(1), "no", 0.0, turns=2))
    assert len(stored.table("turns")) == 2 + 3 * 4
    only = stored.table("marks", filter=pc.field("call_id") == "c00001").to_pylist()
    assert [mark["answer"] for mark in only] == ["no", "no"]
    assert [path.name for path in tmp_path.glob("calls/*/*/*")] == ["part-0.parquet"] * 2


def test_a_call_that_turns_out_to_be_another_agents_or_days_moves(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1)), result(source(2)))
    store(tmp_path, result(source(1, agent_id="B2")))
    assert [(day["agent_id"], day["calls"]) for day in stored.table("agents").to_pylist()] == [
        ("A1", 1),
        ("B2", 1),
    ]
    store(tmp_path, result(source(2, day="2025-03-01")))
    assert len(stored.table("calls")) == 2
    for dataset in OF_AGENTS:
        left = sorted(
            str(path.relative_to(tmp_path / dataset)) for path in (tmp_path / dataset).rglob("date=*")
        )
        assert left == ["agent_id=A1/date=2025-03-01", "agent_id=B2/date=2025-02-19"]


def test_two_calls_can_change_places(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1, "A")), result(source(2, "B")))
    store(tmp_path, result(source(1, "B")), result(source(2, "A")))
    found = stored.table("calls", ["call_id", "agent_id"]).sort_by("call_id")
    assert found["agent_id"].to_pylist() == ["B", "A"]


def test_files_with_fewer_columns_from_an_earlier_version_are_still_read_and_added_to(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1)))
    (file,) = tmp_path.glob("marks/*/*/part-0.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["reason"]), file)
    store(tmp_path, result(source(2)))
    reasons = stored.table("marks")["reason"].to_pylist()
    assert sorted(map(str, reasons)) == ["None"] * 2 + ["said in the greeting"] * 2


# Failures


def fail(folder: Path, *failures: Failure, started_at: datetime | None = None) -> Results:
    stored = Results(folder)
    with stored.writer(WARSAW, print) as writer:
        for one in failures:
            writer.fail(msgspec.structs.replace(one, started_at=started_at))
    return stored


def test_a_failure_lies_under_the_day_of_its_call(tmp_path: Path) -> None:
    fail(tmp_path, failure("/calls/a.wav"))
    stored = fail(
        tmp_path,
        failure("/calls/b.wav", "c7", "007"),
        started_at=datetime.fromisoformat("2025-02-19T12:00+01:00"),
    )
    assert stored.table("failures", ["date", "path", "call_id", "agent_id"]).to_pylist() == [
        {"date": "2025-02-19", "path": "/calls/b.wav", "call_id": "c7", "agent_id": "007"},
        {"date": "unknown", "path": "/calls/a.wav", "call_id": "", "agent_id": "unknown"},
    ]


def test_failing_again_is_one_failure(tmp_path: Path) -> None:
    fail(tmp_path, failure())
    assert len(fail(tmp_path, failure()).table("failures")) == 1


def test_a_failure_goes_once_its_call_is_scored(tmp_path: Path) -> None:
    fail(tmp_path, failure("/calls/00001.wav"), failure("/elsewhere.wav", "c00002"), failure("/other.wav"))
    stored = store(tmp_path, result(source(1)), result(source(2)))
    assert stored.table("failures")["path"].to_pylist() == ["/other.wav"]


def test_two_failures_of_one_run_stay_two_though_their_call_was_scored(tmp_path: Path) -> None:
    """As when a manifest names a call id twice: the first is scored, the second is told of."""
    for _ in range(2):
        stored = Results(tmp_path)
        with stored.writer(WARSAW, print) as writer:
            writer.fail(failure("/calls/again.wav", "c00001"))
            writer.add(result(source(1)))
            writer.flush()
        assert len(stored.table("failures")) == 1


def test_a_call_that_was_scored_keeps_its_marks_when_it_fails_later(tmp_path: Path) -> None:
    before = rows(store(tmp_path, result(source(1))))
    after = rows(fail(tmp_path, failure("/calls/00001.wav", "c00001", "A1")))
    assert len(after.pop("failures")) == 1
    before.pop("failures")
    assert after == before


def test_a_night_without_failures_has_an_empty_table_of_them(tmp_path: Path) -> None:
    table = store(tmp_path, result(source(1))).table("failures")
    assert len(table) == 0
    assert table.schema.names == SCHEMAS["failures"].names


# Errors


def test_a_run_that_stored_nothing_has_empty_tables(tmp_path: Path) -> None:
    stored = store(tmp_path)
    assert [len(stored.table(dataset)) for dataset in SCHEMAS] == [0] * len(SCHEMAS)


def test_no_results_are_an_error_with_an_advice(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NoResults, match="wellheard score"):
            Results(folder).table("calls")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1)))
    (file,) = tmp_path.glob("calls/*/*/part-0.parquet")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DamagedResults, match=r"agent_id=A1/date=2025-02-19/part-0.parquet"):
        stored.table("calls")
    with pytest.raises(DamagedResults, match="Move that file away"):
        store(tmp_path, result(source(2)))


def test_a_folder_that_cannot_be_written_is_an_error_with_an_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(CannotWrite, match="run the same command again"),
        Results(tmp_path / "file").writer(WARSAW, print),
    ):
        pass


def test_a_disk_that_fills_up_leaves_what_was_stored_and_a_later_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off at each of its writes in turn."""
    old = [result(source(1)), result(source(2))]
    new = [result(source(2, "B2")), result(source(3), "no", 0.0)]
    store(tmp_path / "undisturbed", *old)
    wanted = rows(store(tmp_path / "undisturbed", *new))
    room, replace = 0, Path.replace
    last = 3 * len(OF_AGENTS) + 1  # a partition that a call leaves, two that one comes to, and `agents`

    def fill_up(new: Path, path: Path) -> Path:
        nonlocal room
        room -= path.suffix == ".parquet"
        if room < 0:
            raise OSError(28, "No space left on device")
        return replace(new, path)

    for files in range(last + 1):
        folder = tmp_path / str(files)
        stored = store(folder, *old)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fill_up)
            room = files
            if files == last:
                store(folder, *new)
                assert room == 0
            else:
                with pytest.raises(CannotWrite, match="No space left on device"):
                    store(folder, *new)
        store(folder, result(source(9, "C3")))  # the next run, whatever it does, puts right what was cut off
        calls = set(zip(*stored.table("calls", ["agent_id", "call_id"]).to_pydict().values(), strict=True))
        for dataset in OF_AGENTS:
            found = stored.table(dataset, ["agent_id", "call_id"]).to_pydict().values()
            assert set(zip(*found, strict=True)) == calls
        assert sum(stored.table("agents")["calls"].to_pylist()) == len(calls)
        store(folder, *new)
        found = rows(stored)
        assert {name: [row for row in found[name] if row["agent_id"] != "C3"] for name in found} == wanted


@pytest.mark.parametrize("change", ["none", "lost", "damaged", "a partition by hand"])
def test_where_a_call_lies_is_known_in_the_next_run(tmp_path: Path, change: str) -> None:
    """Also when the list that saves opening every file does not tell, or tells of files of before."""
    stored = store(tmp_path, result(source(1, "A")), result(source(2, "B")))
    kept = tmp_path / ".wellheard" / "whereabouts.json"
    match change:
        case "lost":
            kept.unlink()
        case "damaged":
            kept.write_text('[["A",')
        case "a partition by hand":
            for dataset in OF_AGENTS:
                (tmp_path / dataset / "agent_id=A").rename(tmp_path / dataset / "agent_id=Z%2F1")
    store(tmp_path, result(source(1, "C")))
    for dataset in OF_AGENTS:
        found = stored.table(dataset).to_pylist()
        assert {(row["agent_id"], row["call_id"]) for row in found} == {("B", "c00002"), ("C", "c00001")}


def test_known_files_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, *(result(source(number, f"A{number}")) for number in range(5)))
    read: list[object] = []
    opened = ds.dataset
    monkeypatch.setattr(ds, "dataset", lambda path, **how: read.append(path) or opened(path, **how))
    store(tmp_path)
    assert read == []


# Many at once


def test_the_second_writer_waits_and_says_for_whom(tmp_path: Path) -> None:
    stored, told, order = Results(tmp_path), [], []

    def second() -> None:
        with stored.writer(WARSAW, told.append) as writer:
            order.append("second")
            writer.add(result(source(2)))

    with stored.writer(WARSAW, told.append) as writer:
        writer.add(result(source(1)))
        waiting = threading.Thread(target=second)
        waiting.start()
        while not told:
            time.sleep(0.01)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    assert len(stored.table("calls")) == 2
    assert len(told) == 1
    assert f"process {os.getpid()} on " in told[0]


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    stored = store(tmp_path, *(result(source(number)) for number in range(20)))
    done = threading.Event()

    def write() -> None:
        for answer in ("no", "na") * 10:
            store(tmp_path, *(result(source(number), answer) for number in range(20)))
        done.set()

    writing = threading.Thread(target=write)
    writing.start()
    looks = 0
    while not done.is_set():
        assert len(stored.table("calls")) == 20
        marks = stored.table("marks")["answer"].to_pylist()
        assert len(marks) == 40
        assert len(set(marks)) == 1
        assert len(read_with_duckdb(tmp_path)) == len(read_with_polars(tmp_path)) == 20
        looks += 1
    writing.join()
    assert looks > 3


def test_a_thousand_and_twenty_five_agents_are_stored(tmp_path: Path) -> None:
    stored = store(tmp_path, *(result(source(number, f"agent{number}")) for number in range(1025)))
    assert len(stored.table("calls")) == len(stored.table("agents")) == 1025
    assert len([*tmp_path.rglob("*.parquet")]) == len(OF_AGENTS) * 1025 + 1


def test_no_score_is_ever_nan(tmp_path: Path) -> None:
    stored = store(tmp_path, result(source(1), "na", None), result(source(2), "unsure", None))
    day = stored.table("agents").to_pylist()[0]
    assert not any(isinstance(value, float) and math.isnan(value) for value in day.values())
    assert day["rubrics"][0]["score"] is None


def test_partitions_are_named_in_no_file(tmp_path: Path) -> None:
    """Hive's custom: what the folders say is not said again in the files."""
    store(tmp_path, result(source(1)))
    for dataset, columns in PARTITIONED_BY.items():
        for file in (tmp_path / dataset).rglob("*.parquet"):
            assert not set(columns) & set(pq.ParquetFile(file).schema_arrow.names)
