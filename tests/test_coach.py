"""A trainer's pack for one agent: calls that show it, their sound, goals that are followed, hostile names."""

import base64
import io
import json
import os
import re
import stat
import sys
import wave
from datetime import date
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from msgspec.structs import replace
from ruamel.yaml import YAML
from stub_calls import CLEAR, result, source

from wellheard import cli
from wellheard.pipeline import audio
from wellheard.pipeline.morning import clips, coaching, examples, standing
from wellheard.pipeline.morning.standing import Goal
from wellheard.pipeline.records import Absence, CallInfo, CallResult, Evidence, Failure, Source, Turn, Word
from wellheard.pipeline.store import Results

TODAY = date.today().isoformat()
RATE = 8000
HOSTILE = '<script>alert("1")</script>\x1b]0;owned\x07 {{ 7 * 7 }} \u202egnp.exe'


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


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


def record(path: Path, seconds: float = 60, tone_hz: float = 440) -> Path:
    """A recording whose second second, third second … each hold another loudness."""
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.sin(2 * np.pi * tone_hz * time) * 20000 * (1 + np.floor(time) % 10) / 10
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())
    return path


def audio_id(path: Path) -> str:
    """What the recording is known by."""
    return _audio_id(str(path), path.stat().st_mtime_ns)


@cache
def _audio_id(path: str, _changed: int) -> str:
    return audio.decode(Source(paths=(path,), info=CallInfo(call_id="x"))).audio_id


WORDS = (
    "agent 0 Hello, this is Anna.",
    "customer 10 My father has died.",
    "agent 13 Your number please?",
    "customer 30 Four one one.",
    "agent 50 Goodbye.",
)


def spoken(*lines: str) -> tuple[Turn, ...]:
    turns = []
    for line in lines:
        speaker, start, text = line.split(" ", 2)
        words = tuple(
            Word(
                start_s=float(start) + i * 0.5, end_s=float(start) + i * 0.5 + 0.4, text=word, probability=0.9
            )
            for i, word in enumerate(text.split())
        )
        turns.append(Turn(speaker=speaker, words=words))
    return tuple(turns)


def call(number: int, agent: str, empathy: str, path: Path | None = None, lines=WORDS, **info) -> CallResult:
    """A call in which the agent did or did not take up that the father has died, at 0:13."""
    of = source(number, agent, **info)
    plain = result(of, turns=len(lines))
    words = Evidence(start_s=13.0, end_s=14.9, speaker="agent", quote="Your number please?")
    belonged = Absence(start_s=10.0, end_s=50.0, nearest=(words,), intelligible=0.9)
    mark = replace(
        plain.scorecard.marks[0],
        criterion="empathy",
        answer=empathy,
        leaning=empathy,
        reason="Nothing like it was heard.",
        evidence=(words,) if empathy == "yes" else (),
        absence=belonged if empathy == "no" else None,
    )
    return replace(
        plain,
        paths=(str(path),) if path else of.paths,
        audio_id=audio_id(path) if path else "gone",
        conversation=replace(plain.conversation, turns=spoken(*lines)),
        clarity=replace(plain.clarity, turns=(CLEAR,) * len(lines)),
        scorecard=replace(plain.scorecard, marks=(mark,), scores={"pec": float(empathy == "yes")}),
    )


def store(folder: Path, *results: CallResult, failures: tuple[Failure, ...] = ()) -> Path:
    with Results(folder).writer(ZoneInfo("UTC"), print) as writer:
        for one in results:
            writer.add(one)
        for failure in failures:
            writer.fail(failure)
    return folder


def team(folder: Path, agent: str = "A1", recording: Path | None = None, **info) -> list[CallResult]:
    """A1 fails to show empathy in 15 of 16 calls, five colleagues fail in four of 16."""
    of_agent = [call(i, agent, "no" if i else "yes", recording, agent_name="Anna", **info) for i in range(16)]
    others = [
        call(100 * who + i, f"B{who}", "yes" if i % 4 else "no", recording)
        for who in range(1, 6)
        for i in range(16)
    ]
    return [*of_agent, *others]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recordings") / "call.wav")


