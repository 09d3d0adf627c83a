"""`wellheard rubric lint`: what a rubric can never do, does twice, leaves open or leaves unworded."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from wellheard.pipeline.errors import BadRubric
from wellheard.pipeline.records import CallInfo, Heard, Turn, Word
from wellheard.rubrics import facts
from wellheard.rubrics.acts import ACTS
from wellheard.rubrics.loader import BUILT_IN, FOLDER, lint, load
from wellheard.rubrics.rules import Condition, Findings, weigh
from wellheard.rubrics.sense import CUSTOMER_FACTS, FACTS_OF_OTHERS, _exclude, _implies
from wellheard.rubrics.yamlfile import Problem

HEAD = """\
id: house
version: 1
title: House rules
languages: [en]
criteria:
"""
GOOD = """\
  - id: greets
    title: Greets
    means: the agent greets
    not_asked: never
    judge: rules
    rule:
      yes_when: {act: greet, where: opening}
  - id: lets_go
    title: Lets go
    means: the agent lets an offer go
    not_asked: no offer
    judge: rules
    rule:
      asked_when: {act: offer}
      yes_when: {act: let_go, after: decline, within: 3}
      no_when: {act: push}
"""


def found(folder: Path, text: str) -> list[Problem]:
    path = folder / "house.yaml"
    path.write_text(text, "utf-8")
    return lint(path)


def said(folder: Path, **rule: str) -> list[tuple[int, str, str]]:
    """Lint a rubric with one criterion and this rule: lines (from that of the rule on), severity, reason."""
    occasion = "no occasion" if "asked_when" in rule else "never"
    lines = [
        "  - id: one",
        "    title: One",
        "    means: it is done",
        f"    not_asked: {occasion}",
        "    judge: rules",
        "    rule:",
        *(f"      {part}: {condition}" for part, condition in rule.items()),
    ]
    problems = found(folder, HEAD + "\n".join(lines) + "\n")
    return [(problem.line - 11, problem.severity, problem.reason) for problem in problems]


def test_a_rubric_that_makes_sense_has_nothing_wrong(tmp_path: Path):
    assert found(tmp_path, HEAD + GOOD) == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_rubrics_have_nothing_wrong(name: str):
    problems = lint(FOLDER / f"{name}.yaml")
    assert [str(p) for p in problems if not p.reason.startswith("nothing was trained")] == []


def test_the_rubric_that_the_docs_show_has_nothing_wrong(tmp_path: Path):
    page = (ROOT / "docs" / "rubrics.md").read_text("utf-8")
    (shown,) = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    assert found(tmp_path, shown) == []


# What can never hold or never matters


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("{act: offer, by: customer}", "no turn of “customer” ever shows “offer”"),
        ("{act: [accept, works], by: agent}", "no turn of “agent” ever shows “accept” and “works”"),
        ("{fact: gives_number, by: agent}", "no turn of “agent” ever shows “gives_number”"),
        ("{fact: says_company, by: customer}", "no turn of “customer” ever shows “says_company”"),
        ("{identifiers: 2, by: agent}", "no turn of “agent” ever shows “give_id”"),
        ("{act: shut_out, unless: calmer}", "no turn of “agent” ever shows “calmer”, so it undoes nothing"),
        ("{act: offer, where: opening, times: 3}", "`times` is 3, but the opening has 2 such turns"),
        ("{act: greet, by: agent, where: opening, times: 3}", "`times` is 3"),
        ("{act: thanks, where: ending, times: 9}", "`times` is 9, but the ending has 8 such turns"),
        ("{act: check, within: 2}", "`within` does nothing without `after`"),
        ("{act: offer, before: offer}", "nothing comes before the first of its own kind"),
        ("{act: offer, before: [offer, push]}", "nothing comes before the first of its own kind"),
        ("{act: shut_out, unless: [shut_out, solve]}", "this undoes itself"),
        ("{act: check, after: cue, before: cue}", "nothing comes both after this and before"),
        ("{any: [{act: greet}, {act: company}], where: opening}", "`where` does nothing beside `any`"),
        ("{all: [{act: greet}, {act: company}], times: 2}", "`times` does nothing beside `all`"),
        ("{wait: any, after: greet}", "`after` does nothing beside `wait`"),
        ("{identifiers: 2, times: 2}", "`times` does nothing beside `identifiers`"),
        ("{all: [{act: check}, {none: [{act: [check, recap]}]}]}", "these can never hold together"),
        ("{any: [{act: check}, {none: [{act: check}]}]}", "one of these always holds, so `any` always does"),
        ("{none: [{act: check}, {none: [{act: check}]}]}", "one of these always holds, so `none` never does"),
        ("{any: []}", "`any` holds no condition"),
        ("{act: []}", "`act` names nothing"),
    ],
)
def test_a_part_that_can_never_hold_or_matter_is_an_error(tmp_path: Path, condition: str, reason: str):
    ((line, severity, text),) = said(tmp_path, yes_when=condition)
    assert (line, severity) == (1, "error")
    assert text.startswith(reason)
    with pytest.raises(BadRubric):
        load(str(tmp_path / "house.yaml"))


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (
            "{any: [{act: check}, {act: recap}, {act: [check]}]}",
            "the same condition stands twice under `any`",
        ),
        ("{all: [{act: check}, {act: check}]}", "the same condition stands twice under `all`"),
        ("{act: [check, recap, check]}", "“check” stands twice here"),
        ("{act: [offer, accept], by: agent}", "no turn of “agent” ever shows “accept”"),
        ("{act: upset, after: upset}", "this only means that it is done twice"),
    ],
)
def test_a_part_that_says_nothing_more_is_a_warning(tmp_path: Path, condition: str, reason: str):
    ((line, severity, text),) = said(tmp_path, yes_when=condition)
    assert (line, severity) == (1, "warning")
    assert text.startswith(reason)
    load(str(tmp_path / "house.yaml"))


@pytest.mark.parametrize(
    "condition",
    [
        "{act: check, where: opening, after: farewell}",  # odd, but possible
        "{act: greet, where: opening, times: 3}",  # by two announcements and the agent
        "{act: fact, where: opening, times: 3}",  # a third party speaks between
        "{act: upset, after: upset, within: 4}",  # twice in a short time
        "{act: upset, where: ending, after: upset}",  # still
        "{act: offer, before: offer, needs: 0.2}",  # less sure ones before the first sure one
        "{act: [offer, push], before: push}",
        "{act: offer, unless: let_go}",
        "{fact: gives_time, by: agent}",
        "{fact: says_company, by: other}",
        "{all: [{act: check}, {none: [{act: check, where: ending}]}]}",
        "{any: [{act: check}, {none: [{act: [check, recap]}]}]}",
        "{any: [{act: check}, {act: check, times: 2}]}",
    ],
)
def test_what_may_hold_is_left_alone(tmp_path: Path, condition: str):
    assert said(tmp_path, yes_when=condition) == []


def test_the_line_of_a_condition_inside_others_is_named(tmp_path: Path):
    text = HEAD + GOOD.replace(
        "yes_when: {act: let_go, after: decline, within: 3}",
        "yes_when:\n        all:\n          - {act: let_go}\n          - any:\n"
        "              - {act: check}\n              - act: decline\n                by: agent",
    )
    (problem,) = found(tmp_path, text)
    lines = text.splitlines()
    assert lines[problem.line - 1].strip() == "by: agent"
    assert problem.advice


@pytest.mark.parametrize(
    "rule",
    [
        {"yes_when": "{act: check}", "no_when": "{act: check}"},
        {"yes_when": "{act: check}", "no_when": "{any: [{act: [check, recap]}, {act: push}]}"},
        {"yes_when": "{all: [{act: check}, {act: works}]}", "no_when": "{act: check}"},
        {"asked_when": "{act: offer}", "no_when": "{act: [offer, push]}"},
        {"asked_when": "{act: offer}", "yes_when": "{act: check}", "no_when": "{act: offer}"},
        {"asked_when": "{none: [{act: check}]}", "yes_when": "{act: check}"},
    ],
)
def test_a_rule_that_never_says_yes_is_an_error(tmp_path: Path, rule: dict[str, str]):
    ((line, severity, text),) = said(tmp_path, **rule)
    assert line == len(rule)
    assert severity == "error"
    assert text.startswith("a yes can never come")


def test_a_rule_that_never_says_no_is_a_warning(tmp_path: Path):
    problems = said(tmp_path, asked_when="{act: check}", yes_when="{act: [check, recap]}")
    assert [(line, severity) for line, severity, _ in problems] == [(2, "warning")]
    assert said(tmp_path, asked_when="{act: check}", yes_when="{act: check}", no_when="{act: push}") == []


# What is ambiguous


def test_an_act_that_makes_both_a_yes_and_a_no_is_a_warning(tmp_path: Path):
    ((line, severity, text),) = said(
        tmp_path, yes_when="{act: [thanks, accept]}", no_when="{any: [{act: reject}, {act: thanks}]}"
    )
    assert (line, severity) == (2, "warning")
    assert text.startswith("“thanks” makes it both a yes and a no")


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("{act: [thanks, accept], where: ending}", "{act: [thanks, reject], where: opening}"),
        ("{act: [offer, check], after: solve}", "{act: [offer, push], before: solve}"),
        ("{act: [offer, check]}", "{act: [offer, push], times: 3}"),
        ("{all: [{act: take_on}, {act: definite_time}]}", "{all: [{act: take_on}, {act: vague_time}]}"),
    ],
)
def test_an_act_told_apart_by_place_order_number_or_company_is_not(tmp_path: Path, yes: str, no: str):
    assert said(tmp_path, yes_when=yes, no_when=no) == []


def test_when_a_criterion_is_not_asked_must_fit_its_rule(tmp_path: Path):
    (problem,) = found(tmp_path, HEAD + GOOD.replace("not_asked: never", "not_asked: the call breaks off"))
    assert (problem.line, problem.severity) == (9, "warning")
    assert "without `asked_when` every call does" in problem.reason
    (problem,) = found(tmp_path, HEAD + GOOD.replace("not_asked: no offer", "not_asked: Never."))
    assert (problem.line, problem.severity) == (16, "warning")
    assert "`asked_when` leaves calls out" in problem.reason


def test_a_title_that_stands_twice_is_named_with_the_first(tmp_path: Path):
    (problem,) = found(tmp_path, HEAD + GOOD.replace("title: Lets go", "title: greets"))
    assert (problem.line, problem.severity) == (14, "warning")
    assert "the title “greets” stands twice; the first is that of “greets” in line 6" in problem.reason


# What counts twice


def test_two_criteria_with_the_same_rule_are_a_warning(tmp_path: Path):
    again = GOOD[: GOOD.index("  - id: lets_go")].replace("greets", "welcomes").replace("Greets", "Welcomes")
    (problem,) = found(tmp_path, HEAD + GOOD + again)
    assert (problem.line, problem.severity) == (27, "warning")
    assert problem.reason.startswith("this is the same rule as “greets” in line 6")


def test_the_same_yes_counts_twice_unless_its_weight_differs(tmp_path: Path):
    again = GOOD[: GOOD.index("  - id: lets_go")].replace("greets", "welcomes").replace("Greets", "Welcomes")
    again = again.replace("never", "no beginning") + "      asked_when: {act: ask_matter}\n"
    (problem,) = found(tmp_path, HEAD + GOOD + again)
    assert problem.reason.startswith("this has the same `yes_when` and weight as “greets”")
    assert found(tmp_path, HEAD + GOOD + again.replace("    judge", "    weight: 0\n    judge")) == []


# What is unworded


def test_a_title_missing_in_a_language_of_the_rubric_is_a_warning(tmp_path: Path):
    text = HEAD.replace("[en]", "[en, ru]").replace("House rules", "{en: House rules, ru: Правила}")
    text += GOOD.replace("title: Greets", "title: {en: Greets, ru: Здоровается}")
    (problem,) = found(tmp_path, text)
    assert (problem.line, problem.severity) == (14, "warning")
    assert problem.reason == "the title is missing in ru"
    assert problem.advice == "Write it in all: {en: …, ru: …}."


def own(like: str, languages: str) -> str:
    """A rubric with an act of the house's own, taught by ten examples."""
    titles = "{en: Mag, ru: Маг, pl: Mag}"
    head = HEAD.replace("[en]", languages).replace("House rules", titles)
    examples = [f"{like} {number}" for number in range(10)]
    return (
        head
        + f"  - id: one\n    title: {titles}\n    means: it is done\n    not_asked: never\n    judge: rules\n"
        + "    rule:\n      yes_when: {act: magnet}\n"
        + "acts:\n  magnet:\n    by: agent\n    called: a magnet\n    like:\n"
        + "".join(f"      - {text}\n" for text in examples)
        + "    unlike:\n"
        + "".join(f"      - no {text}\n" for text in examples)
    )


