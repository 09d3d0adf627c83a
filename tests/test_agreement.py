"""The figures that say how well a judge agrees with people, each worked out by hand."""

import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from wellheard.pipeline.morning.kappa import kappas
from wellheard.training.agreement import ANSWERS, Judgement, agreement, triage


def judgement(call, label, answer, criterion="pec.empathy", **fields):
    return Judgement(
        **{
            "call_id": str(call),
            "criterion": criterion,
            "label": label,
            "answer": answer,
            "leaning": label if answer == "unsure" else answer,
            "confidence": 0.9,
            "label_turns": (),
            "found": None,
            "keyword": "no",
            **fields,
        }
    )


def judged(labels, answers, **fields):
    """One call a pair of answers, "yes yes no" against "yes no unsure"."""
    pairs = zip(labels.split(), answers.split(), strict=True)
    return [judgement(i, label, answer, **fields) for i, (label, answer) in enumerate(pairs)]


def of_empathy(judgements):
    return agreement(judgements).criteria["pec.empathy"]


# Kappa and accuracy


def test_kappa_by_hand():
    # Observed 3/4; by chance yes 2/4 * 3/4 and no 2/4 * 1/4, together 1/2; (3/4 - 1/2) / (1 - 1/2).
    own = of_empathy(judged("yes yes no no", "yes yes yes no"))
    assert own.accuracy == 0.75
    assert own.kappa == pytest.approx(0.5)
    assert (own.n, own.yes, own.no, own.na) == (4, 2, 2, 0)


def test_unsure_is_a_wrong_answer_of_its_own():
    # Observed 3/4; by chance yes 2/4 * 2/4 and no 2/4 * 1/4, together 3/8; (3/4 - 3/8) / (1 - 3/8).
    own = of_empathy(judged("yes yes no no", "yes yes unsure no"))
    assert own.accuracy == 0.75
    assert own.kappa == pytest.approx(0.6)
    assert own.unsure == 0.25
    assert (own.sure_n, own.sure_kappa) == (3, pytest.approx(1.0))


def test_kappa_is_that_of_scikit_learn():
    random = np.random.default_rng(1)
    for _ in range(50):
        labels = random.choice(["yes", "no", "na"], size=30)
        answers = np.where(random.random(30) < 0.5, labels, random.choice(ANSWERS, size=30))
        own = of_empathy([judgement(i, *pair) for i, pair in enumerate(zip(labels, answers, strict=True))])
        assert own.kappa == pytest.approx(cohen_kappa_score(labels, answers, labels=list(ANSWERS)))


def test_many_tables_at_once():
    tables = np.array([[[2, 0], [1, 1]], [[5, 0], [0, 0]], [[0, 0], [0, 0]]])
    assert kappas(tables) == pytest.approx([0.5, 1.0, np.nan], nan_ok=True)


def test_where_people_gave_one_answer_only_kappa_is_all_or_nothing():
    assert of_empathy(judged("yes yes yes", "yes yes yes")).kappa == 1
    assert of_empathy(judged("yes yes yes", "yes yes no")).kappa == 0
    assert of_empathy(judged("yes yes yes", "no no no")).kappa == 0


def test_nothing_sure_has_no_kappa_where_sure():
    own = of_empathy(judged("yes no", "unsure unsure"))
    assert (own.unsure, own.sure_n, own.sure_kappa, own.accuracy) == (1, 0, None, 0)


def test_the_mean_is_over_criteria_and_accuracy_over_marks():
    found = agreement(
        [
            *judged("yes yes no no", "yes yes yes no"),
            *judged("yes no", "yes no", criterion="script.recap"),
        ]
    )
    assert found.mean_kappa == pytest.approx((0.5 + 1) / 2)
    assert found.accuracy == pytest.approx(5 / 6)
    assert list(found.criteria) == ["pec.empathy", "script.recap"]
    assert (found.calls, found.marks) == (4, 6)


# Baselines


def test_always_the_commonest_answer():
    own = of_empathy(judged("no no no yes", "no no no yes"))
    assert (own.commonest, own.commonest_accuracy, own.commonest_kappa) == ("no", 0.75, 0)
    assert of_empathy(judged("na na", "na na")).commonest_kappa == 1


def test_keyword_lists_are_measured_like_the_judge():
    pairs = [("yes", "yes"), ("yes", "yes"), ("no", "yes"), ("no", "no")]
    own = of_empathy([judgement(i, label, label, keyword=word) for i, (label, word) in enumerate(pairs)])
    assert (own.keywords_accuracy, own.keywords_kappa) == (0.75, pytest.approx(0.5))


