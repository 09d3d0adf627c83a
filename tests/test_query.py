"""Asking the results in SQL: everything that is stored can be asked, and nothing else can be reached."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asked_results import CommandLine, call, store
from conftest import ROOT

from wellheard.pipeline.datasets import SCHEMAS
from wellheard.pipeline.errors import DamagedResults, NoResults
from wellheard.pipeline.morning import query
from wellheard.pipeline.morning.query import BadQuery, answer
from wellheard.pipeline.records import Failure
from wellheard.pipeline.store import Results
from wellheard.views.query import show
from wellheard.views.screen import screen

FAILURE = Failure(
    call_id="c9", agent_id="007", path="/x.wav", stage="ingest", reason="cut off", advice="Look."
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two calls of agent 007 and one of agent 7, on two days, and a failure."""
    calls = [
        call(1, "Hello, this is Ann.", "I want to cancel.", extra={"queue": "north"}),
        call(2, "Good morning.", "=cmd()", "\x1b[2J", day="2025-02-20"),
        call(3, "Hi.", agent_id="7"),
    ]
    return store(tmp_path_factory.mktemp("results"), calls, [FAILURE])


@pytest.fixture
def run(capsys, monkeypatch):
    return CommandLine(capsys, monkeypatch)


def rows(results, sql):
    return answer(results, sql).rows.to_pylist()


# --- what can be asked


def test_every_dataset_is_a_table_of_its_name(results):
    assert [row["name"] for row in rows(results, "SHOW TABLES")] == sorted(SCHEMAS)
    for name, schema in SCHEMAS.items():
        assert answer(results, f"SELECT * FROM {name}").rows.column_names == schema.names


def test_agents_and_dates_are_text(results):
    counts = rows(results, "SELECT agent_id, count(*) AS calls FROM calls GROUP BY ALL ORDER BY ALL")
    assert counts == [{"agent_id": "007", "calls": 2}, {"agent_id": "7", "calls": 1}]
    days = rows(results, "SELECT DISTINCT date FROM turns WHERE date >= '2025-02-20'")
    assert days == [{"date": "2025-02-20"}]


def test_datasets_can_be_joined_and_lists_taken_apart(results):
    words = rows(
        results,
        "SELECT w.text, c.extra['queue'] AS queue "
        "FROM turns JOIN calls c USING (call_id), unnest(words) AS u(w) "
        "WHERE call_id = 'c00001' AND turn = 0 ORDER BY w.start_s LIMIT 2",
    )
    assert words == [{"text": "Hello,", "queue": "north"}, {"text": "this", "queue": "north"}]


def test_the_order_asked_for_is_kept(results):
    found = rows(results, "SELECT turn FROM turns WHERE call_id = 'c00002' ORDER BY turn DESC")
    assert [row["turn"] for row in found] == [2, 1, 0]


def test_describe_and_summarize_are_answered(results):
    assert rows(results, "DESCRIBE failures")[0]["column_name"] == "call_id"
    assert [row["count"] for row in rows(results, "SUMMARIZE acts")]


def test_a_dataset_without_anything_stored_is_empty_and_named(tmp_path):
    results = store(tmp_path, [call(1, "Hi.")])
    found = answer(results, "SELECT count(*) AS n FROM failures")
    assert found.rows.to_pylist() == [{"n": 0}]
    assert found.missing == ("failures",)
    assert answer(results, "SELECT count(*) FROM calls").missing == ()


def test_columns_that_an_older_version_did_not_store_are_null(tmp_path):
    results = store(tmp_path, [call(1, "Hi.")])
    (file,) = (tmp_path / "calls").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(file).read().drop_columns(["tokens", "answers"]), file)
    assert rows(results, "SELECT call_id, tokens, answers FROM calls") == [
        {"call_id": "c00001", "tokens": None, "answers": None}
    ]


def test_every_answer_can_be_written_in_every_form(results):
    sql = """SELECT sum(calls) AS whole, sum(calls) * 0.5 AS half, uuid() AS id, INTERVAL 1 DAY AS gap,
             NULL AS none, [sum(calls)] AS list, {'a b': 1.5} AS struct, MAP {'k': 2.5} AS map,
             'infinity'::DATE AS never, TIME '10:00' AS clock, 1 / 0 AS infinite FROM agents"""
    found = answer(results, sql).rows
    assert found.schema.field("whole").type == pa.int64()
    assert found.schema.field("half").type == pa.float64()
    (row,) = found.to_pylist()
    assert (row["whole"], row["half"], row["list"]) == (3, 1.5, [3])
    assert row["struct"] == {"a b": 1.5}
    assert (row["gap"], row["clock"], row["never"]) == ("1 day", "10:00:00", None)
    page = io.StringIO()
    show(screen(page), found)
    assert "1 row" in page.getvalue()


