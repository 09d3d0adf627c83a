"""The workbook for Excel: dates are dates, text stays text, and nothing in it is executed."""

import csv
import io
import stat
import zipfile
from datetime import date, datetime

import openpyxl
import pytest
from asked_results import CommandLine, call, store
from msgspec.structs import replace
from rich.console import Console

from wellheard.pipeline.errors import CannotWrite, NoResults
from wellheard.pipeline.morning.period import NoPeriod
from wellheard.pipeline.records import Evidence, Failure
from wellheard.pipeline.store import Results
from wellheard.views import export as view
from wellheard.views import workbook
from wellheard.views.export import UnknownEnding, export

HOSTILE = (
    '=HYPERLINK("http://x")',
    "+1+1",
    "-1",
    "@SUM(A1)",
    "\x1b[2J\x00steer\x07",
    "_x0041_ \ud7ff",
    "<b>&amp;",
)


def marked(of, **answers):
    (mark, *_) = of.scorecard.marks
    proof = Evidence(start_s=65.4, end_s=67.0, speaker="agent", quote="=cmd() how may I help")
    marks = tuple(
        replace(mark, criterion=name, answer=answer, evidence=(proof,)) for name, answer in answers.items()
    )
    return replace(of, scorecard=replace(of.scorecard, marks=marks))


@pytest.fixture
def results(tmp_path):
    """Three calls on two days and one without a day; a failure on the first of them."""
    calls = [
        marked(
            call(1, "Hi.", agent_name="=Ann", team="Sales", extra={"queue": "north", "=x": "1"}),
            greets="yes",
            thanks="no",
        ),
        marked(call(2, "Hi.", agent_id="7", day="2025-02-20"), greets="unsure", recap="na"),
        marked(call(3, "Hi.", agent_id="7", started_at=None), greets="no"),
    ]
    failure = Failure(
        call_id="c9",
        agent_id="007",
        path="/x.wav",
        stage="ingest",
        reason="cut off",
        advice="Look.",
        started_at=datetime(2025, 2, 19, 12),
    )
    return store(tmp_path / "results", calls, [failure])


def written(results, tmp_path, **period):
    """The sheets as an Excel of another make reads them: rows of dicts."""
    export(results, tmp_path / "x.xlsx", **period)
    return read(tmp_path / "x.xlsx")


def read(path):
    sheets = {}
    for sheet in openpyxl.load_workbook(path).worksheets:
        header, *rows = sheet.iter_rows()
        names = [cell.value for cell in header]
        sheets[sheet.title] = [dict(zip(names, row, strict=True)) for row in rows]
    return sheets


def values(row):
    return {name: cell.value for name, cell in row.items()}


# --- what is in it


def test_there_is_a_sheet_for_each_thing_that_people_read(results, tmp_path):
    sheets = written(results, tmp_path)
    assert {name: len(rows) for name, rows in sheets.items()} == {
        "calls": 3,
        "agents": 2,
        "marks": 5,
        "failures": 1,
    }


def test_a_call_is_a_row_with_a_column_for_each_criterion(results, tmp_path):
    first, second, third = map(values, written(results, tmp_path)["calls"])
    assert (first["call_id"], first["agent_id"], first["team"]) == ("c00001", "007", "Sales")
    assert (first["pec.greets"], first["pec.thanks"], first["pec.recap"]) == ("yes", "no", None)
    assert (second["pec.greets"], second["pec.recap"]) == ("unsure", "na")
    assert (first["pec score"], first["pec counted"]) == (0.5, 2)
    assert first["extra: queue"] == "north"
    assert (third["date"], third["started"]) == ("unknown", None)


def test_dates_are_dates_and_lengths_are_lengths(results, tmp_path):
    row = written(results, tmp_path)["calls"][0]
    assert row["date"].is_date
    assert row["date"].value == datetime(2025, 2, 19)
    assert row["started"].value == datetime(2025, 2, 19, 6, 1), "the wall clock of the house"
    assert row["duration"].number_format == "[h]:mm:ss"
    assert row["duration"].value.total_seconds() == pytest.approx(60.1, abs=0.01)