def test_a_criterion_without_keyword_lists_has_no_such_figures():
    found = agreement(judged("yes no", "yes no", keyword=None))
    own = found.criteria["pec.empathy"]
    assert (own.keywords_accuracy, own.keywords_kappa, found.mean_keywords_kappa) == (None, None, None)


# Evidence


def test_evidence_is_counted_where_both_sides_have_some():
    found = agreement([judgement(i, "yes", "yes", found=hit) for i, hit in enumerate([True, False, None])])
    assert found.criteria["pec.empathy"].evidence_hit_rate == 0.5
    assert found.criteria["pec.empathy"].evidence_n == 2
    assert found.evidence_hit_rate == 0.5
    assert of_empathy(judged("yes", "yes")).evidence_hit_rate is None


# Intervals


def test_an_interval_holds_the_kappa_and_is_the_same_each_time():
    judgements = judged("yes yes no no na na yes no", "yes no no no na yes yes no")
    own = of_empathy(judgements)
    low, high = own.interval
    assert -1 <= low < own.kappa < high <= 1
    assert of_empathy(judgements).interval == own.interval


def test_an_interval_is_that_of_drawing_calls_one_by_one():
    random = np.random.default_rng(2)
    labels = random.choice(["yes", "no", "na"], size=60)
    answers = np.where(random.random(60) < 0.6, labels, random.choice(ANSWERS, size=60))
    own = of_empathy([judgement(i, *pair) for i, pair in enumerate(zip(labels, answers, strict=True))])
    draws = (random.integers(60, size=60) for _ in range(400))
    drawn = [cohen_kappa_score(labels[d], answers[d], labels=list(ANSWERS)) for d in draws]
    assert own.interval == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.05)


def test_all_alike_has_an_interval_without_width():
    assert of_empathy(judged("yes no yes no yes no yes no", "yes no yes no yes no yes no")).interval == (1, 1)


def test_fewer_than_five_calls_have_no_interval():
    assert of_empathy(judged("yes no yes no", "yes no no no")).interval is None
    assert agreement(judged("yes no yes no", "yes no no no")).mean_kappa_interval is None
    assert of_empathy(judged("yes no yes no na", "yes no no no na")).interval is not None


def test_a_criterion_that_few_calls_have_is_drawn_with_the_others():
    few = judged("yes no yes no na", "yes no no no na", criterion="script.recap")
    found = agreement([*judged("yes no " * 30, "yes no " * 30), *few])
    assert found.criteria["script.recap"].interval is not None
    low, high = found.mean_kappa_interval
    assert 0.4 < low < found.mean_kappa < high <= 1


def test_24_criteria_and_150_calls_take_a_few_seconds_at_most():
    random = np.random.default_rng(3)
    judgements = [
        judgement(call, *random.choice(["yes", "no", "na"], size=2), criterion=f"script.c{criterion}")
        for criterion in range(24)
        for call in range(150)
    ]
    started = time.monotonic()
    assert len(agreement(judgements).criteria) == 24
    assert time.monotonic() - started < 5


# Triage


def test_triage_is_the_share_of_the_worst_fifth_that_the_machine_finds():
    human = [0.1, 0.2, *[0.5 + i / 100 for i in range(8)]]
    assert triage(human, human) == 1
    assert triage(human, [0.1, 0.9, *human[2:]]) == 0.5
    assert triage(human, [1 - score for score in human]) == 0


def test_a_fifth_is_rounded_up():
    six = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert triage(six, [0.1, 0.9, 0.2, 0.4, 0.5, 0.6]) == 0.5
    assert triage([0.7], [0.2]) == 1
    assert triage([], []) is None


def test_ties_at_the_border_count_in_part_and_not_by_order():
    # One place; two calls have the worst score. The machine finds one of them: right every second time.
    tied = [0.2, 0.2, 0.5, 0.6, 0.7]
    assert triage(tied, [0.1, 0.3, 0.5, 0.6, 0.7]) == 0.5
    assert triage(tied, [0.3, 0.1, 0.5, 0.6, 0.7]) == 0.5
    assert triage([0.1, 0.2, 0.5, 0.6, 0.7], tied) == 0.5
    # A machine that scores all calls alike is as good as chance.
    assert triage([0.1, 0.2, 0.5, 0.6, 0.7], [0.5] * 5) == pytest.approx(1 / 5)


