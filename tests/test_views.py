"""What people and programs are shown: names as they are, numbers that are numbers, times one can go to."""

import csv
import io
import json
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dialogues import dialogue
from msgspec.structs import replace
from rich.console import Console
from stub_calls import CLEAR

from wellheard.pipeline.agents import summarise
from wellheard.pipeline.batch import Failed, Outcome, Scored, Started
from wellheard.pipeline.datasets import SCHEMAS
from wellheard.pipeline.errors import CannotWrite
from wellheard.pipeline.records import CallClarity, CallInfo, Failure, clock
from wellheard.views import agents as agents_view
from wellheard.views import dialogue as dialogue_view
from wellheard.views import night as night_view
from wellheard.views.files import write_text, write_whole
from wellheard.views.progress import Tally, duration, progress
from wellheard.views.screen import percent, plain, screen, visible
from wellheard.views.tables import Format, NoPlaceForParquet, as_csv, as_json, give


def page(encoding: str = "utf-8", width: int = 100) -> Console:
    """A console without a terminal that keeps what it is given."""
    console = screen(io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="readable"))
    console.width = width
    return console


def written(console: Console) -> str:
    console.file.flush()
    return console.file.buffer.getvalue().decode()


# --- names on the screen


@pytest.mark.parametrize(
    "name", ["call [urgent] 12.wav", "note [/b].wav", "[red]Anna", ":smile:", "Żaneta Łuczak"]
)
def test_names_appear_letter_for_letter(name):
    console = page()
    console.print(plain(name))
    assert written(console) == f"{name}\n"


def test_characters_that_steer_a_terminal_are_shown_and_do_nothing():
    assert visible("\x1b]0;owned\x07 a\rb \u202egnp.exe") == "\\x1b]0;owned\\x07 a\\rb \\u202egnp.exe"


def test_letters_of_every_language_stay():
    assert visible("Иванова, Żółć, ăîșț, 你好, 👍") == "Иванова, Żółć, ăîșț, 你好, 👍"


def test_a_terminal_that_knows_only_ascii_gets_escapes_and_no_error():
    console = page("ascii")
    console.print(plain("Żaneta – 12 “é” … \udcff"))
    assert written(console) == '\\u017baneta - 12 "\\xe9" ... \\udcff\n'


def test_a_name_longer_than_the_screen_is_folded_not_cut():
    console = page(width=20)
    console.print(plain("x" * 50))
    assert written(console).replace("\n", "") == "x" * 50


def test_times_are_minutes_and_seconds():
    assert [clock(s) for s in (0, 59.99, 61, 3600, -0.1)] == ["0:00", "0:59", "1:01", "1:00:00", "0:00"]


def test_nothing_counted_is_neither_zero_nor_a_hundred():
    assert [percent(p) for p in (None, float("nan"), 0, 0.834, 1)] == ["–", "–", "0 %", "83 %", "100 %"]


# --- rows for programs

ROWS = pa.Table.from_pylist(
    [
        {"agent": "007", "score": 0.5, "calls": [{"call_id": "a", "at_s": float("nan")}]},
        {"agent": "=cmd()", "score": float("nan"), "calls": []},
        {"agent": "+7", "score": -0.25, "calls": None},
        {"agent": "Żółć\x1b[2J", "score": None, "calls": None},
    ]
)


def test_json_holds_no_bare_nan():
    rows = json.loads(as_json(ROWS), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["score"] for row in rows] == [0.5, None, -0.25, None]
    assert rows[0]["calls"] == [{"call_id": "a", "at_s": None}]
    assert rows[3]["agent"] == "Żółć\x1b[2J"


def test_csv_keeps_ids_and_no_cell_is_a_formula():
    rows = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert [row["agent"] for row in rows] == ["007", "'=cmd()", "'+7", "Żółć\\x1b[2J"]
    assert [row["score"] for row in rows] == ["0.5", "", "-0.25", ""], "a negative number is no formula"
    assert json.loads(rows[0]["calls"]) == [{"call_id": "a", "at_s": None}]


def test_parquet_keeps_rows_and_types(tmp_path):
    give(ROWS, Format.PARQUET, tmp_path / "rows.parquet", lambda console: None)
    assert pq.read_table(tmp_path / "rows.parquet").schema.equals(ROWS.schema)


def test_parquet_needs_a_file():
    with pytest.raises(NoPlaceForParquet, match="--out"):
        give(ROWS, Format.PARQUET, None, lambda console: None)


def test_csv_in_a_file_is_read_right_by_spreadsheets_and_readers(tmp_path):
    give(ROWS, Format.CSV, tmp_path / "rows.csv", lambda console: None)
    assert (tmp_path / "rows.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8-sig") == as_csv(ROWS)


