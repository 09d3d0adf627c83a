"""The vocabulary: which names a recogniser is told before it hears a call."""

import random

import msgspec
import pytest

from wellheard.pipeline.errors import BadSettings
from wellheard.pipeline.settings import Settings, with_vocabulary
from wellheard.pipeline.vocabulary import LIST_CHARACTERS, read, used


def invented_names(number: int) -> list[str]:
    """Product names of three syllables, always the same."""
    pick = random.Random(1).choice
    return ["".join(pick("bdfgklmnprst") + pick("aeiou") for _ in range(3)).title() for _ in range(number)]


def test_a_vocabulary_is_one_name_a_line(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffKX-200\r\n\r\n  Żółta   linia \r\nkx-200\r\n".encode())
    assert read(str(file)) == ("KX-200", "Żółta linia")


def test_without_a_vocabulary_there_are_no_names():
    assert read(None) == ()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), ("Łódź".encode("utf-16"), "is no text in UTF-8")]
)
def test_a_vocabulary_that_cannot_be_read_is_said(tmp_path, content, reason):
    file = tmp_path / "names.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSettings, match=reason):
        read(str(file))


def test_a_list_that_is_too_long_is_cut_at_whole_names_in_its_order():
    names = invented_names(3500)
    kept = used(names)
    assert list(kept) == names[: len(kept)]
    assert LIST_CHARACTERS - 10 < len(", ".join(kept)) <= LIST_CHARACTERS


def test_a_name_that_is_too_long_for_one_is_passed_over():
    assert used(["a" * 2000, "KX-200"]) == ("KX-200",)


def test_a_vocabulary_on_the_command_line_goes_before_that_of_the_settings(tmp_path):
    settings = msgspec.convert({"transcribe": {"vocabulary": "old.txt"}}, Settings)
    assert with_vocabulary(settings, None).transcribe.vocabulary == "old.txt"
    assert with_vocabulary(settings, tmp_path / "new.txt").transcribe.vocabulary == str(tmp_path / "new.txt")