def test_columns_of_one_name_stay_apart(results):
    assert answer(results, "SELECT 1 AS a, 2 AS a, 3 AS a_2").rows.to_pylist() == [
        {"a": 1, "a_2": 2, "a_2_2": 3}
    ]


def test_the_questions_of_the_manual_can_be_asked(results):
    manual = (ROOT / "docs" / "asking.md").read_text("utf-8")
    questions = re.findall(
        r"^--.*\n((?:(?!--).+\n)+)", manual.partition("```sql\n")[2].partition("```")[0], re.M
    )
    assert len(questions) == 4
    for question in (*questions, re.findall(r"`(FROM \(PIVOT[^`]+)`", manual)[0]):
        answer(results, question)


# --- what cannot be reached


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM parquet_metadata('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{file}'",
        'SELECT * FROM "{file}"',
        "SELECT * FROM 'https://localhost/x.csv'",
        "SELECT (SELECT max(content) FROM read_text('{file}'))",
        "WITH t AS (FROM read_text('{file}')) SELECT * FROM t",
        "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM pandas_scan(1)",
        "SELECT * FROM duckdb_secrets()",
        "COPY calls TO '{new}'",
        "COPY (SELECT 1) TO '{new}' (FORMAT parquet)",
        "COPY calls FROM '{file}'",
        "EXPORT DATABASE '{new}'",
        "IMPORT DATABASE '{folder}'",
        "ATTACH '{new}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{file}'",
        "CREATE SECRET (TYPE s3)",
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO calls SELECT * FROM calls",
        "DELETE FROM calls",
        "DROP VIEW calls",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage = 'file')",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE p AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY calls TO '{new}'",
        "",
        "-- nothing",
    ],
)
def test_nothing_but_the_datasets_is_read_and_nothing_is_written(results, tmp_path, sql):
    file, new = tmp_path / "file.csv", tmp_path / "new"
    file.write_text("secret\nhidden\n")
    with pytest.raises(BadQuery) as refused:
        answer(results, sql.format(file=file, folder=tmp_path, new=new))
    assert "hidden" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "COPY calls TO '{new}'",
        "ATTACH '{new}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT * FROM 'https://localhost/x.csv'",
    ],
)
def test_the_engine_itself_refuses_too(results, tmp_path, monkeypatch, sql):
    """Should one door be left open, the next is shut: here the look at the SQL is left out."""
    monkeypatch.setattr(query, "_check", lambda *_: None)
    file = tmp_path / "file.csv"
    file.write_text("secret")
    with pytest.raises(BadQuery):
        answer(results, sql.format(file=file, new=tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_variables_of_the_program_are_no_tables(results):
    table = pa.table({"secret": [1]})
    with pytest.raises(BadQuery):
        answer(results, "SELECT * FROM table")
    with pytest.raises(BadQuery, match="does not exist"):
        answer(results, "SELECT * FROM schema")
    assert table.num_rows == 1


def test_asking_writes_nothing_where_it_is_asked(results, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in results.folder.rglob("*")}
    command = [sys.executable, "-m", "wellheard.cli", "query", "SELECT * FROM turns ORDER BY text"]
    done = subprocess.run(
        [*command, "--results", results.folder],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )
    assert done.returncode == 0
    assert not [*tmp_path.iterdir()]
    assert {path: path.stat().st_mtime_ns for path in results.folder.rglob("*")} == before


# --- what goes wrong


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT scor FROM calls", '"scores"'),
        ("SELECT * FROM nights", "nights does not exist"),
        ("SELECT * FROM calls WHERE agent_id = $1", "parameter"),
    ],
)
def test_wrong_sql_is_one_line_with_what_is_wrong(run, results, sql, said):
    code, out, err = run("query", sql, "--results", results.folder)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_an_error_quotes_nothing_that_was_said(results):
    for sql in (
        "SELECT text::INT FROM turns",
        "SELECT error(text) FROM turns",
        "SELECT text::DATE FROM turns",
    ):
        with pytest.raises(BadQuery) as refused:
            answer(results, sql)
        for word in ("Hello", "cancel", "morning", "cmd"):
            assert word not in str(refused.value)


