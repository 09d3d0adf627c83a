"""Searching turns: by words first, then by meaning, with the call, the second, who, and how near."""

import csv
import io
import json
import sqlite3
import stat

import numpy as np
import pytest
from asked_results import CommandLine, call, store
from rich.console import Console

from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline.errors import NoResults
from wellheard.pipeline.morning import search as searching
from wellheard.pipeline.morning.search import NothingToFind, search
from wellheard.pipeline.morning.vectors import KeptVectors, key
from wellheard.pipeline.store import Results
from wellheard.views import search as view
from wellheard.views.screen import screen

ABOUT = ("cancel", "quit", "end"), ("parcel", "box", "delivery"), ("name", "called", "surname")


class ByTopic:
    """Stands in for the sentence encoder: texts that have words of the same topic are near."""

    fingerprint = "by-topic"

    def __init__(self, stop_after=None):
        self.read = []
        self._stop_after = stop_after

    def __call__(self, texts):
        if self._stop_after is not None and len(self.read) >= self._stop_after:
            raise KeyboardInterrupt
        self.read += texts
        vectors = np.zeros((len(texts), len(ABOUT)), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for place, words in enumerate(ABOUT):
                row[place] = any(word in text.split() for word in words)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True)
def no_everyday(monkeypatch):
    """Of the everyday turns two will do: neither is about anything."""
    monkeypatch.setattr(searching, "_EVERYDAY", ["good morning", "one moment please"])


CALLS = (
    call(
        1, "Hello, this is Ann, thank you for waiting so long.", "I would like to cancel. Cancel it, please."
    ),
    call(2, "What is your name?", "I want to quit your club, and soon.", agent_id="7", day="2025-02-20"),
    call(3, "The parcel is on its way now.", "The box never came, I said.", agent_id="7", day="2025-02-18"),
)


@pytest.fixture
def results(tmp_path):
    return store(tmp_path / "results", CALLS)


def hits(results, wanted, encoder=None, **options):
    found = search(results, wanted, encoder or ByTopic(), **options)
    return [(hit["found_by"], hit["call_id"], hit["turn"]) for hit in found.turns.to_pylist()]


# --- by words


def test_a_phrase_is_found_whatever_its_case_accents_and_punctuation(tmp_path):
    results = store(tmp_path, [call(1, "Dziękuję, Żaneta! Café-Bar?"), call(2, "Всё ещё не пришёл.")])
    for wanted in ("dziekuje zaneta", "DZIĘKUJĘ ŻANETA", "cafe bar"):
        assert hits(results, wanted) == [("phrase", "c00001", 0)]
    assert hits(results, "все еще не пришел") == [("phrase", "c00002", 0)]


def test_a_phrase_comes_before_what_is_only_like_it(tmp_path):
    lines = ("It was cancelled, my subscription.", "Cancel my subscription now.")
    results = store(tmp_path, [call(1, *lines)])
    found = search(results, "cancelled my subscription", ByTopic()).turns.to_pylist()
    assert [(hit["found_by"], hit["turn"]) for hit in found] == [("phrase", 0), ("words", 1)]
    assert found[0]["near"] == 1
    assert 0.85 <= found[1]["near"] < 1


def test_short_words_are_found_whole_or_not_at_all(tmp_path):
    results = store(tmp_path, [call(1, "The cat sat.", "The category is settled.")])
    assert hits(results, "cat") == [("phrase", "c00001", 0)]


def test_a_short_turn_is_not_like_a_long_phrase_that_it_lies_in(tmp_path):
    results = store(tmp_path, [call(1, "Cancel.", "I want it.")])
    assert hits(results, "I want to cancel my whole subscription today") == []


def test_the_second_is_that_of_the_words_not_of_the_turn(tmp_path):
    long = " ".join(["well"] * 100) + " I was charged twice. " + " ".join(["so"] * 100)
    results = store(tmp_path, [call(1, "Hello.", long)])
    for wanted in ("charged twice", "charged twise"):
        (hit,) = search(results, wanted, ByTopic()).turns.to_pylist()
        assert hit["at_s"] == 0.5 + 102 * 0.5
        assert "charged twice." in hit["quote"]
        assert len(hit["quote"]) <= searching.LONGEST_QUOTE
        assert hit["text"] == long.strip()


def test_of_equally_near_turns_the_newest_come_first_and_undated_ones_last(tmp_path):
    days = {1: "2025-02-18", 2: "2025-02-20", 3: "2025-02-19"}
    calls = [call(number, "Thank you.", day=day) for number, day in days.items()]
    calls.append(call(4, "Thank you.", started_at=None))
    found = hits(store(tmp_path, calls), "thank you")
    assert [call_id for _, call_id, _ in found] == ["c00002", "c00003", "c00001", "c00004"]


# --- by meaning


def test_what_is_meant_is_found_in_other_words(results):
    assert hits(results, "cancel") == [("phrase", "c00001", 1), ("meaning", "c00002", 1)]
    assert hits(results, "delivery") == [("meaning", "c00003", 0), ("meaning", "c00003", 1)]


