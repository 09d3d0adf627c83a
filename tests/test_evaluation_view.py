"""How agreement is shown: everything on a terminal of 100 columns, and all figures as JSON."""

import io
import json

from rich.console import Console

from wellheard.training.agreement import Judgement, agreement
from wellheard.views.evaluation import as_json, show


def judgement(call, label, answer, criterion="pec.empathy", **fields):
    return Judgement(
        **{
            "call_id": str(call),
            "criterion": criterion,
            "label": label,
            "answer": answer,
            "leaning": label if answer == "unsure" else answer,
            "confidence": 0.85,
            "label_turns": (2,),
            "found": True,
            "keyword": "no",
            **fields,
        }
    )


def shown(judgements, width=100):
    page = io.StringIO()
    show(Console(file=page, width=width, markup=False, emoji=False, highlight=False), agreement(judgements))
    return page.getvalue()


def row(page, name):
    (line,) = [line for line in page.splitlines() if line.split()[:1] == [name]]
    return line


MIXED = [
    judgement(0, "yes", "yes"),
    judgement(1, "yes", "yes", found=False),
    judgement(2, "no", "unsure", found=None),
    judgement(3, "no", "no", found=None),
]


def test_a_criterion_in_one_line():
    # Kappa 0.6 as worked out in test_agreement.py; keyword lists say no to all.
    cells = row(shown(MIXED), "empathy").split()
    assert " ".join(cells) == "empathy 4 2/2/0 75 % 0.60 50 % 50 % 0.00 50 % 25 % 1.00"


def test_what_a_kappa_is_stands_above_in_plain_words():
    assert "Kappa is agreement beyond chance" in shown(MIXED)


def test_the_mean_triage_and_confidence_follow():
    page = shown(MIXED)
    assert "4 marks of 4 calls" in page
    assert "mean of kappas" in page
    assert "Of the fifth of calls that people marked worst" in page
    assert "0.8 to 0.9" in page
    # Confidence 0.85; the unsure mark leans the right way, so all four are right.
    assert "0.15 apart" in page


def test_an_interval_stands_with_its_kappa():
    own = [judgement(i, "yes" if i % 2 else "no", "yes" if i % 2 else "no") for i in range(10)]
    assert "1.00 (1.00 to 1.00)" in row(shown(own), "empathy")


def test_it_fits_a_hundred_columns_whatever_the_figures():
    names = (
        "resolution.deescalated",
        "script.recording_notice",
        "house." + "a_criterion_with_a_long_name" * 3,
    )
    answers = ("yes", "no", "na")
    many = [
        judgement(call, answers[call % 3], answers[(call + 1 + call % 2) % 3], name)
        for name in names
        for call in range(1500)
    ]
    page = shown(many)
    assert max(map(len, page.splitlines())) <= 100
    assert "…" not in page
    assert "500/500/500" in row(page, "deescalated")


def test_nothing_is_lost_on_a_terminal_of_eighty_columns():
    own = [judgement(i, *pair) for i, pair in enumerate([("yes", "yes"), ("no", "no"), ("no", "yes")] * 4)]
    wide, narrow = shown(own), shown(own, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert row(narrow, "empathy").split()[-1] == row(wide, "empathy").split()[-1]
    assert sorted(narrow.split()) == sorted(wide.split())


def test_no_labels_are_said_to_be_none():
    assert "There are no labels" in shown([])


def test_a_criterion_without_keyword_lists_shows_a_dash():
    assert "–" in row(shown([judgement(0, "yes", "yes", keyword=None)]), "empathy")


def test_what_triage_can_reach_is_said_only_where_it_is_less_than_all():
    tied = [judgement(i, a, a) for i, a in enumerate(["no", "no", "yes", "yes", "yes"])]
    assert "50 % is the most one can reach" in " ".join(shown(tied).split())
    clear = [judgement(i, a, a) for i, a in enumerate(["no", "yes", "yes", "yes", "yes"])]
    assert "the most one can reach" not in " ".join(shown(clear).split())


# JSON


def test_json_has_every_figure_and_every_mark():
    found = agreement(MIXED)
    content = json.loads(as_json(found, MIXED, {("0", "pec.empathy"): [2, 5], ("1", "pec.empathy"): [12.5]}))
    assert content["mean_kappa"] == found.mean_kappa
    assert content["triage"] == found.triage
    assert content["number_of_calls"] == 4
    own = content["criteria"]["pec.empathy"]
    assert (own["n"], own["yes"], own["no"], own["na"]) == (4, 2, 2, 0)
    assert (own["accuracy"], own["evidence_hit_rate"], own["unsure"]) == (0.75, 0.5, 0.25)
    assert [own[name] for name in ("commonest_kappa", "keywords_kappa", "sure_kappa")] == [0, 0, 1]
    assert [level["n"] for level in content["reliability"]] == [0, 0, 0, 0, 4, 0]
    assert content["calls"]["0"]["pec.empathy"] == {
        "label": "yes",
        "answer": "yes",
        "leaning": "yes",
        "keyword": "no",
        "confidence": 0.85,
        "evidence": [2, 5],
    }
    assert content["calls"]["1"]["pec.empathy"]["evidence"] == [12.5]
    assert content["calls"]["2"]["pec.empathy"]["evidence"] == []


def test_json_says_null_where_nothing_can_be_measured():
    def refuse(constant):
        raise AssertionError(constant)

    one = [judgement(0, "yes", "unsure", found=None, keyword=None)]
    own = json.loads(as_json(agreement(one), one, {}), parse_constant=refuse)["criteria"]["pec.empathy"]
    for name in ("interval", "sure_kappa", "evidence_hit_rate", "keywords_kappa"):
        assert own[name] is None
    nothing = json.loads(as_json(agreement([]), [], {}), parse_constant=refuse)
    assert nothing["mean_kappa"] is nothing["triage"] is nothing["calibration_error"] is None
    assert nothing["criteria"] == nothing["calls"] == {}