@pytest.fixture(scope="module")
def results(tmp_path_factory, recording):
    """One night, with recordings. Only read: whoever stores makes a folder of their own."""
    return store(tmp_path_factory.mktemp("results"), *team(recording.parent, recording=recording))


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def pack(run, results: Path, target: Path, *more: str, agent: str = "A1") -> Page:
    code, _, err = run("coach", "--agent", agent, "--results", results, "--html", target, *more)
    assert (code, "Traceback" in err) == (0, False), err
    return Page(target.read_text(encoding="utf-8"))


# --- the pack


def test_a_weak_spot_comes_with_calls_that_show_it_and_one_done_well(run, results):
    code, out, _ = run("coach", "--agent", "A1", "--results", results)
    assert code == 0
    assert out.index("What to work on") < out.index("pec.empathy") < out.index("What goes well")
    assert out.count("  no: call c0") == 3
    assert out.count("done well: call c00") == 1
    assert re.search(r"done well: call c00\d+ of B[1-5], 2025-02-19 at 0:0\d", out)


def test_the_words_of_the_stretch_are_quoted_with_their_seconds_and_what_gave_occasion(run, results):
    out = run("coach", "--agent", "A1", "--results", results)[1]
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    assert ["0:10", "customer", "My father has died."] in lines
    assert ["0:13", "agent", "Your number please?"] in lines
    assert not any("Four one one" in " ".join(line) for line in lines)


def test_the_rows_hold_the_same_for_programs(run, results):
    (row,) = json.loads(run("coach", "--agent", "A1", "--results", results, "--format", "json")[1])
    assert (row["criterion"], row["verdict"]) == ("empathy", "weaker than the team")
    assert [example["shows"] for example in row["examples"]] == ["example"] * 3 + ["done well"]
    assert row["examples"][0]["lines"][0] == {
        "start_s": 10.0,
        "speaker": "customer",
        "text": "My father has died.",
    }
    assert (row["goal_date"], row["past_asked"]) == (None, 0)


def test_an_own_call_is_the_good_example_where_no_colleague_has_one(tmp_path):
    own = [call(i, "A1", "no" if i % 12 else "yes") for i in range(36)]
    folder = store(tmp_path, *own, *(call(100 + i, "B1", "unsure") for i in range(3)))
    found = examples.find(
        Results(folder),
        standing.read(Results(folder), "A1"),
        "A1",
        None,
        [examples.Wanted("pec", "empathy", "yes", 1, of_colleagues=True)],
    )
    assert [one.agent_id for one in found[0]] == ["A1"]


def test_a_good_example_is_in_the_language_of_the_agents_calls(tmp_path):
    def russian(of: CallResult) -> CallResult:
        return replace(of, conversation=replace(of.conversation, language="ru"))

    own = [russian(call(i, "A1", "no")) for i in range(5)]
    others = [call(100 + i, "B1", "yes") for i in range(5)]
    folder = store(tmp_path, *own, *others, russian(call(200, "B1", "yes")))
    wanted = [examples.Wanted("pec", "empathy", "yes", 1, of_colleagues=True)]
    (found,) = examples.find(Results(folder), standing.read(Results(folder), "A1"), "A1", None, wanted)
    assert [one.call_id for one in found] == ["c00200"]


# --- stretches and clips


def turn(speaker: str, start_s: float, end_s: float) -> dict:
    return {"speaker": speaker, "start_s": start_s, "end_s": end_s, "text": "…", "words": None}


def test_a_stretch_begins_with_what_gave_occasion_and_is_twenty_seconds_at_most():
    mark = {"evidence": [{"start_s": 30.0, "end_s": 34.0, "speaker": "agent", "quote": "…"}], "absence": None}
    near = [turn("customer", 24.0, 29.5), turn("agent", 30.0, 34.0)]
    far = [turn("customer", 2.0, 29.5), turn("agent", 30.0, 34.0)]
    assert examples.stretch(mark, near, 60.0) == pytest.approx((23.7, 35.0))
    assert examples.stretch(mark, far, 60.0) == pytest.approx((28.5, 35.0))
    long = {"evidence": [{"start_s": 1.0, "end_s": 99.0, "speaker": "agent", "quote": "…"}], "absence": None}
    assert examples.stretch(long, [], 120.0) == (0.0, 20.0)


