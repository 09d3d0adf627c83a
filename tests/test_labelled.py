"""Labelled calls are read as the stages would hand them on, or refused with the line that is wrong."""

import json

import pytest

from wellheard.pipeline.errors import BadLabels, ExitCode
from wellheard.training.labelled import Label, read

CRITERIA = ("pec.empathy", "pec.beyond", "script.recap")


def call(call_id="c1", **fields):
    return {
        "call_id": call_id,
        "language": "en",
        "company": "Harbour Gas",
        "direction": "inbound",
        "agent_id": "A01",
        "agent_name": "Nadia Okoro",
        "customer_name": "Tom Reed",
        "writer": "en_x",
        "turns": [
            {"speaker": "system", "text": "This call may be recorded."},
            {"speaker": "agent", "text": "Harbour Gas, Nadia here."},
            {"speaker": "customer", "text": "My boiler is out and it is freezing.", "sound": "dog"},
            {"speaker": "agent2", "text": "Oh no, in this cold!", "pause_before_s": 25.0},
        ],
        "marks": {"pec.empathy": {"answer": "yes", "evidence": [3]}, "pec.beyond": {"answer": "no"}},
        **fields,
    }


@pytest.fixture
def file(tmp_path):
    def write(*lines, name="calls.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return path

    return write


def refused(path, acts=None):
    with pytest.raises(BadLabels) as error:
        read(path, CRITERIA, acts)
    assert error.value.exit_code == ExitCode.USAGE
    assert "boiler" not in str(error.value)
    return str(error.value)


# What is read


def test_a_call_with_its_labels(file):
    (found,) = read(file(call()), CRITERIA)
    assert (found.call_id, found.writer) == ("c1", "en_x")
    assert found.marks == {
        "pec.empathy": Label(answer="yes", evidence=(3,)),
        "pec.beyond": Label(answer="no", evidence=()),
    }
    assert [turn.speaker for turn in found.conversation.turns] == ["other", "agent", "customer", "agent"]
    assert found.conversation.turns[2].text == "My boiler is out and it is freezing."
    assert found.conversation.language == "en"
    assert found.acts is None


def test_what_is_known_of_the_call_names_neither_the_customer_nor_the_agents_login(file):
    (found,) = read(file(call()), CRITERIA)
    assert found.info.company == "Harbour Gas"
    assert found.info.agent_name == "Nadia Okoro"
    assert found.info.extra == {}
    assert found.info.agent_id == "unknown"


def test_turns_take_the_time_that_their_length_takes(file):
    # 28 characters take 2 s; usual pauses are 0.4 s; no turn is shorter than 0.3 s.
    turns = [
        {"speaker": "agent", "text": "x" * 28},
        {"speaker": "customer", "text": "Hm."},
        {"speaker": "agent", "text": "x" * 14, "pause_before_s": 25},
    ]
    (found,) = read(file(call(turns=turns, marks={})), CRITERIA)
    times = [(turn.start_s, turn.end_s) for turn in found.conversation.turns]
    assert times == [pytest.approx(t) for t in [(0.4, 2.4), (2.8, 3.1), (28.1, 29.1)]]
    assert found.conversation.duration_s == pytest.approx(29.1)
    assert [hold.duration_s for hold in found.heard.holds] == [pytest.approx(25)]


def test_an_overlap_is_as_long_as_it_is_said_to_be(file):
    turns = [
        {"speaker": "agent", "text": "x" * 28},
        {"speaker": "customer", "text": "no no no wait " * 3, "overlap_s": 0.9},
    ]
    (found,) = read(file(call(turns=turns, marks={})), CRITERIA)
    assert found.heard.overlap_s == pytest.approx(0.9, abs=0.01)
    assert [cut.by for cut in found.heard.interruptions] == ["customer"]


def test_a_short_word_over_a_long_turn_does_not_turn_time_back(file):
    turns = [
        {"speaker": "agent", "text": "x" * 70},
        {"speaker": "customer", "text": "yes", "overlap_s": 2.0},
        {"speaker": "agent", "text": "and so on"},
    ]
    (found,) = read(file(call(turns=turns, marks={})), CRITERIA)
    first, _, last = found.conversation.turns
    assert last.start_s == pytest.approx(first.end_s + 0.4)


def test_sounds_behind_a_turn_are_given_and_count_as_heard(file):
    (found,) = read(file(call()), CRITERIA)
    assert found.sounds == (None, None, "dog", None)
    (sound,) = found.heard.sounds
    turn = found.conversation.turns[2]
    assert (sound.kind, sound.start_s, sound.end_s) == ("dog", turn.start_s, turn.end_s)


def test_labels_may_hold_some_criteria_or_none(file):
    some, none, left_out = read(
        file(
            call("some", marks={"script.recap": {"answer": "na"}}),
            call("none", marks={}),
            {name: value for name, value in call("left out").items() if name != "marks"},
        ),
        CRITERIA,
    )
    assert list(some.marks) == ["script.recap"]
    assert none.marks == left_out.marks == {}


def test_marks_come_in_the_order_of_the_criteria(file):
    marks = {name: {"answer": "no"} for name in ("script.recap", "pec.beyond", "pec.empathy")}
    (found,) = read(file(call(marks=marks)), CRITERIA)
    assert tuple(found.marks) == CRITERIA


def test_a_turn_without_words_keeps_its_place(file):
    turns = [{"speaker": "agent", "text": " "}, {"speaker": "customer", "text": "Hello?"}]
    (found,) = read(file(call(turns=turns, marks={})), CRITERIA)
    assert len(found.conversation.turns) == 2


def test_without_a_writer_the_file_names_it(file):
    (found,) = read(file(call(writer=None), name="pl_q.jsonl"), CRITERIA)
    assert found.writer == "pl_q"


def test_a_mark_of_byte_order_blank_lines_and_line_separators_in_texts_do_no_harm(tmp_path):
    path = tmp_path / "calls.jsonl"
    text = json.dumps(
        call(turns=[{"speaker": "agent", "text": "one\u2028two"}], marks={}), ensure_ascii=False
    )
    path.write_bytes(f"\ufeff{text}\r\n\r\n".encode())
    (found,) = read(path, CRITERIA)
    assert found.conversation.turns[0].text == "one two"


def test_acts_come_from_a_second_file(file):
    acts = file(
        {"call_id": "c1", "acts": [["recording"], ["company", "own_name"], [], []]}, name="acts.jsonl"
    )
    (found,) = read(file(call()), CRITERIA, acts)
    assert found.acts == (
        frozenset({"recording"}),
        frozenset({"company", "own_name"}),
        frozenset(),
        frozenset(),
    )


def test_every_labelled_file_is_read(shared):
    for path in sorted((shared / "calls").glob("*.jsonl")):
        names = dict.fromkeys(name for line in path.open() for name in json.loads(line)["marks"])
        for found in read(path, tuple(names), path.parent / "acts" / path.name):
            assert len(found.marks) == 24
            assert len(found.acts) == len(found.sounds) == len(found.conversation.turns)


# What is refused


def test_no_such_file(tmp_path):
    assert "cannot be read" in refused(tmp_path / "none.jsonl")
    assert "cannot be read" in refused(tmp_path)


def test_a_file_without_calls(file):
    assert "holds no call" in refused(file("", ""))


def test_a_line_that_is_no_json_is_named(file):
    assert "line 2 is no JSON" in refused(file(call(), '{"call_id": "c2", "boiler'))
    assert "line 1 is no JSON" in refused(file("call_id,language,boiler"))


def test_a_file_that_is_not_in_utf_8(tmp_path):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(json.dumps(call(company="Gaz Łódź"), ensure_ascii=False).encode("cp1250"))
    assert "line 1 is not in UTF-8" in refused(path)


def test_json_that_is_no_call(file):
    assert "line 1: Expected `object`" in refused(file('["boiler"]'))
    assert "`call_id`" in refused(file({"language": "en", "turns": call()["turns"]}))
    assert "$.turns" in refused(file(call(turns="My boiler is out")))
    assert "$.turns" in refused(file(call(turns=[{"speaker": "agent", "text": ["My boiler is out"]}])))
    assert "empty call_id" in refused(file(call("")))


def test_missing_turns(file):
    without = {name: value for name, value in call(marks={}).items() if name != "turns"}
    assert "line 2: the call has no turns" in refused(file(call("c0"), without))
    assert "no turns" in refused(file(call(turns=[], marks={})))


def test_an_unknown_answer(file):
    for answer in ("unsure", "Yes", "n/a", "", "My boiler is out"):
        reason = refused(file(call(marks={"pec.empathy": {"answer": answer}})))
        assert "line 1: the answer to pec.empathy is unknown. Write yes, no or na." in reason


def test_an_unknown_criterion_with_the_one_that_was_meant(file):
    reason = refused(file(call(marks={"pec.empaty": {"answer": "yes"}})))
    assert "'pec.empaty'" in reason
    assert "pec.empathy" in reason


@pytest.mark.parametrize("evidence", [[4], [-1], [0, 99]])
def test_evidence_out_of_range(file, evidence):
    reason = refused(file(call(marks={"pec.empathy": {"answer": "yes", "evidence": evidence}})))
    assert "names a turn that is not there" in reason
    assert "4 turns" in reason


def test_a_doubled_call_names_both_lines(file):
    reason = refused(file(call("c1"), call("c2"), call("c1")))
    assert "line 3 is a second call c1" in reason
    assert "line 1" in reason


def test_an_unknown_speaker(file):
    turns = [{"speaker": "agent", "text": "Hi."}, {"speaker": "My boiler is out", "text": "customer"}]
    assert "the speaker of turn 1 is unknown" in refused(file(call(turns=turns, marks={})))


@pytest.mark.parametrize("field", ["pause_before_s", "overlap_s"])
def test_a_time_that_is_none(file, field):
    turns = [{"speaker": "agent", "text": "Hi.", field: -1}]
    assert "turn 0 is no length of time" in refused(file(call(turns=turns, marks={})))
    refused(
        file(
            json.dumps(call(turns=[{**turns[0], field: 0}], marks={})).replace(
                f'"{field}": 0', f'"{field}": NaN'
            )
        )
    )


def test_acts_that_do_not_fit_the_call(file):
    short = file({"call_id": "c1", "acts": [["greet"]]}, name="short.jsonl")
    assert "acts for 1 turns, but the call has 4" in refused(file(call()), short)
    other = file({"call_id": "c9", "acts": []}, name="other.jsonl")
    assert "no acts for the call c1" in refused(file(call()), other)