def test_ids_keep_their_zeros(results, tmp_path):
    row = written(results, tmp_path)["agents"][0]
    assert (row["agent_id"].value, row["agent_id"].data_type, row["agent_id"].number_format) == (
        "007",
        "s",
        "@",
    )


def test_no_score_of_an_agent_comes_without_its_interval(results, tmp_path):
    row = values(written(results, tmp_path)["agents"][0])
    assert list(row) == [
        *("agent_id", "agent_name", "team", "calls", "hours", "unsure", "corrected"),
        *("pec score", "pec from (95 %)", "pec to (95 %)", "pec calls"),
    ]
    assert row["pec score"] == 0.5


def test_a_mark_has_its_evidence_and_its_second(results, tmp_path):
    row = values(written(results, tmp_path)["marks"][0])
    assert (row["criterion"], row["answer"], row["who"]) == ("greets", "yes", "agent")
    assert row["at"].total_seconds() == pytest.approx(65.4, abs=0.5)
    assert row["quote"] == "=cmd() how may I help"


def test_headers_stay_in_sight_and_can_be_filtered(results, tmp_path):
    export(results, tmp_path / "x.xlsx")
    for sheet in openpyxl.load_workbook(tmp_path / "x.xlsx").worksheets:
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert all(column.width >= 8 for column in sheet.column_dimensions.values())
        assert sheet["A1"].font.bold


def test_a_period_leaves_the_other_days_out(results, tmp_path):
    sheets = written(results, tmp_path, first=date(2025, 2, 20), last=date(2025, 2, 28))
    assert [row["call_id"].value for row in sheets["calls"]] == ["c00002"]
    assert [len(sheets[name]) for name in ("agents", "marks", "failures")] == [1, 2, 0]
    assert "pec.thanks" not in sheets["calls"][0]


def test_one_bound_is_enough(results, tmp_path):
    assert len(written(results, tmp_path, first=date(2025, 2, 19))["calls"]) == 2
    assert len(written(results, tmp_path, last=date(2025, 2, 19))["calls"]) == 1


def test_the_file_is_for_its_owner_alone(results, tmp_path):
    export(results, tmp_path / "x.xlsx")
    assert stat.S_IMODE((tmp_path / "x.xlsx").stat().st_mode) == 0o600


# --- hostile texts


def test_texts_that_look_like_formulas_are_texts(tmp_path):
    calls = [call(number, "Hi.", team=text) for number, text in enumerate(HOSTILE)]
    rows = written(store(tmp_path / "results", calls), tmp_path)["calls"]
    assert {row["team"].data_type for row in rows} == {"s"}
    for row, text in zip(rows[:4], HOSTILE, strict=False):
        assert row["team"].value == text
        assert row["team"].quotePrefix, "it stays text also when somebody edits the cell"
    assert rows[4]["team"].value == "[2Jsteer"
    assert not any(cell.hyperlink for row in rows for cell in row.values())
    with zipfile.ZipFile(tmp_path / "x.xlsx") as book:
        assert not any(b"<f>" in book.read(name) for name in book.namelist())


def test_names_of_columns_are_texts_too(results, tmp_path):
    sheet = openpyxl.load_workbook(_export(results, tmp_path))["calls"]
    (cell,) = (cell for cell in sheet[1] if cell.value == "extra: =x")
    assert cell.data_type == "s"


def test_odd_characters_never_damage_the_file(tmp_path):
    text = (
        "".join(map(chr, [*range(0x20), 0x7F, 0x85, 0x2028, 0x202E, 0xFEFF, 0xFFFE, 0xFFFF])) + "Żółć 你好 👍"
    )
    rows = written(store(tmp_path / "results", [call(1, "Hi.", team=text)]), tmp_path)["calls"]
    assert rows[0]["team"].value == "\t\nŻółć 你好 👍"


