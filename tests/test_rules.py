"""Each kind of condition, with acts and facts given by hand: how likely it holds, and what shows it."""

import pytest
from spoken_lines import SURE, acts_of

from wellheard.rubrics.facts import FACTS
from wellheard.rubrics.rules import Condition, Findings, Rule, shifted, weigh


def found(*lines: str, called: dict[str, str] | None = None) -> Findings:
    """What is found in a call: a line is a turn ("agent: greet, says_company 0.5") or a long silence."""
    speakers, acts, facts, holds = [], [], [], []
    for line in lines:
        if line == "[hold]":
            holds.append((len(speakers) - 1, len(speakers)))
            continue
        speaker, _, named = line.partition(":")
        speakers.append(speaker)
        both = acts_of(named)
        acts.append({name: sure for name, sure in both.items() if name not in FACTS})
        facts.append({name: sure for name, sure in both.items() if name in FACTS})
    return Findings(
        speakers=tuple(speakers),
        acts=tuple(acts),
        facts=tuple(facts),
        holds=tuple(holds),
        answers={},
        called=called or {},
    )


def shown(condition: Condition, call: Findings) -> list[int] | None:
    """The turns that prove that a condition holds; None where it does not."""
    finding = weigh(condition, call)
    return [turn for turn, _ in finding.shown] if finding.likelihood >= 0.5 else None


# Acts and facts


def test_an_act_is_as_likely_as_its_surest_turn_and_shows_all_sure_ones():
    finding = weigh(Condition(act="offer"), found("agent: offer 0.6", "customer:", "agent: offer 0.9"))
    assert finding.likelihood == 0.9
    assert finding.shown == ((2, "offer"), (0, "offer"))
    assert finding.lacks == ()


def test_an_act_that_is_not_there_is_said_to_be_lacking():
    finding = weigh(Condition(act="offer"), found("agent: greet", "customer: matter"))
    assert (finding.likelihood, finding.shown, finding.lacks) == (0.0, (), ("an offer",))


def test_of_several_acts_one_will_do_and_the_turn_shows_the_likelier():
    finding = weigh(Condition(act=("offer", "push")), found("agent: offer 0.3, push 0.8"))
    assert (finding.likelihood, finding.shown) == (0.8, ((0, "push"),))
    assert weigh(Condition(act=("offer", "push")), found("agent:")).lacks == (
        "an offer or pressure to take an offer",
    )


def test_a_fact_counts_like_an_act():
    call = found("agent:", "customer: gives_number")
    assert shown(Condition(fact="gives_number"), call) == [1]
    assert shown(Condition(fact="gives_date"), call) is None


def test_an_act_and_a_fact_may_stand_for_each_other_in_one_list():
    assert shown(Condition(act=("own_name", "says_agent_name")), found("agent: says_agent_name 0.5")) == [0]


def test_a_house_s_own_act_is_called_what_the_house_calls_it():
    call = found("agent:", called={"magnet": "a fridge magnet offered"})
    assert weigh(Condition(act="magnet"), call).lacks == ("a fridge magnet offered",)


def test_by_narrows_whose_turns_count():
    call = found("other: greet", "agent: company", "customer:")
    assert shown(Condition(act="greet"), call) == [0]
    assert shown(Condition(act="greet", by="agent"), call) is None


def test_times_asks_for_so_many_turns():
    call = found("agent: extra", "customer:", "agent: extra 0.7", "agent: extra 0.2")
    assert weigh(Condition(act="extra", times=2), call).likelihood == 0.7
    assert weigh(Condition(act="extra", times=3), call).likelihood == 0.2
    assert weigh(Condition(act="extra", times=4), call).likelihood == 0.0


def test_needs_is_how_sure_an_act_must_be_to_be_likelier_than_not():
    call = found("agent: blame 0.8")
    assert weigh(Condition(act="blame", needs=0.8), call).likelihood == pytest.approx(0.5)
    assert weigh(Condition(act="blame", needs=0.9), call).likelihood < 0.5
    assert weigh(Condition(act="blame", needs=0.3), call).likelihood > 0.8


def test_shifted_keeps_certainty_and_order():
    assert [shifted(confidence, 0.7) for confidence in (0.0, 1.0)] == [0.0, 1.0]
    assert shifted(0.7, 0.7) == pytest.approx(0.5)
    assert shifted(0.5, 0.5) == 0.5
    assert shifted(0.6, 0.7) < shifted(0.65, 0.7) < 0.5