def test_what_is_missing_is_heard_where_it_came_nearest_else_where_it_belonged():
    nearest = {"start_s": 50.0, "end_s": 52.0, "speaker": "agent", "quote": "…"}
    absence = {"start_s": 10.0, "end_s": 90.0, "nearest": [nearest], "intelligible": 0.9}
    assert examples.stretch({"evidence": [], "absence": absence}, [], 99.0) == (48.5, 53.0)
    assert examples.stretch({"evidence": [], "absence": {**absence, "nearest": []}}, [], 99.0) == (8.5, 28.5)
    assert examples.stretch({"evidence": [], "absence": None}, [], 99.0) is None


def test_words_outside_the_stretch_are_left_out_and_the_cut_is_shown():
    words = [{"start_s": float(i), "end_s": i + 0.5, "text": f"w{i}"} for i in range(10)]
    long = {"speaker": "agent", "start_s": 0.0, "end_s": 9.5, "text": "…", "words": words}
    (line,) = examples.lines([long], 3.6, 6.2)
    assert (line.start_s, line.text, line.cut) == (4.0, "w4 w5 w6", (True, True))


def test_a_clip_is_those_seconds_of_the_recording(recording):
    sound = clips.open_recording("c", [str(recording)], audio_id(recording))
    clip = clips.cut(sound, 4.0, 6.0)
    with av.open(io.BytesIO(clip)) as container:
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert heard.size / 16000 == pytest.approx(2.0, abs=0.15)
    loudness = [float(np.abs(part).max()) for part in np.split(heard[2000:-2000][:24000], 2)]
    assert loudness[1] / loudness[0] == pytest.approx(6 / 5, abs=0.1)
    assert len(clip) < 12_000


def test_a_clip_is_never_longer_than_twenty_seconds(recording):
    sound = clips.open_recording("c", [str(recording)], audio_id(recording))
    with av.open(io.BytesIO(clips.cut(sound, 0.0, 60.0))) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) / 16000 < 20.3


