"""What docs/results.md shows works as shown, and names every column."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from stub_calls import result, source

from wellheard.pipeline.records import Failure
from wellheard.pipeline.store import SCHEMAS, Results

MANUAL = (Path(__file__).parent.parent / "docs" / "results.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.S | re.M)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One night of agents whose ids look like numbers, in the folder `results`."""
    monkeypatch.chdir(tmp_path)
    with Results(Path("results")).writer(ZoneInfo("Europe/Warsaw"), print) as writer:
        for number, agent_id in enumerate(["007", "7", "7", "0042"]):
            writer.add(result(source(number, agent_id), ("yes", "no")[number % 2], number / 10))
        writer.fail(Failure(call_id="c9", agent_id="7", path="x", stage="ingest", reason="-", advice="-"))
    return tmp_path


def test_every_way_of_reading_gives_the_agents_as_text(results: Path) -> None:
    found = {}
    for block in blocks("python"):
        names: dict[str, object] = {}
        exec(block, names)
        table = names.get("calls", names.get("marks"))
        match table:
            case pa.Table():
                found[block] = set(table["agent_id"].to_pylist())
            case pd.DataFrame():
                found[block] = set(table["agent_id"])
            case pl.DataFrame():
                found[block] = set(table["agent_id"].to_list())
    assert [*found.values()] == [{"007", "7", "0042"}] * 3 + [{"007"}]


def test_the_queries_run(results: Path) -> None:
    every_call, missed, agents = (duckdb.sql(query) for query in blocks("sql"))
    at = every_call.columns.index("agent_id")
    assert {row[at] for row in every_call.fetchall()} == {"007", "7", "0042"}
    assert set(missed.fetchall()) == {
        (agent_id, "pec", criterion, misses, counted)
        for agent_id, misses, counted in [("007", 0, 1), ("7", 1, 2), ("0042", 1, 1)]
        for criterion in ("greets", "thanks")
    }
    assert [(row[0], row[1], round(row[2], 3), row[3]) for row in agents.fetchall()] == [
        ("0042", "pec", 0.3, 1),
        ("007", "pec", 0.0, 1),
        ("7", "pec", 0.15, 2),
    ]


@pytest.mark.parametrize("dataset", ["agents", "failures"])
def test_agents_and_failures_are_read_with_their_one_folder_column(results: Path, dataset: str) -> None:
    by_duckdb = duckdb.sql(
        f"SELECT agent_id, date FROM read_parquet('results/{dataset}/**/*.parquet', "
        "hive_partitioning = true, hive_types = {'date': VARCHAR})"
    ).fetchall()
    by_polars = pl.read_parquet(f"results/{dataset}", hive_schema={"date": pl.String})
    by_pandas = pd.read_parquet(f"results/{dataset}")
    ids = {"7"} if dataset == "failures" else {"007", "7", "0042"}
    assert {row[0] for row in by_duckdb} == set(by_polars["agent_id"]) == set(by_pandas["agent_id"]) == ids


def test_every_column_is_in_the_manual() -> None:
    for dataset, schema in SCHEMAS.items():
        (chapter,) = re.findall(rf"^### {dataset}$(.*?)(?=^##)", MANUAL, re.S | re.M)
        first_cells = re.findall(r"^\| (`.*?) \|", chapter, re.M)
        named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
        assert named == set(schema.names), dataset