def test_memory_has_a_limit(results, monkeypatch):
    monkeypatch.setitem(query._SEALED, "memory_limit", "60MB")
    with pytest.raises(BadQuery, match="memory"):
        answer(results, "SELECT count(*) FROM (SELECT DISTINCT x FROM range(30000000) AS r(x))")


def test_an_answer_has_a_limit(results, monkeypatch):
    monkeypatch.setattr(query, "MOST_BYTES", 2**20)
    with pytest.raises(BadQuery, match="larger than 1 MB"):
        answer(results, "SELECT * FROM range(1000000)")


def test_a_folder_without_results_is_said(tmp_path):
    with pytest.raises(NoResults):
        answer(Results(tmp_path), "SELECT 1")


def test_a_damaged_file_is_named(tmp_path):
    results = store(tmp_path, [call(1, "Hi.")])
    (file,) = (tmp_path / "turns").rglob("*.parquet")
    file.write_bytes(b"no parquet")
    with pytest.raises(DamagedResults, match="damaged"):
        answer(results, "SELECT * FROM turns")
    assert rows(results, "SELECT count(*) AS n FROM calls") == [{"n": 1}], "the rest can be asked"


def test_a_call_that_is_moved_away_meanwhile_is_read_where_it_is_then(tmp_path, monkeypatch):
    results = store(tmp_path, [call(1, "Hi."), call(2, "Hi.", agent_id="9")])
    listed = query.ds.dataset

    def list_then_move(source, **options):
        dataset = listed(source, **options)
        if isinstance(source, str):
            shutil.rmtree(tmp_path / "turns" / "agent_id=9", ignore_errors=True)
        return dataset

    monkeypatch.setattr(query.ds, "dataset", list_then_move)
    assert rows(results, "SELECT count(*) AS n, max(text) AS text FROM turns") == [{"n": 1, "text": "Hi."}]


def test_a_question_can_be_stopped(results):
    endless = (
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = a.range % 11"
    )
    command = [sys.executable, "-m", "wellheard.cli", "query", endless, "--results", results.folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(timeout=4)
        asking.send_signal(signal.SIGINT)
        asking.communicate(timeout=20)
    assert asking.returncode == 130


# --- how it is given out


def test_rows_come_in_every_format(run, results, tmp_path):
    ask = ("query", "SELECT agent_id, count(*) AS calls FROM calls GROUP BY ALL ORDER BY 1", "--results")
    assert json.loads(run(*ask, results.folder, "--format", "json")[1])[0] == {"agent_id": "007", "calls": 2}
    assert list(csv.reader(io.StringIO(run(*ask, results.folder, "--format", "csv")[1])))[1] == ["007", "2"]
    run(*ask, results.folder, "--format", "parquet", "--out", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 2
    assert "007" in run(*ask, results.folder)[1]


def test_hostile_words_are_shown_as_text(run, results):
    ask = (
        "query",
        "SELECT text FROM turns WHERE call_id = 'c00002' ORDER BY turn",
        "--results",
        results.folder,
    )
    _, out, _ = run(*ask)
    assert "\x1b" not in out
    assert "\\x1b[2J" in out
    assert "'=cmd()" in run(*ask, "--format", "csv")[1]


def test_names_of_columns_do_nothing_either(run, results):
    _, out, _ = run("query", 'SELECT 1 AS "\x1b[2J[red]"', "--results", results.folder)
    assert "\\x1b[2J[red]" in out


def test_a_row_too_wide_for_a_table_is_shown_column_by_column(run, results):
    _, out, _ = run("query", "SELECT * FROM calls WHERE call_id = 'c00001'", "--results", results.folder)
    assert "Row 1" in out
    assert any(line.split() == ["agent_id", "007"] for line in out.splitlines())


def test_of_many_rows_the_first_are_shown_and_the_number_is_said(run, results):
    _, out, _ = run("query", "SELECT * FROM range(1234)", "--results", results.folder)
    assert "1,234 rows, the first 100 of them shown" in out


def test_what_is_missing_is_noted_and_the_rest_is_shown(run, tmp_path):
    store(tmp_path, [call(1, "Hi.")])
    code, out, err = run("query", "SELECT count(*) AS n FROM failures", "--results", tmp_path)
    assert (code, out.split()) == (0, ["n", "0", "1", "row"])
    assert err == f"Note: there are no failures in {tmp_path}.\n"
