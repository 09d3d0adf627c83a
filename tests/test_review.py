"""The review page: who may see it, what it shows, what it keeps, and that nothing in it is more than text."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from calls_to_review import EMPATHY, LENGTH_S, call, marked, record, recorded, store
from msgspec.structs import replace
from starlette.testclient import TestClient
from stub_calls import source

from wellheard.pipeline.morning import audit, reviewers, reviews, to_review
from wellheard.pipeline.morning.corrected import Corrected
from wellheard.pipeline.morning.listening import Listening
from wellheard.pipeline.morning.reviews import Review
from wellheard.pipeline.records import CallResult, Evidence
from wellheard.pipeline.store import Results
from wellheard.rubrics import loader
from wellheard.views.review import app, page, server
from wellheard.views.review.guard import Keys
from wellheard.views.review.page import Questions

STATIC = Path(app.__file__).parent / "static"
HERE = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def hasty_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, so none waits for the disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


class Reviewer(TestClient):
    """One reviewer's browser, to whom the page was opened; or, without a token, anybody's."""

    def __init__(self, results: Path, name: str = "anna", *, opened: bool = True) -> None:
        self.keys = Keys(8000)
        samples = audit.samples(results)
        queue = to_review.read(Corrected(results), None, None, reversed(samples))
        sounds = results.parent / f"sounds of {uuid4().hex}"
        sounds.mkdir()
        questions = Questions(loader.for_training())
        made = app.application(results, queue, questions, name, self.keys, Listening(sounds))
        super().__init__(made, base_url=HERE)
        if opened:
            self.get("/", params={"token": self.keys.token})

    def mark(self, criterion: str, call_id: str = "c00001", how: str = "") -> str:
        """One mark as HTML."""
        marks = self.get(f"/marks?id={quote(call_id)}{how}").text.split("<article")
        (found,) = [mark for mark in marks if f"<h3>{criterion}" in mark]
        return found

    def answer(self, criterion: str, answer: str, comment: str = "", **asked: str) -> str:
        """Answer a mark, as the page does; the mark as it stands then."""
        call_id, how = asked.get("call_id", "c00001"), asked.get("how", "")
        seen = re.findall(r'data-seen="(\w+)"', self.mark(criterion, call_id, how))[0]
        body = {"id": uuid4().hex, "seen": seen, "answer": answer, "comment": comment}
        reply = self.post(f"/reviews?id={quote(call_id)}{how}", json=body, headers={"Origin": HERE})
        assert reply.status_code == 200, reply.text
        return reply.text


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Results with one call, whose recording is there."""
    spoken = recorded(call(1), record(tmp_path / "calls" / "1.wav"))
    return store(tmp_path / "results", spoken).folder


# Who may see it


def test_without_the_address_of_the_terminal_nothing_is_shown(night: Path) -> None:
    stranger = Reviewer(night, opened=False)
    for path in ("/", "/call?id=c00001", "/sound?id=c00001", "/static/review.js", "/?token=guessed"):
        refused = stranger.get(path)
        assert refused.status_code == 403
        assert "c00001" not in refused.text


