"""Listen: talk shares, silences, holds and interruptions come from word times alone."""

import pytest
from dialogues import dialogue

from wellheard.pipeline.listen import listen
from wellheard.pipeline.settings import Listen


def test_talk_share_is_of_the_whole_call_and_pace_of_the_talk():
    heard = listen(
        dialogue("agent 0-6 one two three four five six", "customer 7-9 yes please", duration_s=20), Listen()
    )
    agent, customer, other = heard.parties
    assert (agent.speaker, agent.talk_s, agent.talk_share, agent.words_per_minute) == ("agent", 6, 0.3, 60)
    assert (customer.talk_share, customer.words_per_minute) == (0.1, 60)
    assert (other.talk_s, other.words_per_minute) == (0, None)


def test_a_silence_is_one_from_three_seconds_and_a_hold_from_twenty():
    heard = listen(
        dialogue("agent 5-6 hello", "customer 8-9 hi", "agent 13-14 wait", "agent 36-37 thanks"), Listen()
    )
    assert [(s.start_s, s.end_s) for s in heard.silences] == [(9, 13), (14, 36)]
    assert [(s.start_s, s.end_s) for s in heard.holds] == [(14, 36)]


def test_time_before_the_first_word_is_waiting_not_silence():
    heard = listen(dialogue("agent 40-42 good morning"), Listen())
    assert heard.waiting_s == 40
    assert heard.silences == ()


def test_a_silence_within_one_turn_is_found_too():
    heard = listen(dialogue("agent 0-1 wait", "agent 31-32 back"), Listen())
    assert [h.duration_s for h in heard.holds] == [30]


@pytest.mark.parametrize(
    ("lines", "by"),
    [
        (("agent 0-10 " + "so " * 10, "customer 8-14 no that is wrong"), ["customer"]),
        (("agent 0-10 " + "so " * 10, "customer 8-8.5 yes"), []),
        (("agent 0-10 " + "so " * 10, "customer 9.8-14 no that is wrong"), []),
        (("customer 0-10 " + "so " * 10, "agent 4-12 let me stop you there"), ["agent"]),
    ],
    ids=["talks over and goes on", "a short yes", "a small overlap", "the agent does it"],
)
def test_an_interruption_talks_over_the_other_and_goes_on(lines, by):
    heard = listen(dialogue(*lines), Listen())
    assert [i.by for i in heard.interruptions] == by


def test_overlap_counts_each_second_once():
    heard = listen(dialogue("agent 0-10 " + "so " * 10, "customer 8-14 no that is wrong"), Listen())
    assert heard.overlap_s == pytest.approx(2.0)
    assert sum(p.talk_share for p in heard.parties) <= 1.2
