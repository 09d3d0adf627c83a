"""How well recordings were heard, in figures: words, parties, roles, voices, holds, interruptions, sounds."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sounds
from conftest import ROOT

from wellheard.pipeline.errors import BadReference, NoInput
from wellheard.pipeline.settings import Listen, Settings
from wellheard.training.hearing import CallHearing, Moments, of_call, of_group
from wellheard.training.normalise import normalise
from wellheard.training.references import Reference, ReferenceSound, ReferenceTurn, beside, find_all, read
from wellheard.views.hearing import as_json, as_markdown, groups

SPOKEN = (
    ("agent", 0.0, 2.0, "thank you for calling"),
    ("customer", 3.0, 5.0, "my order did not come"),
    ("agent", 30.0, 31.0, "it left today"),
)


def reference(*turns: tuple[str, float, float, str | None], **known: Any) -> Reference:
    return Reference(
        turns=tuple(ReferenceTurn(speaker=who, start_s=a, end_s=b, text=text) for who, a, b, text in turns),
        language=known.get("language", "en"),
        sounds=known.get("sounds"),
    )


def rows(*said: tuple[str, float, float, str]) -> list[dict[str, Any]]:
    """Turns as they are stored, their words of equal length."""
    stored = []
    for number, (speaker, start_s, end_s, text) in enumerate(said):
        texts = text.split()
        length = (end_s - start_s) / len(texts)
        words = [
            {
                "start_s": start_s + i * length,
                "end_s": start_s + (i + 1) * length,
                "text": t,
                "probability": 1.0,
            }
            for i, t in enumerate(texts)
        ]
        stored.append({"turn": number, "speaker": speaker, "words": words})
    return stored


def call(channels: int = 2, **heard: Any) -> dict[str, Any]:
    return {
        "call_id": "c1",
        "language": "en",
        "channels": channels,
        "duration_s": 60.0,
        "holds": [],
        "interruptions": [],
        "sounds": [],
        **heard,
    }


def hearing(of: Reference, *said: tuple[str, float, float, str], **stored: Any) -> CallHearing:
    return of_call("calls", of, call(**stored), rows(*said), Listen())


def test_a_call_that_was_heard_as_it_is_has_no_errors():
    heard = hearing(reference(*SPOKEN), *SPOKEN)
    assert (heard.words, heard.errors) == (12, 0)
    assert heard.judged == heard.right == heard.in_role == 12
    assert heard.wrong_s == pytest.approx((0.0, 0.0))


def test_words_are_counted_as_substituted_left_out_or_put_in():
    heard = hearing(
        reference(*SPOKEN),
        ("agent", 0.0, 2.0, "thanks for calling us"),
        ("customer", 3.0, 5.0, "my order did come"),
        ("agent", 30.0, 31.0, "it left today"),
    )
    assert (heard.words, heard.errors) == (12, 4)


def test_on_two_channels_each_is_compared_by_itself_whatever_the_roles():
    swapped = [("customer" if who == "agent" else "agent", a, b, text) for who, a, b, text in SPOKEN]
    heard = hearing(reference(*SPOKEN), *swapped)
    assert (heard.errors, heard.right, heard.in_role) == (0, 12, 0)
    assert of_group([heard]).roles_right == 0


def test_a_word_with_the_wrong_party_is_heard_but_not_right():
    heard = hearing(
        reference(*SPOKEN),
        ("agent", 0.0, 2.0, "thank you for calling"),
        ("agent", 3.0, 4.0, "my order"),
        ("customer", 4.0, 5.0, "did not come"),
        ("agent", 30.0, 31.0, "it left today"),
        channels=1,
    )
    assert (heard.errors, heard.judged, heard.right) == (0, 12, 10)
    assert heard.wrong_s[0] == pytest.approx(1.0)
    assert heard.wrong_s[1] < heard.wrong_s[0]


def test_an_announcement_may_be_nobodys_or_the_agents_sides():
    announced = reference(("system", 0.0, 2.0, "this call is recorded"), *SPOKEN[1:])
    for speaker in ("other", "agent"):
        heard = hearing(announced, (speaker, 0.0, 2.0, "this call is recorded"), *SPOKEN[1:])
        assert heard.judged == heard.in_role


def test_where_only_speech_is_known_no_words_are_counted():
    heard = hearing(reference(*((who, a, b, None) for who, a, b, _ in SPOKEN)), *SPOKEN)
    assert (heard.words, heard.errors, heard.judged) == (None, None, 12)
    assert of_group([heard]).word_error_rate is None


def test_a_hold_is_found_with_its_ends():
    found = hearing(reference(*SPOKEN), *SPOKEN, holds=[{"start_s": 5.2, "end_s": 29.9}])
    assert found.holds == Moments(there=1, found=1, said=1, right=1)
    assert found.hold_errors_s == (0.2, 0.1)
    wrong = hearing(reference(*SPOKEN), *SPOKEN, holds=[{"start_s": 31.0, "end_s": 60.0}])
    assert wrong.holds == Moments(there=1, found=0, said=1, right=0)


def test_an_interruption_is_found_by_its_moment_and_by_who_it_is():
    cut_in = reference(("agent", 0, 5, "a b c d"), ("customer", 4, 8, "no no not that"))
    found = hearing(cut_in, *SPOKEN, interruptions=[{"at_s": 4.2, "by": "customer"}])
    assert found.interruptions == Moments(there=1, found=1, said=1, right=1)
    other = hearing(cut_in, *SPOKEN, interruptions=[{"at_s": 4.2, "by": "agent"}])
    assert other.interruptions == Moments(there=1, found=0, said=1, right=0)


def test_sounds_are_found_by_kind_and_place():
    barks = reference(*SPOKEN, sounds=(ReferenceSound(sound="dog", start_s=10, end_s=13),))
    said = [{"start_s": 11, "end_s": 12, "kind": "dog"}, {"start_s": 11, "end_s": 12, "kind": "baby"}]
    heard = hearing(barks, *SPOKEN, sounds=said)
    assert heard.sounds is not None
    assert heard.sounds["dog"] == Moments(there=1, found=1, said=1, right=1)
    assert heard.sounds["baby"] == Moments(there=0, found=0, said=1, right=0)
    assert hearing(reference(*SPOKEN), *SPOKEN, sounds=said).sounds is None


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "It's order four four one, I'd say.", "it is order 441 I would say"),
        ("ru", "Ещё двадцать пять тысяч триста: не третий!", "еще 25 300: не 3"),
        ("ru", "девятьсот шестнадцать, триста два, сорок, ноль восемь", "916 302-40-08"),
        ("pl", "Dwieście trzydzieści pięć tysięcy", "235 000"),
        ("ro", "două sute douăzeci și trei", "223"),
        ("de", "Äpfel, bitte!", "äpfel bitte"),
    ],
)
def test_texts_are_made_alike_before_they_are_compared(language, one, other):
    assert normalise(one, language) == normalise(other, language)


def test_numbers_that_stand_side_by_side_stay_apart():
    assert normalise("один два три", "ru") == "1 2 3"
    assert normalise("сорок ноль восемь", "ru") == "4 0 0 8"


def test_the_figures_of_a_group_weigh_calls_by_their_words():
    good = hearing(reference(*SPOKEN), *SPOKEN)
    bad = hearing(reference(("agent", 0, 1, "yes")), ("agent", 0, 1, "no"))
    figures = of_group([good, bad])
    assert figures.word_error_rate is not None
    assert figures.word_error_rate.share == pytest.approx(1 / 13)
    assert figures.word_error_rate.interval == pytest.approx((0.0, 1.0))
    assert figures.diarization is not None


def test_a_table_has_a_column_for_each_folder_language_and_number_of_channels():
    heard = [hearing(reference(*SPOKEN), *SPOKEN, channels=channels) for channels in (1, 2)]
    lines = as_markdown(groups(heard)).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")][2:4] == ["calls en mono", "calls en stereo"]
    assert [cell.strip() for cell in lines[4].split("|")][1:4] == ["word error rate", "0.0 %", "0.0 %"]
    assert len({len(line) for line in lines}) == 1


def test_the_json_has_groups_and_calls_and_no_words():
    text = as_json([hearing(reference(*SPOKEN), *SPOKEN)])
    content = json.loads(text)
    assert content["groups"][0]["word_error_rate"] == {"share": 0.0, "interval": None}
    assert content["calls"][0]["call_id"] == "c1"
    assert "order" not in text


def recording(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"RIFF")
    return path


def test_a_reference_lies_beside_its_recording_or_in_a_folder_of_references(tmp_path):
    lines = "SPEAKER a 1 0.50 1.25 <NA> <NA> agent <NA> <NA>\n"
    one, two, mono, none = (
        recording(tmp_path / "audio", name) for name in ("one.wav", "two.wav", "call_mono.wav", "no.wav")
    )
    (tmp_path / "audio" / "one.rttm").write_text(lines)
    (tmp_path / "audio" / "call.rttm").write_text(lines)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "two.json").write_text(
        '{"turns": [{"speaker": "agent", "start_s": 0, "end_s": 1, "text": "hello"}], "language": "en"}'
    )
    known = beside([str(one), str(two), str(mono), str(none)])
    assert set(known) == {str(one), str(two), str(mono)}
    assert (known[str(one)].turns[0].end_s, known[str(one)].verbatim) == (1.75, False)
    assert known[str(two)].verbatim


@pytest.mark.parametrize("content", ["", "{}", '{"turns": []}', '{"turns": [{"speaker": 1}]}'])
def test_a_reference_that_says_nothing_is_named(tmp_path, content):
    file = tmp_path / "one.json"
    file.write_text(content)
    with pytest.raises(BadReference, match=r"the reference .*one\.json"):
        read(file)


def test_a_folder_without_references_is_said(tmp_path):
    recording(tmp_path, "one.wav")
    with pytest.raises(NoInput, match="no recording has a reference"):
        find_all([tmp_path], Settings())


def test_the_command_prints_a_table_and_writes_json(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("one.wav", "unknown.wav"):
        sounds.write(folder / name, sounds.silence(1))
    (folder / "one.rttm").write_text("SPEAKER one 1 0.0 1.0 <NA> <NA> agent <NA> <NA>\n")
    command = [sys.executable, str(ROOT / "tests" / "cli_without_models.py"), "bench", "hearing", "calls"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    header, _, calls, *_ = done.stdout.splitlines()
    assert [cell.strip() for cell in header.split("|")][2:-1] == ["calls en stereo"]
    assert [cell.strip() for cell in calls.split("|")][1:-1] == ["calls", "1"]
    assert json.loads((tmp_path / "out.json").read_text())["calls"][0]["judged"] > 0


def test_the_references_of_the_labelled_material_are_read(shared):
    found, known = find_all([shared / "calls" / "spoken", shared / "recordings" / "real"], Settings())
    assert len(found.sources) == len(known) == 51
    of_folder = Counter(folder for folder, _ in known.values())
    assert of_folder == {"spoken": 48, "real": 3}
    assert sum(reference.verbatim for _, reference in known.values()) == 48