def test_json_on_a_terminal_that_knows_only_ascii_is_still_json(capsys, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr("sys.stdout", stdout)
    give(ROWS, Format.JSON, None, lambda console: None)
    stdout.flush()
    assert json.loads(stdout.buffer.getvalue())[3]["agent"] == "Żółć\x1b[2J"


def test_a_table_in_a_file_has_no_colours(tmp_path):
    give(
        ROWS, Format.TABLE, tmp_path / "rows.txt", lambda console: console.print(plain("[red]x", "bold red"))
    )
    assert (tmp_path / "rows.txt").read_text() == "[red]x\n"


# --- files


def test_files_are_for_their_owner_alone(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "a.txt").write_text("before")

    def breaks(stream):
        stream.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(tmp_path / "a.txt", breaks)
    assert (tmp_path / "a.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CannotWrite, match="nowhere"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")


def test_a_folder_is_not_taken_for_a_file(tmp_path):
    with pytest.raises(CannotWrite, match="is a folder"):
        write_text(tmp_path, "x")


# --- a dialogue

CALL = dialogue(
    "agent 0.5-2.0 Thank you for calling.",
    "customer 2.5-4.0 Hello, my [order] is late.",
    "agent 70.0-74.0 Let me look.",
    duration_s=75.0,
)


def test_a_dialogue_shows_time_speaker_and_words():
    console = page()
    faint = replace(CLEAR, grade="fair", faults=("quiet", "noisy"))
    clarity = CallClarity(grade="fair", speakers={"agent": CLEAR, "customer": faint}, turns=())
    dialogue_view.show(console, CallInfo(call_id="c1", agent_id="007"), CALL, clarity)
    lines = [line.split() for line in written(console).splitlines()]
    assert ["0:02", "customer", "Hello,", "my", "[order]", "is", "late."] in lines
    assert ["1:10", "agent", "Let", "me", "look."] in lines
    assert lines[-1] == ["To", "be", "heard:", "agent", "good;", "customer", "fair", "(quiet,", "noisy)"]


def test_a_vocabulary_that_does_not_fit_is_said_in_one_line():
    console = page()
    night_view.show_vocabulary(console, [f"Product number {number}" for number in range(1000, 4500)])
    night_view.show_vocabulary(console, ["Brightline", "KX-200"])
    assert written(console).splitlines() == [
        "Of 3,500 names in the vocabulary, 10 are used: the first 220 characters, none longer than 60."
    ]


def test_the_json_of_a_dialogue_has_exactly_the_promised_names():
    document = json.loads(dialogue_view.as_json(CALL))
    assert list(document) == ["language", "duration_s", "turns"]
    assert list(document["turns"][1]) == ["speaker", "start_s", "end_s", "text", "words"]
    assert document["turns"][1]["words"][0] == {
        "start_s": 2.5,
        "end_s": 2.8,
        "word": "Hello,",
        "probability": 0.9,
    }


def test_rttm_has_ten_fields_and_no_time_beyond_the_end():
    call = dialogue("agent 0-4 one two three four", duration_s=3.5)
    assert dialogue_view.as_rttm(call, "Anna 12\t[x]") == (
        "SPEAKER Anna_12\\t[x] 1 0.000 3.500 <NA> <NA> agent <NA> <NA>\n"
    )


def test_rttm_leaves_out_the_pauses_inside_a_turn():
    turn = dialogue("agent 0-2 wait please", "agent 22-23 thanks").turns
    joined = replace(turn[0], words=turn[0].words + turn[1].words)
    lines = dialogue_view.as_rttm(replace(CALL, turns=(joined,)), "x").splitlines()
    assert [line.split()[3:5] for line in lines] == [["0.000", "2.000"], ["22.000", "1.000"]]


def test_subtitles_are_numbered_timed_and_short_enough_to_read():
    call = dialogue("agent 0-20 " + " ".join(["word"] * 60), "customer 3599.5-3601 yes")
    blocks = dialogue_view.as_srt(call).split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [str(n + 1) for n in range(len(blocks))]
    assert blocks[-1].splitlines()[1:] == ["00:59:59,500 --> 01:00:01,000", "Customer: yes"]
    assert all(len(block.splitlines()[2]) <= len("Customer: ") + 84 for block in blocks)
    assert sum(block.count("word") for block in blocks) == 60


# --- agents


def days_of(*scored: tuple[str, list[float | None]]) -> pa.Table:
    """Rows of the dataset `agents`, made of such calls."""
    days = summarise(calls_of(*scored), SCHEMAS["marks"].empty_table())
    return pa.Table.from_pylist(days, schema=SCHEMAS["agents"])


def calls_of(*scored: tuple[str, list[float | None]]) -> pa.Table:
    """Rows of the dataset `calls`: for each agent the scores of the calls, one a call."""
    return pa.Table.from_pylist(
        [
            {
                "call_id": f"{agent}-{i}",
                "agent_id": agent,
                "agent_name": f"name {i}",
                "date": f"2025-02-{i % 7 + 1:02}",
                "team": None,
                "region": None,
                "started_at": i,
                "duration_s": 1800.0,
                "scores": [{"rubric": "pec", "score": score, "counted": 3, "unsure": 1}],
            }
            for agent, scores in scored
            for i, score in enumerate(scores)
        ]
    )


def test_an_agents_score_is_the_mean_of_the_calls_that_have_one():
    (row,) = agents_view.agents(days_of(("A1", [0.5, 1.0, None]))).to_pylist()
    assert (row["calls"], row["pec_calls"], row["pec"]) == (3, 2, 0.75)
    assert (row["hours"], row["unsure"]) == (1.5, 0.25)
    assert row["agent_name"] == "name 2", "the last one told"


def test_the_interval_of_a_mean_is_students_with_the_spread_of_all_agents():
    one, two = agents_view.agents(days_of(("A1", [0.4, 0.6]), ("A2", [0.5]))).to_pylist()
    # One degree of freedom, t = 12.706, s = 0.1414: ± 1.27, kept between 0 and 1.
    assert (one["pec_low"], one["pec_high"]) == (0, 1)
    many = agents_view.agents(days_of(("A1", [0.4, 0.6] * 50), ("A2", [0.5]))).to_pylist()
    # 99 degrees of freedom, t = 1.984, s = 0.1005.
    assert many[0]["pec_high"] - many[0]["pec"] == pytest.approx(1.984 * 0.1005 / 10, abs=1e-4)
    assert many[1]["pec_high"] - many[1]["pec"] == pytest.approx(1.984 * 0.1005, abs=1e-4)
    assert two["pec"] == 0.5


def test_where_the_spread_cannot_be_told_there_is_no_interval():
    for scores in ([0.5], [0.5, 0.5], [None]):
        (row,) = agents_view.agents(days_of(("A1", scores))).to_pylist()
        assert (row["pec_low"], row["pec_high"]) == (None, None)


def test_a_summary_of_many_agents_shows_the_lowest_and_says_how_many_are_left_out():
    calls = calls_of(*((f"A{i:03}", [1 - i / 1000]) for i in range(500)))
    outcome = Outcome(calls=500, scored=500, failed=0, audio_s=9e5, wall_s=9e3, notes=(), interrupted=False)
    console = page()
    night_view.show_outcome(console, outcome, calls, [], Path("my results"))
    lines = written(console).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("A")] == [f"A{i}" for i in range(480, 500)]
    assert "480 agents more, with higher scores: wellheard agents --results 'my results'" in lines
    assert lines[-1] == "Done: 500 calls scored, 0 failed; 250.0 h of sound, 100x real time, in 2 h 30 min."


