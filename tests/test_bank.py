"""The bank of worded examples: readable, without doubles, and never of two minds about a turn."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

FILES = sorted((ROOT / "data" / "bank").glob("*.txt"))
HEAD = re.compile(r"== (!?)(\w+) \| .+")
TURN = re.compile(r"([ACS]): (.+?) \[([\w ]*)\]")
# Shorter turns ("okay", "слушаю вас") rightly mean different things in different places.
TELLING = 30


def acts_of(speakers: set[str]) -> set[str]:
    """All acts that these speakers do in the labelled calls."""
    found = set()
    for tagged in (ROOT / "data" / "labelled" / "acts").glob("*.jsonl"):
        calls = (tagged.parent.parent / tagged.name).read_text("utf-8").splitlines()
        for call, acts in zip(calls, tagged.read_text("utf-8").splitlines(), strict=True):
            turns = json.loads(call)["turns"]
            for turn, own in zip(turns, json.loads(acts)["acts"], strict=True):
                if turn["speaker"] in speakers:
                    found |= set(own)
    return found


def snippets(path: Path):
    """(line, near miss?, act, turns) of each snippet; a turn is (speaker, text, acts)."""
    for match in re.finditer(r"(?ms)^== .*?(?=^== |\Z)", path.read_text("utf-8")):
        line = path.read_text("utf-8").count("\n", 0, match.start()) + 1
        head, *turns = [text for text in match[0].splitlines() if text.strip()]
        opened = HEAD.fullmatch(head)
        assert opened, f"{path.name}:{line}: {head}"
        read = []
        for text in turns:
            turn = TURN.fullmatch(text.strip())
            assert turn, f"{path.name}:{line}: {text}"
            read.append((turn[1], turn[2], frozenset(turn[3].split())))
        yield f"{path.name}:{line}", bool(opened[1]), opened[2], read


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_last_turn_does_the_act_and_in_a_near_miss_it_does_not(path):
    for where, miss, act, turns in snippets(path):
        assert turns, where
        assert (act in turns[-1][2]) is not miss, where


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_tag_is_an_act_of_the_one_who_speaks(path):
    known = {
        "A": acts_of({"agent", "agent2"}),
        "C": acts_of({"customer"}),
        "S": {"recording", "company", "greet"},
    }
    for where, _, _, turns in snippets(path):
        for speaker, _, acts in turns:
            assert acts <= known[speaker], (where, speaker, sorted(acts - known[speaker]))


def test_no_telling_last_turn_stands_twice_and_none_is_tagged_in_two_ways():
    seen = defaultdict(list)
    for path in FILES:
        for where, _, _, turns in snippets(path):
            speaker, text, acts = turns[-1]
            if len(text) >= TELLING:
                seen[speaker, text.lower()].append((where, acts))
    assert not {key: found for key, found in seen.items() if len(found) > 1}


def test_every_language_has_both_the_act_and_its_near_misses():
    counts = defaultdict(int)
    for path in FILES:
        for _, miss, act, _ in snippets(path):
            counts[path.name[:2], act, miss] += 1
    languages = {language for language, _, _ in counts}
    acts = {act for _, act, _ in counts}
    assert languages == {"en", "ru", "pl", "ro"}
    assert len(acts) == 53
    assert not [(lang, act) for lang in languages for act in acts if not counts[lang, act, False]]
    assert not [(lang, act) for lang in languages for act in acts if not counts[lang, act, True]]