def test_examples_in_one_script_are_a_warning_where_calls_are_in_two(tmp_path: Path):
    (problem,) = found(tmp_path, own("fancy a magnet", "[en, ru]"))
    assert (problem.line, problem.severity) == (17, "warning")
    assert "no example of “magnet” is in Cyrillic letters" in problem.reason
    (problem,) = found(tmp_path, own("хотите магнит", "[en, pl, ru]"))
    assert "is in Latin letters" in problem.reason
    assert found(tmp_path, own("fancy a magnet", "[en, pl]")) == []
    mixed = own("fancy a magnet", "[en, ru]").replace("fancy a magnet 3", "хотите магнит", 1)
    assert found(tmp_path, mixed) == []


def test_nobody_but_its_speaker_shows_an_act_of_ones_own(tmp_path: Path):
    text = own("fancy a magnet", "[en]").replace("{act: magnet}", "{act: magnet, by: customer}")
    (problem,) = found(tmp_path, text)
    assert (problem.line, problem.severity) == (12, "error")


# Errors stop a run, warnings do not


def test_a_warning_neither_stops_a_run_nor_changes_the_exit_code(tmp_path: Path):
    def linted() -> tuple[int, list[str]]:
        command = [sys.executable, ROOT / "cli.py", "rubric", "lint", tmp_path / "house.yaml"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout.splitlines()

    found(tmp_path, HEAD + GOOD.replace("not_asked: never", "not_asked: the call breaks off"))
    code, (warning, last) = linted()
    assert code == 0
    assert warning.startswith(f"{tmp_path / 'house.yaml'}:9: warning: `not_asked` names calls")
    assert last == "It can be used as it is."
    assert load(str(tmp_path / "house.yaml")).id == "house"
    found(tmp_path, HEAD + GOOD.replace("within: 3", "within: 0"))
    code, (error,) = linted()
    assert code == 2
    assert error.startswith(f"{tmp_path / 'house.yaml'}:20: `within` is 0")


# What lint claims, tried on calls


def calls() -> list[Findings]:
    """Calls of two turns with every mixture of three acts, sure, half sure and not at all."""
    shares = (0.0, 0.3, 0.5, 0.7, 1.0)
    return [
        Findings(
            speakers=("agent", "agent"),
            acts=({"check": a, "recap": b}, {"check": c, "recap": 0.4}),
            facts=({}, {}),
            holds=(),
            answers={},
            called={},
        )
        for a, b, c in itertools.product(shares, repeat=3)
    ]


def conditions() -> list[Condition]:
    leaves = [
        Condition(act="check"),
        Condition(act=("check", "recap")),
        Condition(act="recap"),
        Condition(act="check", times=2),
        Condition(act="check", needs=0.7),
    ]
    groups = [Condition(**{kind: (one, other)}) for kind in ("all", "any") for one, other in _pairs(leaves)]
    none = [Condition(none=(leaf,)) for leaf in leaves] + [Condition(none=tuple(leaves[1:3]))]
    return [*leaves, *groups, *none, *(Condition(all=(leaves[0], other)) for other in none)]


def _pairs(leaves: list[Condition]) -> list[tuple[Condition, Condition]]:
    return list(itertools.combinations(leaves, 2))


def test_what_is_said_to_imply_or_to_rule_out_does_so_in_every_call():
    likelihoods = {one: [weigh(one, call).likelihood for call in calls()] for one in conditions()}
    implied = excluded = 0
    for (one, of_one), (other, of_other) in itertools.product(likelihoods.items(), repeat=2):
        if _implies(one, other):
            implied += one != other
            assert all(a <= b + 1e-9 for a, b in zip(of_one, of_other, strict=True)), (one, other)
        if _exclude(one, other):
            excluded += 1
            assert all(min(a, b) <= 0.5 + 1e-9 for a, b in zip(of_one, of_other, strict=True)), (one, other)
    assert implied > 50
    assert excluded > 20


def test_facts_are_found_in_turns_of_those_that_lint_expects():
    text = "this is Brightline, Anna, for Ms Cole: 4111 2222, march 3rd, elm street, a@b.com, at six?"
    info = CallInfo(
        call_id="1", agent_name="Anna", company="Brightline", language="en", extra={"customer_name": "Cole"}
    )
    seen: dict[str, set[str]] = {}
    for speaker in ("agent", "customer", "other"):
        turns = [
            Turn(
                speaker=speaker,
                words=tuple(
                    Word(start_s=at + i, end_s=at + i + 0.5, text=word, probability=1.0)
                    for i, word in enumerate(text.split())
                ),
            )
            for at in (0.0, 100.0)
        ]
        heard = Heard(waiting_s=0.0, parties=(), silences=(), holds=(), interruptions=(), overlap_s=0.0)
        for turn in facts.find(turns, heard, info, facts.words_of("en")):
            for fact in turn.keys() & facts.FACTS.keys():
                seen.setdefault(fact, set()).add(speaker)
    assert {fact for fact, who in seen.items() if who == {"customer"}} == set(CUSTOMER_FACTS)
    assert {fact for fact, who in seen.items() if who == {"agent", "other"}} == set(FACTS_OF_OTHERS)
    assert not {*CUSTOMER_FACTS, *FACTS_OF_OTHERS} & set(ACTS)