def test_triage_is_the_mean_over_all_ways_to_break_ties():
    random = np.random.default_rng(4)
    human, machine = random.integers(4, size=12) / 4, random.integers(4, size=12) / 4
    shares = []
    for _ in range(20_000):
        worst = [set(np.lexsort((random.random(12), scores))[:3]) for scores in (human, machine)]
        shares.append(len(worst[0] & worst[1]) / 3)
    assert triage(list(human), list(machine)) == pytest.approx(np.mean(shares), abs=0.01)


def test_what_triage_can_reach_is_given_beside_it():
    answers = {0: "no", 1: "no", 2: "yes", 3: "yes", 4: "yes"}
    found = agreement([judgement(call, answer, answer) for call, answer in answers.items()])
    # Two calls tie for one place, for people and for the machine: 2 * 1/2 * 1/2.
    assert (found.triage, found.triage_reachable) == (0.5, 0.5)


def test_a_score_is_the_share_of_yes_and_leaves_na_and_unsure_out():
    # People: call 0 has 1/2, all others 1. The machine: call 0 has 0 of 1, call 1 1 of 1, call 2 1 of 2.
    answers = {
        0: [("no", "no"), ("yes", "unsure"), ("na", "na")],
        1: [("yes", "yes"), ("yes", "unsure"), ("yes", "na")],
        2: [("yes", "yes"), ("yes", "no"), ("na", "na")],
        3: [("yes", "yes")],
        4: [("yes", "yes")],
    }
    found = agreement(
        [
            judgement(call, *pair, criterion=f"pec.c{i}")
            for call, pairs in answers.items()
            for i, pair in enumerate(pairs)
        ]
    )
    assert found.triage == 1


def test_a_call_in_which_nothing_counts_comes_last():
    answers = {0: "unsure", 1: "no", 2: "yes", 3: "yes", 4: "yes"}
    found = agreement([judgement(call, "no" if call == 1 else "yes", a) for call, a in answers.items()])
    assert found.triage == 1
    nothing = {0: "na", 1: "no", 2: "yes", 3: "yes", 4: "yes"}
    assert agreement([judgement(call, a, a) for call, a in nothing.items()]).triage == 1


# Confidence


def test_the_reliability_table_and_its_error_by_hand():
    # 0.8 to 0.9: two marks of confidence 0.85, one right: 0.35 apart. 0.9 to 1: two of 0.95 and 1, both
    # right: 0.025 apart. Together (2 * 0.35 + 2 * 0.025) / 4.
    found = agreement(
        [
            judgement(0, "yes", "yes", confidence=0.85),
            judgement(1, "yes", "no", confidence=0.85),
            judgement(2, "no", "no", confidence=0.95),
            judgement(3, "no", "no", confidence=1.0),
        ]
    )
    filled = {own.low: own for own in found.reliability if own.n}
    assert set(filled) == {0.8, 0.9}
    assert (filled[0.8].n, filled[0.8].confidence, filled[0.8].right) == (2, pytest.approx(0.85), 0.5)
    assert (filled[0.9].n, filled[0.9].confidence, filled[0.9].right) == (2, pytest.approx(0.975), 1)
    assert found.calibration_error == pytest.approx(0.1875)


def test_a_confidence_is_right_if_the_leaning_is_also_where_the_answer_is_unsure():
    found = agreement([judgement(0, "yes", "unsure", leaning="yes", confidence=0.45)])
    assert found.reliability[0].n == 1
    assert found.reliability[0].right == 1
    assert found.accuracy == 0


def test_a_confidence_on_a_border_belongs_above_it():
    found = agreement([judgement(0, "yes", "yes", confidence=0.7)])
    assert [own.low for own in found.reliability if own.n] == [0.7]


# What cannot be measured


def test_nothing_judged_gives_no_figures_and_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = agreement([])
    assert (found.calls, found.marks, found.mean_kappa, found.accuracy, found.triage) == (
        0,
        0,
        None,
        None,
        None,
    )
    assert found.mean_kappa_interval is None
    assert found.calibration_error is None
    assert found.criteria == {}


def test_a_mark_given_twice_is_refused():
    with pytest.raises(ValueError, match="judged twice"):
        agreement([judgement(0, "yes", "yes"), judgement(0, "yes", "no")])