def test_the_token_becomes_a_cookie_that_scripts_and_other_pages_do_not_get(night: Path) -> None:
    anna = Reviewer(night, opened=False)
    opened = anna.get("/", params={"token": anna.keys.token}, follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    assert re.fullmatch(
        r"wellheard-8000=[\w-]+; HttpOnly; Path=/; SameSite=strict", opened.headers["set-cookie"]
    )
    assert anna.keys.token not in opened.headers["set-cookie"]
    assert "c00001" in anna.get("/").text


def test_what_the_browser_was_started_with_opens_the_page_once(night: Path) -> None:
    anna = Reviewer(night, opened=False)
    once = anna.keys.once
    assert anna.get("/", params={"token": once}, follow_redirects=False).status_code == 303
    anna.cookies.clear()
    assert anna.get("/", params={"token": once}).status_code == 403


def test_a_name_that_was_made_to_lead_to_this_machine_is_refused(night: Path) -> None:
    assert Reviewer(night).get("/", headers={"Host": "evil.example:8000"}).status_code == 400


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1:9999", "null"])
def test_no_other_page_can_send_an_answer(night: Path, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    sent = Reviewer(night).post("/reviews?id=c00001", json={}, headers=headers)
    assert sent.status_code == 403
    assert reviews.read(night) == []


# What a page may do


class _Parsed(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: list[str] = []
        self.words: list[str] = []
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


PAGES = ("/", "/?show=all", "/call?id=c00001", "/call?id=c00001&blind=1", "/agreement", "/call?id=gone")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_comes_from_outside_and_no_script_stands_in_a_page(night: Path, path: str) -> None:
    shown = Reviewer(night).get(path)
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; style-src 'self' 'nonce-")
    assert "unsafe" not in policy
    assert (shown.headers["cache-control"], shown.headers["referrer-policy"]) == ("no-store", "no-referrer")
    html = _Parsed(shown.text)
    assert html.inline == []
    assert not [name for _, name, _ in html.attributes if name.startswith("on") or name == "style"]
    links = [value for _, name, value in html.attributes if name in ("href", "src", "action")]
    assert links
    assert all(re.match(r"/(?!/)", link) for link in links)


def test_every_answer_has_a_nonce_of_its_own(night: Path) -> None:
    anna = Reviewer(night)
    policies = {anna.get("/call?id=c00001").headers["content-security-policy"] for _ in range(2)}
    assert len(policies) == 2


def test_the_player_is_the_one_that_was_published() -> None:
    about = tomllib.loads((STATIC / "wavesurfer.toml").read_text())
    assert hashlib.sha256((STATIC / about["file"]).read_bytes()).hexdigest() == about["sha256"]
    assert "BSD 3-Clause" in (STATIC / "wavesurfer.LICENSE").read_text()


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&\x1b]0;owned\x07\u202e{{ 7*7 }}"


def test_names_words_and_comments_that_would_do_something_are_text(tmp_path: Path) -> None:
    info = {"agent_name": HOSTILE, "team": HOSTILE, "customer_segment": HOSTILE, "call_id": HOSTILE}
    odd = call(1, **info)
    said = Evidence(start_s=1.0, end_s=2.0, speaker="agent", quote=HOSTILE)
    bad = marked(
        odd.scorecard.marks[0], HOSTILE, "no", critical=True, rubric=HOSTILE, reason=HOSTILE, evidence=(said,)
    )
    odd = replace(odd, notes=(HOSTILE,), scorecard=replace(odd.scorecard, marks=(bad,)))
    store(tmp_path / "results", odd)
    anna = Reviewer(tmp_path / "results", HOSTILE)
    call_page = f"/call?id={quote(HOSTILE)}"
    seen = re.findall(r'data-seen="(\w+)"', anna.get(call_page).text)[0]
    body = {"id": uuid4().hex, "seen": seen, "answer": "no", "comment": HOSTILE}
    sent = anna.post(f"/reviews?id={quote(HOSTILE)}", json=body, headers={"Origin": HERE})
    assert sent.status_code == 200
    ben = Reviewer(tmp_path / "results", "ben")
    for reviewer in (anna, ben):
        for path in ("/", "/?show=critical", call_page, "/agreement?all=1"):
            text = reviewer.get(path).text
            html = _Parsed(text)
            assert "<script>alert(1)</script>" in "".join(html.words)
            assert not {("img", "src", "x"), ("script", "src", "")} & set(html.attributes)
            assert html.inline == []
            assert "{{ 7*7 }}" in "".join(html.words)
            without_comments = re.sub("<textarea.*?</textarea>", "", text)
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", without_comments)


# The queue


def rows(shown: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="[^"]*">(.*?)</a>', shown)


def plain(number: int, agent_id: str = "A2") -> CallResult:
    """A call in which nothing is wrong."""
    good = call(number, agent_id)
    return replace(
        good, scorecard=replace(good.scorecard, marks=good.scorecard.marks[:1], scores={"pec": 1.0})
    )


def test_calls_to_hear_first_come_first_with_their_reasons(tmp_path: Path) -> None:
    calls = [plain(number) for number in range(20)]
    store(tmp_path / "results", *calls, call(50, "B"))
    anna = Reviewer(tmp_path / "results")
    first = anna.get("/").text
    assert rows(first)[0] == "c00050"
    assert "Critical and marked no" in first
    assert rows(anna.get("/?show=all").text)[0] == "c00050"
    assert len(rows(anna.get("/?show=all").text)) == 21
    assert rows(anna.get("/?show=unsure").text) == rows(anna.get("/?show=critical").text) == ["c00050"]


def test_a_long_queue_comes_fifty_calls_a_page(tmp_path: Path) -> None:
    store(tmp_path / "results", *(plain(number) for number in range(120)))
    anna = Reviewer(tmp_path / "results")
    pages = [rows(anna.get(f"/?show=all&page={number}").text) for number in (1, 2, 3)]
    assert [len(one) for one in pages] == [50, 50, 20]
    assert len({name for one in pages for name in one}) == 120
    assert "Page 3 of 3" in anna.get("/?show=all&page=99").text


def test_what_i_have_reviewed_is_listed_and_others_names_are_seen(night: Path) -> None:
    Reviewer(night, "ben").answer(EMPATHY, "no")
    anna = Reviewer(night)
    assert rows(anna.get("/?show=mine").text) == []
    assert "<small>ben</small>" in anna.get("/?show=all").text
    anna.answer(EMPATHY, "yes")
    mine = anna.get("/?show=mine").text
    assert rows(mine) == ["c00001"]
    assert "1 of 4 by you" in mine


def test_what_was_found_to_be_no_failure_is_not_listed_as_one_the_next_time(tmp_path: Path) -> None:
    results = store(tmp_path / "results", *(call(number) for number in range(3))).folder
    anna = Reviewer(results)
    assert len(rows(anna.get("/?show=critical").text)) == 3
    anna.answer("verified", "yes")
    assert rows(Reviewer(results).get("/?show=critical").text) == ["c00000", "c00002"]


# One call


def test_a_call_shows_its_words_and_each_mark_with_what_proves_it(night: Path) -> None:
    shown = Reviewer(night).get("/call?id=c00001").text
    assert '<span class="text">turn1 of c00001</span>' in shown
    assert "Machine: <b>yes, 90 % sure</b>" in shown
    assert 'data-from="6.0" data-to="6.8"' in shown
    assert "<q>I am sorry to hear that</q>" in shown
    assert "it belonged here; nearest to it:" in shown
    assert "too unsure to count, leans to no (40 %)" in shown


def test_built_in_criteria_say_what_counts(night: Path) -> None:
    asked = next(one for one in loader.load("pec").criteria if one.id == "empathy")
    shown = Reviewer(night).mark(EMPATHY)
    assert asked.means in " ".join(_Parsed(shown).words)


def test_a_call_scored_by_an_early_version_is_shown_with_what_there_is(night: Path) -> None:
    shutil.rmtree(night / "turns")
    anna = Reviewer(night)
    assert "The words of this call are not stored." in anna.get("/call?id=c00001").text
    shutil.rmtree(night / "marks")
    assert "No marks of this call are stored." in anna.get("/call?id=c00001").text


# Answers


def test_an_answer_is_kept_with_who_gave_it_when_and_what_the_machine_had_answered(night: Path) -> None:
    shown = Reviewer(night).answer(EMPATHY, "no", "only a phrase")
    (kept,) = reviews.read(night)
    assert (kept.call_id, kept.agent_id, kept.rubric, kept.criterion) == ("c00001", "A1", "pec", "empathy")
    assert (kept.rubric_version, kept.machine_answer, kept.machine_confidence) == ("2.0", "yes", 0.9)
    assert (kept.answer, kept.comment, kept.reviewer) == ("no", "only a phrase", "anna")
    assert datetime.now().astimezone() - kept.reviewed_at < timedelta(minutes=1)
    assert (kept.blind, kept.sample) == (False, "")
    assert "✓ You: no (changed)" in shown
    assert ">only a phrase</textarea>" in shown


def test_the_marks_themselves_stay_as_they_are(night: Path) -> None:
    before = Results(night).table("marks").to_pylist()
    Reviewer(night).answer(EMPATHY, "no")
    assert Results(night).table("marks").to_pylist() == before


def test_the_same_answer_again_is_no_new_review_and_another_one_is(night: Path) -> None:
    anna = Reviewer(night)
    for answer in ("yes", "yes", "cannot_tell", "na"):
        anna.answer(EMPATHY, answer)
    assert [review.answer for review in reviews.read(night)] == ["yes", "cannot_tell", "na"]
    assert "✓ You: no occasion (changed)" in anna.mark(EMPATHY)


def test_an_answer_that_was_sent_twice_is_kept_once(night: Path) -> None:
    anna = Reviewer(night)
    seen = re.findall(r'data-seen="(\w+)"', anna.mark(EMPATHY))[0]
    body = {"id": uuid4().hex, "seen": seen, "answer": "yes"}
    for _ in range(2):
        assert anna.post("/reviews?id=c00001", json=body, headers={"Origin": HERE}).status_code == 200
    assert len(reviews.read(night)) == 1


def test_two_reviewers_keep_their_own_answers_and_see_each_others(night: Path) -> None:
    anna, ben = Reviewer(night), Reviewer(night, "ben")
    anna.answer(EMPATHY, "yes", "warm enough")
    shown = ben.answer(EMPATHY, "no")
    assert {review.reviewer: review.answer for review in reviews.read(night)} == {"anna": "yes", "ben": "no"}
    assert "<b>anna</b>: yes" in shown
    assert "<q>warm enough</q>" in shown
    assert "reviewers disagree" in shown
    assert "✓ You: yes (as the machine)" in anna.mark(EMPATHY)


def test_a_comment_keeps_its_lines(night: Path) -> None:
    anna = Reviewer(night)
    anna.answer(EMPATHY, "yes", "first\nsecond")
    assert ">first\nsecond</textarea>" in anna.mark(EMPATHY)


# Blind


def test_blind_nothing_of_an_answer_is_shown_before_ones_own(night: Path) -> None:
    Reviewer(night, "ben").answer(EMPATHY, "no", "bens words")
    anna = Reviewer(night)
    shown = anna.get("/call?id=c00001&blind=1").text
    words = " ".join(_Parsed(shown).words)
    for told in ("sure", "ben", "I am sorry", "said in the greeting", "disagree", "Confirm", "Critical and"):
        assert told not in words.replace("unsure", ""), told
    assert set(re.findall(r'data-machine="(\w*)"', shown)) == {""}
    assert 'class="words"' not in shown
    own = anna.answer(EMPATHY, "yes", how="&blind=1")
    assert "bens words" in own
    assert "Machine: <b>yes, 90 % sure</b>" in own
    assert "hidden until you answer" in anna.mark("closing", how="&blind=1")


def test_only_the_first_answer_was_given_blind(night: Path) -> None:
    anna = Reviewer(night)
    anna.answer(EMPATHY, "no", how="&blind=1")
    anna.answer(EMPATHY, "yes", how="&blind=1")
    assert [(review.answer, review.blind) for review in reviews.read(night)] == [("no", True), ("yes", False)]


def test_a_sample_is_heard_blind_and_its_answers_say_so(tmp_path: Path) -> None:
    results = store(tmp_path / "results", *(call(number) for number in range(9))).folder
    drawn = audit.draw(results, 3, datetime.now().astimezone(), seed=1)
    anna = Reviewer(results)
    shown = anna.get("/?show=sample").text
    assert rows(shown) == [call_id for call_id, _ in drawn.calls]
    assert "Score" not in shown
    assert "critical failure" not in shown
    first, second = drawn.calls[0][0], drawn.calls[1][0]
    how = f"&blind=1&sample={drawn.sample}"
    assert f"/call?id={first}&amp;blind=1&amp;sample={drawn.sample}" in shown
    assert (
        f"/call?id={second}&amp;blind=1&amp;sample={drawn.sample}" in anna.get(f"/call?id={first}{how}").text
    )
    anna.answer(EMPATHY, "yes", call_id=first, how=how)
    anna.answer(EMPATHY, "yes", call_id=second)
    assert [(review.sample, review.blind) for review in reviews.read(results)] == [
        (drawn.sample, True),
        ("", False),
    ]


def test_calls_of_a_sample_are_there_though_they_are_of_other_days(tmp_path: Path) -> None:
    old = call(1, started_at=source(1, day="2025-01-05").info.started_at)
    results = store(tmp_path / "results", old, call(2)).folder
    audit.draw(results, 5, datetime.now().astimezone())
    anna = Reviewer(results)
    assert rows(anna.get("/?show=first").text) == ["c00002"]
    assert sorted(rows(anna.get("/?show=sample").text)) == ["c00001", "c00002"]
    assert anna.get("/call?id=c00001").status_code == 200


# The sound


def test_the_recording_can_be_sought_in(night: Path) -> None:
    anna = Reviewer(night)
    outline = anna.get("/outline?id=c00001").json()
    assert outline["duration_s"] == LENGTH_S
    assert 0.2 < max(outline["peaks"]) < 0.3
    whole = anna.get("/sound?id=c00001")
    assert whole.headers["content-type"] == "audio/wav"
    part = anna.get("/sound?id=c00001", headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == whole.content[1000:2000]


def test_only_the_last_recordings_are_kept_and_for_their_owner_alone(tmp_path: Path) -> None:
    calls = [
        recorded(call(number), record(tmp_path / f"{number}.wav", 200.0 + 40 * number)) for number in range(8)
    ]
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    listening = Listening(sounds)
    for one in calls:
        listening.of({"call_id": one.info.call_id, "audio_id": one.audio_id, "paths": one.paths})
    assert len(list(sounds.iterdir())) == 6


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("gone", "The recording is no longer at"),
        ("another", "Another recording lies at"),
        ("damaged", "The file holds text, not sound"),
    ],
)
def test_marks_can_be_settled_though_the_recording_is(night: Path, how: str, told: str) -> None:
    path = night.parent / "calls" / "1.wav"
    match how:
        case "gone":
            path.rename(path.with_suffix(".moved"))
        case "another":
            record(path, 500.0)
        case "damaged":
            path.write_bytes(b"no sound at all")
    anna = Reviewer(night)
    for address in ("/outline", "/sound"):
        refused = anna.get(f"{address}?id=c00001")
        assert refused.status_code == 404
        assert refused.json()["problem"].startswith(told)
    assert "I am sorry to hear that" in anna.get("/call?id=c00001").text
    anna.answer(EMPATHY, "yes")
    assert len(reviews.read(night)) == 1


# What cannot be done


def test_calls_that_are_not_there_are_said_to_be_missing(night: Path) -> None:
    anna = Reviewer(night)
    unknown = anna.get("/call?id=nobody")
    assert unknown.status_code == 404
    assert "There is no such call in these days" in unknown.text
    (night / "calls").rename(night.parent / "away")
    moved = anna.get("/call?id=c00001")
    assert moved.status_code == 404
    assert "moved" in moved.text


@pytest.mark.parametrize("path", ["/?show=secrets", "/?page=x", "/?page=9999999", "/?page=-1", "/nothing"])
def test_addresses_that_lead_nowhere(night: Path, path: str) -> None:
    assert Reviewer(night).get(path).status_code == 404


def test_no_file_beside_the_pages_own_can_be_had(night: Path) -> None:
    anna = Reviewer(night)
    assert anna.get("/static/review.js").status_code == 200
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc/passwd"):
        assert anna.get(f"/static/{path}").status_code == 404


GOOD = {"id": "0" * 32, "seen": "", "answer": "yes", "comment": ""}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (json.dumps(GOOD | {"answer": "unsure"}), 400),
        (json.dumps(GOOD | {"id": "../1"}), 400),
        (json.dumps(GOOD | {"reviewer": "somebody else"}), 400),
        (json.dumps(GOOD | {"comment": "x" * 5000}), 400),
        (json.dumps(GOOD | {"comment": "x" * 100_000}), 413),
        ("[]", 400),
        ("{", 400),
        ("", 400),
        (json.dumps(GOOD), 409),  # of a mark as it no longer is
    ],
)
def test_what_is_no_review_is_not_kept(night: Path, body: str, status: int) -> None:
    headers = {"Origin": HERE, "Content-Type": "application/json"}
    refused = Reviewer(night).post("/reviews?id=c00001", content=body, headers=headers)
    assert refused.status_code == status
    assert refused.json()["problem"]
    assert reviews.read(night) == []