# Places


def test_the_opening_ends_with_the_agent_s_second_turn():
    call = found("customer:", "agent: greet", "customer:", "agent: company", "customer:", "agent: own_name")
    assert shown(Condition(act="greet", where="opening"), call) == [1]
    assert shown(Condition(act="company", where="opening"), call) == [3]
    assert shown(Condition(act="own_name", where="opening"), call) is None
    assert weigh(Condition(act="own_name", where="opening"), call).lacks == (
        "the agent's own name at the beginning",
    )


def test_a_call_without_an_agent_has_no_opening():
    assert shown(Condition(act="matter", where="opening"), found("customer: matter")) is None


def test_the_ending_is_the_last_eight_turns():
    assert shown(Condition(act="upset", where="ending"), found("customer: upset", *["agent:"] * 7)) == [0]
    late = weigh(Condition(act="upset", where="ending"), found("customer: upset", *["agent:"] * 8))
    assert (late.likelihood, late.lacks) == (0.0, ("an upset customer at the end",))


def test_after_counts_only_turns_that_come_later():
    condition = Condition(act="take_up", after="cue")
    assert shown(condition, found("agent: take_up", "customer: cue", "agent: take_up")) == [2]
    assert shown(condition, found("agent: take_up", "customer: cue", "agent:")) is None
    assert shown(condition, found("customer:", "agent: take_up")) is None
    assert shown(condition, found("agent: cue, take_up")) is None, "the turn itself is not after itself"


def test_within_is_how_many_turns_later():
    condition = Condition(act="accept", after="check", within=2)
    assert shown(condition, found("agent: check", "agent:", "customer: accept")) == [2]
    assert shown(condition, found("agent: check", "agent:", "agent:", "customer: accept")) is None
    again = found("agent: check", "customer:", "agent:", "agent: check", "customer: accept")
    assert shown(condition, again) == [4], "any check will do, not the first alone"


def test_where_nothing_is_sure_the_likeliest_turn_is_the_one_after_which_to_look():
    call = found("customer: cue 0.3", "agent: take_up", "customer: cue 0.1")
    assert shown(Condition(act="take_up", after="cue"), call) == [1]


def test_before_counts_only_turns_up_to_the_first():
    condition = Condition(act="recording", before="personal_data")
    assert shown(condition, found("agent: recording", "customer: personal_data")) == [0]
    assert (
        shown(condition, found("customer: personal_data", "agent: recording", "customer: personal_data"))
        is None
    )
    assert shown(condition, found("customer:", "agent: recording")) == [1], "what never comes limits nothing"


def test_unless_an_act_of_the_same_speaker_s_next_turn_undoes_it():
    condition = Condition(act="shut_out", unless="way_forward")
    assert shown(condition, found("agent: shut_out", "customer:", "agent:")) == [0]
    assert shown(condition, found("agent: shut_out, way_forward")) is None
    assert shown(condition, found("agent: shut_out", "customer:", "agent: way_forward")) is None
    assert shown(condition, found("agent: shut_out", "agent:", "agent: way_forward")) == [0], (
        "that is too late"
    )
    half = weigh(condition, found("agent: shut_out 0.9, way_forward 0.7"))
    assert half.likelihood == pytest.approx(0.3)


# Several conditions


GREET, COMPANY = Condition(act="greet"), Condition(act="company")


def test_all_is_as_likely_as_its_least_likely_part_and_says_which_is_lacking():
    both = weigh(Condition(all=(GREET, COMPANY)), found("agent: greet 0.9", "agent: company 0.6"))
    assert (both.likelihood, both.shown) == (0.6, ((0, "greet"), (1, "company")))
    one = weigh(Condition(all=(GREET, COMPANY)), found("agent: greet 0.9, company 0.2"))
    assert (one.likelihood, one.shown, one.lacks) == (0.2, ((0, "greet"),), ("the company's name",))


def test_any_is_as_likely_as_its_likeliest_part_and_lacks_nothing_where_one_is_there():
    one = weigh(Condition(any=(GREET, COMPANY)), found("agent: greet 0.2, company 0.7"))
    assert (one.likelihood, one.shown, one.lacks) == (0.7, ((0, "company"),), ())
    neither = weigh(Condition(any=(GREET, COMPANY)), found("agent: greet 0.2"))
    assert neither.likelihood == 0.2
    assert neither.lacks == ("a greeting or the company's name",)