def test_escapes_of_excel_are_left_as_they_were_written(tmp_path):
    rows = written(store(tmp_path / "results", [call(1, "Hi.", team="_x0041_")]), tmp_path)["calls"]
    assert openpyxl.utils.escape.unescape(rows[0]["team"].value) == "_x0041_"


# --- Excel's limits


def test_rows_beyond_excels_limit_are_counted_and_said(results, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 2)
    exported = export(results, tmp_path / "x.xlsx")
    assert exported.rows == {"calls": 2, "agents": 2, "marks": 2, "failures": 1}
    assert exported.left_out == [
        "calls: Excel takes 2 rows, 1 are left out",
        "marks: Excel takes 2 rows, 3 are left out",
    ]
    page = io.StringIO()
    view.show(Console(file=page, width=200), tmp_path / "x.xlsx", exported)
    assert (
        "Note: marks: Excel takes 2 rows, 3 are left out. Take fewer days with --from and --to."
        in page.getvalue()
    )


def test_columns_beyond_excels_limit_are_counted_and_said(results, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_COLUMNS", 20)
    assert any("columns" in line for line in export(results, tmp_path / "x.xlsx").left_out)


def test_a_text_longer_than_a_cell_is_cut_where_one_sees_it(tmp_path):
    rows = written(store(tmp_path / "results", [call(1, "Hi.", team="x" * 40_000)]), tmp_path)["calls"]
    assert len(rows[0]["team"].value) == 32_767
    assert rows[0]["team"].value.endswith("…")


def test_a_moment_before_excels_time_is_text(tmp_path):
    rows = written(store(tmp_path / "results", [call(1, "Hi.", day="1899-05-01")]), tmp_path)["calls"]
    assert rows[0]["date"].value == "1899-05-01"


# --- CSV


def test_csv_holds_the_calls(results, tmp_path):
    export(results, tmp_path / "x.csv")
    text = (tmp_path / "x.csv").read_text("utf-8")
    assert text.startswith("\ufeffcall_id,date,started,agent_id"), "the mark by which Excel knows UTF-8"
    first, _, third = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert (first["date"], first["started"], first["duration_s"]) == (
        "2025-02-19",
        "2025-02-19 06:01",
        "60.1",
    )
    assert (first["agent_name"], first["pec.thanks"]) == ("'=Ann", "no")
    assert third["date"] == ""


# --- what goes wrong


def test_days_without_anything_are_said_with_those_that_have_something(results, tmp_path):
    with pytest.raises(NoResults, match="2025-02-19 to 2025-02-20"):
        export(results, tmp_path / "x.xlsx", first=date(2024, 1, 1), last=date(2024, 2, 1))
    with pytest.raises(NoPeriod):
        export(results, tmp_path / "x.xlsx", first=date(2025, 2, 1), last=date(2025, 1, 1))
    with pytest.raises(NoResults):
        export(Results(tmp_path / "nowhere"), tmp_path / "x.xlsx")
    assert not (tmp_path / "x.xlsx").exists()


def test_only_xlsx_and_csv_are_written(results, tmp_path):
    with pytest.raises(UnknownEnding):
        export(results, tmp_path / "x.ods")
    with pytest.raises(CannotWrite):
        export(results, tmp_path / "nowhere" / "x.xlsx")


def test_half_a_night_gives_what_there_is(results, tmp_path):
    for file in (results.folder / "marks").rglob("*.parquet"):
        file.unlink()
    sheets = written(results, tmp_path)
    assert [len(sheets[name]) for name in ("calls", "marks")] == [3, 0]


def test_on_the_command_line(results, tmp_path, capsys, monkeypatch):
    run = CommandLine(capsys, monkeypatch)
    out = tmp_path / "x.xlsx"
    code, said, _ = run("export", "--results", results.folder, "--out", out, "--from", "2025-02-19")
    assert (code, said) == (0, f"{out}: 2 calls, 2 agents, 4 marks, 1 failure\n")
    assert run("export", "--results", results.folder, "--out", out, "--from", "yesterday")[0] == 2


def _export(results, tmp_path):
    export(results, tmp_path / "x.xlsx")
    return tmp_path / "x.xlsx"