def test_a_form_of_another_kind_is_not_taken(night: Path) -> None:
    headers = {"Origin": HERE, "Content-Type": "text/plain"}
    refused = Reviewer(night).post("/reviews?id=c00001", content=json.dumps(GOOD), headers=headers)
    assert refused.status_code == 415


def test_a_mark_that_was_given_anew_must_be_seen_before_it_is_answered(night: Path) -> None:
    anna = Reviewer(night)
    seen = re.findall(r'data-seen="(\w+)"', anna.mark(EMPATHY))[0]
    other = recorded(call(1), night.parent / "calls" / "1.wav")
    mark = replace(other.scorecard.marks[0], answer="no", leaning="no")
    store(night, replace(other, scorecard=replace(other.scorecard, marks=(mark,))))
    body = GOOD | {"seen": seen}
    refused = anna.post("/reviews?id=c00001", json=body, headers={"Origin": HERE})
    assert refused.status_code == 409
    assert "scored anew" in refused.json()["problem"]


def test_a_place_that_cannot_be_written_is_told_of(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise reviews.by_hand.CannotWrite("The results cannot be written", "Make room.")

    anna = Reviewer(night)
    monkeypatch.setattr(reviews, "add", full)
    seen = re.findall(r'data-seen="(\w+)"', anna.mark(EMPATHY))[0]
    refused = anna.post("/reviews?id=c00001", json=GOOD | {"seen": seen}, headers={"Origin": HERE})
    assert refused.status_code == 500
    assert refused.json()["problem"] == "The results cannot be written. Make room."


# Agreement


def said(number: int, reviewer: str, answer: str, *, blind: bool = True, machine: str = "yes") -> Review:
    return Review(
        review_id=uuid4().hex,
        call_id=f"c{number}",
        agent_id="A1",
        rubric="pec",
        rubric_version="2.0",
        criterion="empathy",
        machine_answer=machine,  # type: ignore[arg-type]
        machine_confidence=0.8,
        answer=answer,  # type: ignore[arg-type]
        comment="",
        reviewer=reviewer,
        reviewed_at=datetime.now().astimezone(),
        blind=blind,
    )


def test_agreement_is_counted_over_marks_that_two_have_answered() -> None:
    found = [said(number, "anna", "yes" if number < 6 else "no") for number in range(10)]
    found += [said(number, "ben", "yes" if number < 5 else "no") for number in range(8)]
    (empathy,) = reviewers.agreement(found, blind=True)
    assert empathy.reviewed == 10
    assert empathy.people is not None
    assert (empathy.people.n, empathy.people.share) == (8, 7 / 8)
    # Of 16 answers to the 8 marks 11 are yes; each pair counts both ways, so both have the same margins.
    yes, no = 11 / 16, 5 / 16
    assert empathy.people.kappa == pytest.approx((7 / 8 - yes**2 - no**2) / (1 - yes**2 - no**2))
    assert empathy.machine is not None
    assert empathy.machine.n == 10


def test_answers_in_sight_of_the_machines_count_only_where_all_are_asked_for() -> None:
    found = [said(1, "anna", "yes"), said(1, "anna", "no", blind=False), said(2, "ben", "no", blind=False)]
    (blind,) = reviewers.agreement(found, blind=True)
    (everything,) = reviewers.agreement(found, blind=False)
    assert blind.machine is not None
    assert everything.machine is not None
    assert (blind.reviewed, blind.machine.share) == (1, 1.0)
    assert (everything.reviewed, everything.machine.share) == (2, 0.0)


def test_who_cannot_tell_neither_agrees_nor_disagrees() -> None:
    found = [said(1, "anna", "cannot_tell"), said(1, "ben", "yes"), said(2, "ben", "no", machine="unsure")]
    (empathy,) = reviewers.agreement(found, blind=True)
    assert (empathy.people, empathy.cannot_tell, empathy.unsure) == (None, 1, 1)
    assert empathy.machine is not None
    assert empathy.machine.n == 1


def test_the_page_of_agreement_names_criteria_and_figures(night: Path) -> None:
    for number in range(6):
        for reviewer in ("anna", "ben"):
            reviews.add(night, said(number, reviewer, "yes" if number else "no"))
    shown = Reviewer(night).get("/agreement").text
    words = " ".join(" ".join(_Parsed(shown).words).split())
    assert f"{EMPATHY} Personal emotional connection 6" in words
    assert "100 % (61–100)" in words


# The command


def test_the_command_shows_an_address_that_opens_the_page_until_it_is_interrupted(night: Path) -> None:
    options = ["--results", str(night), "--reviewer", "anna", "--no-browser", "--sample", "1"]
    command = [sys.executable, "-m", "wellheard.cli", "review", *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        address = running.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
        with_cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert "You are <b>anna</b>" in with_cookies.open(address, timeout=60).read().decode()
    finally:
        running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert len(audit.samples(night)) == 1


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_no_recording_is_left_behind_however_the_page_is_ended(
    night: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "wellheard.cli", "review", "--results", str(night), "--no-browser"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    )
    assert running.stdout is not None
    address = running.stdout.readline().strip()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    browser.open(address, timeout=60)
    browser.open(f"{address.split('?')[0]}outline?id=c00001", timeout=60)
    (sound,) = (tmp_path / "temporary").glob("wellheard-*/*")
    assert (sound.stat().st_mode & 0o777, sound.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    running.send_signal(ending)
    assert running.wait(60) == 0
    assert list((tmp_path / "temporary").iterdir()) == []


def serve(port: int) -> None:
    server.serve(lambda keys, listening: page, port, lambda address: None, browser=False)  # type: ignore[arg-type, return-value]


def test_it_listens_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[str] = []
    monkeypatch.setattr(
        "uvicorn.Server.run", lambda self, sockets: bound.extend(one.getsockname()[0] for one in sockets)
    )
    serve(0)
    assert bound == ["127.0.0.1"]


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(server.PortTaken, match=f"Port {port} cannot be had"):
            serve(port)