def test_both_parties_of_a_recording_are_heard(tmp_path):
    with wave.open(str(tmp_path / "two.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        time = np.arange(10 * RATE) / RATE
        left, right = (
            np.sin(2 * np.pi * hz * time) * 9000 * on for hz, on in ((300, time < 5), (700, time >= 5))
        )
        file.writeframes(np.stack([left, right], axis=1).astype("<i2").tobytes())
    path = tmp_path / "two.wav"
    sound = clips.open_recording("c", [str(path)], audio_id(path))
    with av.open(io.BytesIO(clips.cut(sound, 3.0, 7.0))) as container:
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert all(np.abs(heard[int(at * 16000) :][:8000]).max() > 0.15 for at in (0.5, 3.0))


# --- the page


def test_the_page_holds_the_sound_and_needs_no_network(run, results, tmp_path):
    page = pack(run, results, tmp_path / "a.html")
    sounds = [attributes["src"] for tag, attributes in page.tags if tag == "audio"]
    assert len(sounds) == 4
    for sound in sounds:
        kind, _, data = sound.partition(",")
        assert kind == "data:audio/mpeg;base64"
        with av.open(io.BytesIO(base64.b64decode(data))) as container:
            assert 3 < sum(frame.samples for frame in container.decode(audio=0)) / 16000 <= 20.3
    assert not re.search(r"https?://|url\(", (tmp_path / "a.html").read_text())
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; media-src data:"
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o600


def test_the_page_names_criteria_and_speaks_russian_too(run, results, tmp_path):
    english = pack(run, results, tmp_path / "en.html")
    russian = pack(run, results, tmp_path / "ru.html", "--language", "ru")
    assert "Shows empathy" in english.text
    assert "What to work on" in english.text
    assert "Проявляет сочувствие" in russian.text
    assert "Над чем работать" in russian.text
    assert "My father has died." in russian.text
    assert "weaker than the team" not in russian.text


def test_all_texts_are_there_in_both_languages_with_the_same_names():
    texts = YAML(typ="safe").load(ROOT / "views" / "coach" / "texts.yaml")
    for key, text in texts.items():
        assert set(text) == {"en", "ru"}, key
        names = [set(re.findall(r"{(\w+)}", str(text[language]))) for language in ("en", "ru")]
        assert names[0] == names[1], key


def test_hostile_names_and_words_are_text(run, tmp_path):
    lines = (f"agent 0 {HOSTILE}", f"customer 10 {HOSTILE}", f"agent 13 {HOSTILE}")
    of_agent = [call(i, HOSTILE, "no", lines=lines, agent_name=HOSTILE, team=HOSTILE) for i in range(16)]
    others = [
        call(100 * who + i, f"B{who}", "yes", lines=lines, agent_name=HOSTILE, team=HOSTILE)
        for who in range(1, 6)
        for i in range(16)
    ]
    folder = store(tmp_path, *of_agent, *others)
    page = pack(run, folder, tmp_path / "a.html", agent=HOSTILE)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert '<script>alert("1")</script>' in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\\x1b]0;owned\\x07" in page.text
    assert not set("\x1b\x07\u202e") & set((tmp_path / "a.html").read_text())
    for command in ("coach", "weak-spots"):
        out = run(command, "--agent", HOSTILE, "--results", folder)[1]
        assert "\x1b" not in out
        assert "<script>" in out


def test_a_recording_that_is_gone_is_said_and_the_words_are_still_quoted(run, tmp_path):
    gone = record(tmp_path / "moved.wav")
    folder = store(tmp_path / "results", *team(tmp_path, recording=gone))
    gone.unlink()
    page = pack(run, folder, tmp_path / "a.html")
    assert not any(tag == "audio" for tag, _ in page.tags)
    assert page.text.count(f"No sound: The recording is no longer at {gone}") == 4
    assert "My father has died." in page.text


def test_another_recording_in_its_place_is_not_played(run, tmp_path):
    path = record(tmp_path / "call.wav")
    folder = store(tmp_path / "results", *team(tmp_path, recording=path))
    record(path, tone_hz=700)
    page = pack(run, folder, tmp_path / "a.html")
    assert not any(tag == "audio" for tag, _ in page.tags)
    assert f"Another recording lies at {path} now" in page.text


# --- goals


@pytest.fixture
def folder(tmp_path):
    return store(tmp_path / "results", *team(tmp_path))


def agreed(folder: Path) -> list[dict]:
    return Results(folder).table("coaching").to_pylist()


def test_a_goal_is_kept_and_followed_by_the_next_pack(run, folder):
    code, out, _ = run("coach", "--agent", "A1", "--results", folder, "--plan", "empathy", "--target", "70%")
    assert code == 0
    kept = {"agent_id": "A1", "date": TODAY, "rubric": "pec", "criterion": "empathy", "target": 0.7}
    assert agreed(folder) == [kept]
    assert "Since we last spoke" in out
    store(folder, *(call(50 + i, "A1", "yes", day="2099-01-01") for i in range(20)))
    (row, *_) = json.loads(run("coach", "--agent", "A1", "--results", folder, "--format", "json")[1])
    assert (row["goal_target"], row["goal_before_yes"], row["goal_before_asked"]) == (0.7, 1, 16)
    assert (row["goal_asked"], row["goal_moved"], row["goal_state"]) == (20, "better than before", "reached")


@pytest.mark.parametrize(
    ("plan", "target", "target_kept"),
    [("pec.empathy", "0.7", 0.7), ("empathy", "70 %", 0.7), ("empathy", "1", 1.0)],
)
def test_criterion_and_target_are_taken_as_people_write_them(plan, target, target_kept):
    found = coaching.goal(date(2025, 2, 19), plan, target, [("pec", "empathy"), ("script", "name")])
    assert found == Goal("2025-02-19", "pec", "empathy", target_kept)


@pytest.mark.parametrize(
    ("plan", "target", "said"),
    [
        ("sympathy", "70%", "There are: pec.empathy, pec.name, script.name."),
        ("name", "70%", "Say which: pec.name, script.name."),
        ("empathy", "70", "Write 70% or 0.7."),
        ("empathy", "much", "Write 70% or 0.7."),
        ("empathy", "nan", "Write 70% or 0.7."),
        ("empathy", "0", "Write 70% or 0.7."),
    ],
)
def test_what_cannot_be_agreed_upon_is_one_line(plan, target, said):
    known = [("pec", "empathy"), ("pec", "name"), ("script", "name")]
    with pytest.raises(coaching.UnclearGoal, match=re.escape(said)):
        coaching.goal(date(2025, 2, 19), plan, target, known)


def test_a_goal_needs_a_criterion_and_a_target(run, folder):
    for half in (["--plan", "empathy"], ["--target", "70%"]):
        assert run("coach", "--agent", "A1", "--results", folder, *half)[0] == 2
    assert agreed(folder) == []


def test_a_goal_set_anew_on_the_same_day_replaces_the_old_one_and_others_stay(folder):
    stored = Results(folder)
    for agent, criterion, target in (("A1", "empathy", 0.5), ("B1", "empathy", 0.6), ("A1", "empathy", 0.7)):
        coaching.agree(stored, agent, Goal(TODAY, "pec", criterion, target))
    assert [(row["agent_id"], row["target"]) for row in agreed(folder)] == [("A1", 0.7), ("B1", 0.6)]


def test_of_goals_agreed_anew_each_ends_with_the_next(folder):
    stored = Results(folder)
    for day in ("2025-03-01", "2025-05-01", "2025-04-01"):
        coaching.agree(stored, "A1", Goal(day, "pec", "empathy", 0.7))
    found = [(goal.day, goal.until) for goal in coaching.goals(stored, "A1")]
    assert found == [("2025-05-01", None), ("2025-04-01", "2025-05-01"), ("2025-03-01", "2025-04-01")]


def test_scoring_leaves_goals_as_they_are_and_they_wait_for_no_scoring(folder):
    stored = Results(folder)
    with stored.writer(ZoneInfo("UTC"), print) as writer:  # holds the folder, as a night does
        coaching.agree(stored, "A1", Goal(TODAY, "pec", "empathy", 0.7))
        writer.add(call(1, "A1", "yes"))
    (path,) = (folder / "coaching").rglob("*.parquet")
    before = path.read_bytes()
    store(folder, call(2, "A1", "yes"), failures=(failure(),))
    assert path.read_bytes() == before


def test_goals_are_for_their_owner_alone(run, folder):
    run("coach", "--agent", "A1", "--results", folder, "--plan", "empathy", "--target", "70%")
    (path,) = (folder / "coaching").rglob("*.parquet")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert pq.ParquetFile(path).schema_arrow.names == ["agent_id", "rubric", "criterion", "target"]


# --- what is not there


def failure(agent: str = "A9") -> Failure:
    return Failure(call_id="x", agent_id=agent, path="/x.wav", stage="ingest", reason="no sound", advice="…")


@pytest.mark.parametrize("command", ["coach", "weak-spots"])
def test_an_agent_without_calls_is_one_line(run, tmp_path, command):
    folder = store(tmp_path, call(1, "A1", "yes"), failures=(failure(),))
    code, out, err = run(command, "--agent", "nobody", "--results", folder)
    assert (code, out) == (2, "")
    assert err == "error: There are no scored calls of agent nobody. `wellheard agents` shows all agents.\n"
    assert "A9; 1 could not be scored" in run(command, "--agent", "A9", "--results", folder)[2]


@pytest.mark.parametrize("command", ["coach", "weak-spots"])
def test_calls_without_an_answer_are_said(run, tmp_path, command):
    folder = store(tmp_path, call(1, "A1", "na"), call(2, "A2", "yes"))
    code, out, _ = run(command, "--agent", "A1", "--results", folder)
    assert code == 0
    assert "No criterion was answered yes or no in these calls." in out


def test_calls_without_an_answer_still_make_a_page(run, tmp_path):
    folder = store(tmp_path, call(1, "A1", "na"), call(2, "A2", "yes"))
    assert "No criterion was answered yes or no" in pack(run, folder, tmp_path / "a.html").text


def test_a_page_for_an_agent_alone(run, tmp_path):
    folder = store(tmp_path, call(1, "A1", "no"), call(2, "A1", "yes"))
    page = pack(run, folder, tmp_path / "a.html")
    assert "there is nobody to compare with" in page.text
    assert "no team to compare with" in page.text


def test_a_period_without_calls_is_one_line(run, folder):
    code, out, err = run("coach", "--agent", "A1", "--results", folder, "--since", "2030-01-01")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: There are no calls of agent A1 since 2030-01-01; the last is of 2025-02-19."
    )


def test_calls_whose_words_are_gone_are_still_named(run, folder, tmp_path):
    for path in [*(folder / "turns").rglob("*.parquet")]:
        path.unlink()
    page = pack(run, folder, tmp_path / "a.html")
    assert "The words of this call are not stored." in page.text
