"""The bank of worded examples: readable, without doubles, and never of two minds about a turn."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from wellheard.pipeline.errors import BadLabels
from wellheard.rubrics.acts import ACTS, may_show
from wellheard.rubrics.facts import languages
from wellheard.training.bank import FOLDER, Snippet, read

FILES = sorted(FOLDER.glob("*.txt"))
# Shorter turns ("okay", "слушаю вас") rightly mean different things in different places.
TELLING = 30

WRITTEN = """\
== thanks | online shop
A: It's on its way. [solve]
C: Lovely, thank you so much. [thanks accept]

== !recording | bank
S: Welcome to the bank. [greet company]
A: I've recorded your meter reading. []
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "en_9.txt"
    path.write_text(text, "utf-8")
    return path


# How it is written


def test_a_snippet_is_some_turns_the_last_of_which_does_the_act_or_nearly(tmp_path: Path):
    does, misses = read(written(tmp_path, WRITTEN))
    assert does == Snippet(
        language="en",
        act="thanks",
        miss=False,
        trade="online shop",
        turns=(("agent", "It's on its way."), ("customer", "Lovely, thank you so much.")),
        acts=(frozenset({"solve"}), frozenset({"thanks", "accept"})),
    )
    assert (misses.act, misses.miss, misses.turns[0][0]) == ("recording", True, "other")
    assert misses.acts[-1] == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("== thanks |", "== thanks,", "line 1 is no head"),
        ("A: It's", "Anna: It's", "line 2 is no turn"),
        (" [solve]", "", "line 2 is no turn"),
        ("== thanks | online shop\n", "", "line 1 is no turn"),
    ],
)
def test_a_line_that_is_wrong_is_named_without_what_it_says(tmp_path: Path, old: str, new: str, said: str):
    with pytest.raises(BadLabels, match=said) as error:
        list(read(written(tmp_path, WRITTEN.replace(old, new))))
    assert "on its way" not in str(error.value)


# What is in it


@pytest.fixture(scope="module")
def snippets() -> list[Snippet]:
    return [snippet for path in FILES for snippet in read(path)]


def test_the_last_turn_does_the_act_and_in_a_near_miss_it_does_not(snippets: list[Snippet]):
    assert not [snippet for snippet in snippets if (snippet.act in snippet.acts[-1]) is snippet.miss]


def test_every_tag_is_an_act_of_the_one_who_speaks(snippets: list[Snippet]):
    for snippet in snippets:
        for (speaker, _), acts in zip(snippet.turns, snippet.acts, strict=True):
            assert acts <= set(ACTS), snippet
            assert all(may_show(speaker, act) for act in acts), snippet


def test_no_telling_last_turn_stands_twice_and_none_is_tagged_in_two_ways(snippets: list[Snippet]):
    seen = defaultdict(list)
    for snippet in snippets:
        speaker, text = snippet.turns[-1]
        if len(text) >= TELLING:
            seen[speaker, text.lower()].append(snippet)
    assert not [found for found in seen.values() if len(found) > 1]


def test_every_language_has_both_the_act_and_its_near_misses(snippets: list[Snippet]):
    counts = Counter((snippet.language, snippet.act, snippet.miss) for snippet in snippets)
    wanted = [(language, act, miss) for language in languages() for act in ACTS for miss in (False, True)]
    assert not [key for key in wanted if not counts[key]]
    assert set(counts) <= set(wanted)