def test_none_is_likely_where_its_parts_are_not_and_says_what_is_there():
    clean = weigh(Condition(none=(GREET, COMPANY)), found("agent: offer"))
    assert (clean.likelihood, clean.shown, clean.lacks) == (1.0, (), ())
    greeted = weigh(Condition(none=(GREET, COMPANY)), found("agent: greet 0.75"))
    assert (greeted.likelihood, greeted.lacks) == (0.25, ("a call without a greeting",))


def test_conditions_may_stand_inside_conditions():
    nested = Condition(all=(Condition(any=(GREET, COMPANY)), Condition(none=(Condition(act="push"),))))
    assert shown(nested, found("agent: company", "agent: offer")) == [0]
    assert shown(nested, found("agent: company", "agent: push")) is None


# Waits


def test_a_wait_is_announced_or_a_long_silence():
    any_wait = Condition(wait="any")
    assert shown(any_wait, found("agent: announce_wait", "customer:", "agent:")) == [0]
    assert shown(any_wait, found("agent:", "customer:", "[hold]", "agent:")) == [0]
    nothing = weigh(any_wait, found("agent: greet", "customer:"))
    assert nothing.likelihood < 0.5
    assert weigh(any_wait, found("customer:")).lacks == ("a wait",)


def test_a_wait_is_handled_if_it_is_asked_for_and_thanked_for():
    handled = Condition(wait="handled")
    call = found("agent: announce_wait", "customer:", "[hold]", "agent: after_wait")
    assert weigh(handled, call).shown == ((0, "announce_wait"), (2, "after_wait"))
    assert shown(handled, call) == [0, 2]
    assert shown(handled, found("agent: announce_wait", "customer:", "[hold]", "agent:")) is None
    assert shown(handled, found("agent:", "customer:", "[hold]", "agent: after_wait")) is None
    lacking = weigh(handled, found("agent: announce_wait", "customer:", "[hold]", "agent:"))
    assert lacking.lacks == ("a request before each wait and thanks after it",)
    assert 0 in [turn for turn, _ in lacking.shown], "the wait that was not handled is shown"


def test_one_wait_out_of_two_that_is_not_handled_is_enough_for_a_no():
    first = ("agent: announce_wait", "customer:", "[hold]", "agent: after_wait")
    assert (
        shown(Condition(wait="handled"), found(*first, "customer:", "agent: announce_wait", "agent:")) is None
    )
    second = ("customer:", "agent: announce_wait", "customer:", "agent: after_wait")
    assert shown(Condition(wait="handled"), found(*first, *second)) == [0, 2, 4, 6]


def test_thanks_that_come_much_later_are_no_thanks_for_the_wait():
    late = found("agent: announce_wait", *["customer:"] * 5, "agent: after_wait")
    assert shown(Condition(wait="handled"), late) is None


# Identifiers


def test_identifiers_count_each_turn_and_each_kind_within_it():
    two = Condition(identifiers=2)
    assert shown(two, found("customer: give_id", "customer: give_id")) == [0, 1]
    assert shown(two, found("customer: give_id, customer_named, gives_date")) == [0]
    one = weigh(two, found("customer: give_id, gives_number"))
    assert one.likelihood < 0.5
    assert one.shown == ((0, "give_id"),)
    assert one.lacks == ("2 identifiers before that",)


def test_a_number_alone_is_no_identifier():
    assert shown(Condition(identifiers=1), found("customer: gives_number, gives_date")) is None


def test_identifiers_may_be_asked_for_before_something():
    condition = Condition(identifiers=2, before="disclose")
    assert shown(condition, found("customer: give_id", "customer: give_id", "agent: disclose")) == [0, 1]
    assert shown(condition, found("customer: give_id", "agent: disclose", "customer: give_id")) is None


# What a rule uses


def test_a_rule_knows_the_acts_that_it_uses():
    rule = Rule(
        asked_when=Condition(wait="any"),
        yes_when=Condition(any=(Condition(identifiers=2, before="disclose"), Condition(fact="gives_time"))),
        no_when=Condition(act=("push", "blame"), unless="let_go"),
    )
    assert rule.acts() == {"announce_wait", "after_wait", "give_id", "disclose", "push", "blame", "let_go"}
    assert len(list(rule.conditions())) == 5


def test_an_act_without_a_number_is_as_good_as_certain_here():
    assert weigh(GREET, found("agent: greet")).likelihood == SURE