def test_what_nobody_speaks_of_is_not_found(results):
    assert hits(results, "spaceship") == []


def test_of_turns_that_say_the_same_one_is_given(tmp_path):
    results = store(tmp_path, [call(number, "My box is late, you know.") for number in (1, 2, 3)])
    assert hits(results, "delivery") == [("meaning", "c00001", 0)]


def test_turns_of_one_or_two_words_have_no_meaning_of_their_own(tmp_path):
    assert hits(store(tmp_path, [call(1, "Box?", "The box.")]), "delivery") == []


def test_agent_and_speaker_narrow_the_search(results):
    assert hits(results, "cancel", agent_id="7") == [("meaning", "c00002", 1)]
    assert hits(results, "delivery", speaker="customer") == [("meaning", "c00003", 1)]
    assert hits(results, "cancel", agent_id="7", speaker="agent") == []


def test_most_counts_for_words_and_for_meaning(results):
    found = search(results, "the", ByTopic(), most=1)
    assert (found.turns.num_rows, found.by_words) == (1, 2)
    assert len(hits(results, "cancel", most=1)) == 2


def test_the_real_encoder_finds_the_same_thing_said_in_another_language(tmp_path, monkeypatch):
    lines = (
        "Я хочу отменить подписку.",
        "Could you spell your surname for me?",
        "What lovely weather we have.",
    )
    results = store(tmp_path, [call(1, *lines)])
    monkeypatch.undo()
    monkeypatch.setattr(searching, "_EVERYDAY", searching.EVERYDAY.read_text("utf-8").splitlines()[::35])
    found = search(results, "cancel the subscription", SentenceEncoder(threads=1)).turns.to_pylist()
    assert (found[0]["turn"], found[0]["found_by"]) == (0, "meaning")


# --- vectors are kept


def test_a_second_search_reads_nothing_but_the_question(results):
    search(results, "cancel", ByTopic())
    second = ByTopic()
    assert hits(results, "delivery", second) == [("meaning", "c00003", 0), ("meaning", "c00003", 1)]
    assert second.read == ["delivery"]


def test_what_is_kept_is_for_its_owner_alone_and_holds_no_words(results):
    search(results, "cancel", ByTopic())
    (file,) = (results.folder / ".wellheard" / "vectors").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for word in (b"cancel", b"parcel", b"Ann"):
        assert word not in file.read_bytes()


def test_a_search_that_is_stopped_shows_what_it_has_and_goes_on_from_there(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "_ENCODED_AT_ONCE", 1)
    lines = [f"That is the box number {number}." for number in range(10)]
    results = store(tmp_path, [call(1, *lines)])
    stopped = ByTopic(stop_after=2 + 1 + 4)  # the everyday, the question, four turns
    found = search(results, "delivery", stopped)
    assert (found.unread, found.turns.num_rows) == (6, 4)
    rest = ByTopic()
    assert len(hits(results, "delivery", rest)) == 10
    assert len(rest.read) == 1 + 6


def test_words_are_found_also_when_it_is_stopped_at_once(results):
    found = search(results, "cancel", ByTopic(stop_after=0))
    assert [hit["found_by"] for hit in found.turns.to_pylist()] == ["phrase"]
    assert found.unread == 6


def test_progress_tells_what_is_done_of_what_is_new(results):
    told = []
    search(results, "cancel", ByTopic(), on_progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)


def test_vectors_of_what_the_results_no_longer_hold_are_forgotten(tmp_path):
    results = store(tmp_path, [call(1, "The box is late, sir.")])
    search(results, "cancel", ByTopic())
    store(tmp_path, [call(1, "Another thing was said here.")])
    search(results, "cancel", ByTopic(), agent_id="007")
    assert _kept(results, "the box is late sir"), (
        "a search of one agent's calls does not know what others hold"
    )
    search(results, "cancel", ByTopic())
    assert not _kept(results, "the box is late sir")
    assert _kept(results, "another thing was said here")


def test_a_damaged_file_of_vectors_is_made_anew(results):
    search(results, "cancel", ByTopic())
    (file,) = (results.folder / ".wellheard" / "vectors").iterdir()
    file.write_bytes(b"no database at all" * 1000)
    assert len(hits(results, "cancel")) == 2
    assert _kept(results, "i want to quit your club and soon")


def test_a_file_damaged_in_its_middle_is_made_anew(results):
    vectors = KeptVectors(results.folder / ".wellheard" / "vectors", ByTopic.fingerprint)
    vectors.add({key(str(number)): np.ones(384, np.float32) for number in range(200)})
    vectors.close()
    (file,) = (results.folder / ".wellheard" / "vectors").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    assert len(hits(results, "cancel")) == 2
    assert len(hits(results, "cancel")) == 2


def test_vectors_of_another_model_are_not_used(results):
    search(results, "cancel", ByTopic())
    other = ByTopic()
    other.fingerprint = "another"
    search(results, "cancel", other)
    assert len(other.read) == 2 + 1 + 6
    assert [path.name for path in (results.folder / ".wellheard" / "vectors").iterdir()] == ["another.sqlite"]


