"""Text that nobody said: Whisper's lines from films, and what runs in circles."""

import pytest

from wellheard.models.invented import without_invented
from wellheard.pipeline.records import Word


def kept(text: str) -> str:
    words = [
        Word(start_s=i * 0.3, end_s=i * 0.3 + 0.3, text=word, probability=0.9)
        for i, word in enumerate(text.split())
    ]
    return " ".join(word.text for word in without_invented(words))


@pytest.mark.parametrize(
    "line",
    [
        "Thank you for watching!",
        "Thanks for watching and see you next time.",
        "Subtitles by the Amara.org community",
        "Субтитры сделал DimaTorzok",
        "Редактор субтитров А.Синецкая Корректор А.Егорова",
        "Продолжение следует...",
        "Dziękuję za oglądanie.",
        "Napisy stworzone przez społeczność Amara.org",
        "Vă mulțumim pentru vizionare!",
        "Nu uitați să vă abonați la canal!",
    ],
)
def test_lines_from_films_go_and_what_is_around_them_stays(line):
    assert kept(line) == ""
    assert kept(f"One moment, please. {line}") == "One moment, please."
    assert kept("Hello? " + line.rstrip(".!") + ". Your order was sent.") == "Hello? Your order was sent."


@pytest.mark.parametrize(
    "said",
    [
        "Thank you.",
        "Thank you for holding.",
        "I was watching television. Thank you for asking.",
        "У меня на экране субтитры не включаются.",
        "Dziękuję za uwagę.",
        "Спасибо за внимание.",
        "Please subscribe me.",
    ],
)
def test_what_people_say_on_the_telephone_stays(said):
    assert kept(said) == said


def test_a_phrase_that_runs_in_circles_is_kept_once():
    assert kept("I see. " + "and then it was the same " * 9 + "Goodbye.") == (
        "I see. and then it was the same Goodbye."
    )
    assert kept("so " * 40) == "so"


@pytest.mark.parametrize(
    "said", ["No, no, no, no!", "I'm sorry, I'm sorry, I'm sorry.", "zero zero four four four four two"]
)
def test_people_do_repeat_themselves(said):
    assert kept(said) == said