def test_many_failures_are_summed_up_too():
    failures = [
        Failure(
            call_id=f"c{i}",
            agent_id="a",
            path=f"/c/{i}.wav",
            stage="ingest",
            reason="empty",
            advice="Drop it.",
        )
        for i in range(500)
    ]
    outcome = Outcome(calls=500, scored=0, failed=500, audio_s=0, wall_s=1, notes=(), interrupted=True)
    console = page()
    night_view.show_outcome(console, outcome, calls_of(), failures, Path("results"))
    lines = written(console).splitlines()
    assert "  c0 (/c/0.wav): empty. Drop it." in lines
    assert "  … and 480 more, in results/failures" in lines
    assert lines[-1].startswith("Stopped early: 0 calls scored, 500 failed")
    assert len(lines) < 30


# --- progress


def test_progress_without_a_terminal_is_a_line_every_five_minutes():
    now = iter(range(0, 10_000, 100))
    console, tally = page(), Tally(began=0)
    with progress(console, tally, lambda: next(now)) as on_event:
        on_event(Started(calls=20, jobs=2))
        for i in range(20):
            on_event(Scored(path="x", call_id=str(i), audio_s=600.0))
    lines = written(console).splitlines()
    assert 3 <= len(lines) <= 10
    assert "\r" not in written(console)
    assert "\x1b" not in written(console)
    assert "h of sound" in lines[-1]


def test_a_progress_line_tells_calls_failures_sound_speed_and_time_left():
    tally = Tally(began=0)
    tally.take(Started(calls=1000, jobs=2))
    for i in range(99):
        tally.take(Scored(path="x", call_id=str(i), audio_s=600.0))
    tally.take(Failed(Failure(call_id="c", agent_id="a", path="p", stage="ingest", reason="r", advice="a")))
    assert tally.line(now=3600.0) == (
        "100 of 1,000 calls, 1 failed, 16.5 h of sound, 16x real time, 9 h 00 min left"
    )


def test_lengths_of_time_in_the_units_that_matter():
    assert [duration(s) for s in (0.4, 59, 65, 3599, 3600, 45_000)] == [
        "0 s",
        "59 s",
        "1 min 05 s",
        "59 min 59 s",
        "1 h 00 min",
        "12 h 30 min",
    ]