def test_where_nothing_can_be_written_the_search_works_and_says_so(results, monkeypatch):
    def refuse(*_):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(KeptVectors, "_open", refuse)
    found = search(results, "cancel", ByTopic())
    assert [hit["found_by"] for hit in found.turns.to_pylist()] == ["phrase", "meaning"]
    assert not found.kept
    assert "reads all texts again" in " ".join(view.notes(found))


def test_vectors_are_kept_to_a_thousandth(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(5, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = KeptVectors(tmp_path, "model")
    kept.add({key(str(number)): vector for number, vector in enumerate(vectors)})
    kept.close()
    ((keys, found),) = KeptVectors(tmp_path, "model")
    assert set(keys) == {key(str(number)) for number in range(5)}
    for text, vector in zip(keys, found, strict=True):
        number = next(n for n in range(5) if key(str(n)) == text)
        assert abs(float(vector @ vectors[number]) - 1) < 0.001


def _kept(results, text):
    (file,) = (results.folder / ".wellheard" / "vectors").iterdir()
    with sqlite3.connect(file) as database:
        return database.execute("SELECT 1 FROM vectors WHERE text = ?", [key(text)]).fetchone() is not None


# --- on the command line


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setattr("wellheard.models.sentences.SentenceEncoder", lambda threads: ByTopic())
    return CommandLine(capsys, monkeypatch)


def test_people_see_call_second_who_words_and_how_near(run, results):
    code, out, err = run("search", "cancel", "--results", results.folder)
    assert (code, err) == (0, "")
    assert "By words" in out
    assert "By meaning" in out
    line = next(line for line in out.splitlines() if "c00001" in line)
    assert line.split()[:4] == ["100", "%", "c00001", "0:07"]
    assert "customer" in line


def test_rows_for_programs(run, results):
    _, out, _ = run("search", "cancel", "--results", results.folder, "--format", "json")
    first, second = json.loads(out)
    assert (first["found_by"], first["at_s"], first["speaker"]) == ("phrase", 7.0, "customer")
    assert (second["found_by"], second["agent_id"]) == ("meaning", "7")


def test_hostile_words_are_shown_as_text(run, tmp_path):
    results = store(tmp_path, [call(1, "=HYPERLINK(1) box \x1b]0;owned\x07 [red]box[/red] here")])
    _, out, _ = run("search", "box", "--results", results.folder)
    assert "\x1b" not in out
    assert "[red]box[/red]" in out
    _, out, _ = run("search", "box", "--results", results.folder, "--format", "csv")
    assert "\x1b" not in out
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["text"].startswith("'=HYPERLINK")


def test_nothing_found_is_said(run, results):
    code, out, _ = run("search", "spaceship", "--results", results.folder)
    assert code == 0
    assert out.count("nothing") == 2


def test_a_search_that_was_stopped_says_so_and_returns_3(run, results, monkeypatch):
    monkeypatch.setattr("wellheard.models.sentences.SentenceEncoder", lambda threads: ByTopic(stop_after=0))
    code, out, err = run("search", "cancel", "--results", results.folder)
    assert code == 3
    assert "c00001" in out
    assert err == "Stopped: 6 texts not yet read for meaning; search again to go on from there.\n"


@pytest.mark.parametrize("wanted", ["", "  ", "?!"])
def test_nothing_to_find_is_an_error(run, results, wanted):
    with pytest.raises(NothingToFind):
        search(results, wanted, ByTopic())
    assert run("search", wanted, "--results", results.folder)[0] == 2


def test_an_agent_without_calls_and_a_folder_without_results_are_said(results, tmp_path):
    with pytest.raises(NoResults, match="no turns of agent 99 said by the customer"):
        search(results, "cancel", ByTopic(), agent_id="99", speaker="customer")
    with pytest.raises(NoResults, match="holds no results"):
        search(Results(tmp_path / "nowhere"), "cancel", ByTopic())


def test_long_work_is_announced_with_its_length_and_short_work_is_not(monkeypatch):
    def said(seconds_a_text):
        now = [0.0]
        monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
        page = io.StringIO()
        console = Console(file=page, width=100)
        with view.reading(console) as on_progress:
            on_progress(0, 100_000)
            for done in (32, 64, 100_000):
                now[0] = done * seconds_a_text
                on_progress(done, 100_000)
        return page.getvalue()

    assert "100,000 texts are read for their meaning, once: about 16 min 40 s" in said(0.01)
    assert "Ctrl-C" in said(0.01)
    assert said(0.00001) == ""


def test_the_screen_says_how_many_more_there_are():
    rows = searching.SCHEMA.empty_table().to_pylist()
    row = dict.fromkeys(searching.SCHEMA.names, "x") | {
        "near": 1.0,
        "turn": 0,
        "at_s": 1.0,
        "found_by": "phrase",
    }
    turns = searching.pa.Table.from_pylist([*rows, row], searching.SCHEMA)
    page = io.StringIO()
    view.show(screen(page), searching.Found(turns, by_words=12, unread=0, kept=True))
    assert "12 turns, 1 of them shown; --most gives more" in page.getvalue()
