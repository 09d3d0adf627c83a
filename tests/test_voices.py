"""Voices: from what a segmentation model sees in windows, and voice prints, to who speaks when."""

import numpy as np
import pytest

from wellheard.models.voices import Stretch, Windows, stretches, voices

FRAME_S = 0.02
WINDOW = 500  # ten seconds


def seen(*said: tuple[float, float, int], duration_s: float, overlooked: bool = False) -> Windows:
    """What windows see of (start_s, end_s, voice): in each, voices have names of their own."""
    first = np.arange(0, max(1, round(duration_s / FRAME_S) - WINDOW + 1), 100)
    active = np.zeros((len(first), WINDOW, 3), bool)
    for window, start in zip(active, first, strict=True):
        for start_s, end_s, voice in said:
            a, b = (round(moment / FRAME_S) - start for moment in (start_s, end_s))
            name = 0 if overlooked else (voice + start // 100) % 3
            window[max(a, 0) : max(b, 0), name] = True
    return Windows(active=active, first=first, frame_s=FRAME_S, frames=round(duration_s / FRAME_S))


def seconds(found: list[Stretch]) -> list[tuple[float, float]]:
    return [(round(one.start * FRAME_S, 1), round(one.end * FRAME_S, 1)) for one in found]


def prints(*who: int | None, scatter: float = 0.05) -> np.ndarray:
    """A print a stretch, of these voices; None is too short for one."""
    chance = np.random.default_rng(0)
    voice = np.linalg.qr(chance.normal(size=(192, 8)))[0].T
    return np.array(
        [
            np.full(192, np.nan) if one is None else voice[one] + scatter * chance.normal(size=192)
            for one in who
        ],
        np.float32,
    )


# Stretches


def test_a_stretch_ends_at_a_pause_and_at_a_change_of_voice():
    found, _ = stretches(seen((0, 2, 0), (2, 4, 1), (4.5, 6, 1), duration_s=10), [])
    assert seconds(found) == [(0, 2), (2, 4), (4.5, 6)]


def test_a_breath_does_not_end_one():
    found, _ = stretches(seen((0, 1, 0), (1.06, 2, 0), duration_s=10), [])
    assert seconds(found) == [(0, 2)]


def test_a_change_that_the_windows_overlook_is_looked_for_at_sentence_ends():
    windows = seen((0, 2.4, 0), duration_s=10)
    assert seconds(stretches(windows, [1.5])[0]) == [(0, 1.5), (1.5, 2.4)]
    assert seconds(stretches(windows, [2.3, 7.0])[0]) == [(0, 2.4)]


def test_a_long_speech_is_looked_at_in_pieces():
    found, _ = stretches(seen((0, 8, 0), duration_s=10), [])
    assert seconds(found) == [(0, 2.7), (2.7, 5.3), (5.3, 8)]


def test_who_speaks_goes_on_while_the_other_speaks_over_it():
    found, several = stretches(seen((0, 3, 0), (1, 1.5, 1), duration_s=10), [])
    assert seconds(found) == [(0, 3)]
    assert np.flatnonzero(several).tolist() == list(range(50, 75))


def test_silence_has_no_stretches():
    assert stretches(seen(duration_s=10), [1.0])[0] == []


# Voices


def spoken(*lengths_s: float, step_s: float = 4.0) -> list[Stretch]:
    return [
        Stretch(round(i * step_s / FRAME_S), round((i * step_s + length) / FRAME_S))
        for i, length in enumerate(lengths_s)
    ]


def told_apart(
    who: list[int | None],
    lengths_s: list[float],
    windows: Windows | None = None,
    most: int = 4,
):
    windows = windows or seen(duration_s=10)
    return voices(spoken(*lengths_s), prints(*who), windows, [], most)


def test_two_voices_are_two_also_if_one_says_little():
    who = [0] * 20 + [1] + [0] * 5
    assert told_apart(who, [2.0] * 26) in (who, [1 - one for one in who])


def test_one_voice_is_one():
    assert set(told_apart([0] * 12, [2.0] * 12)) == {0}


def test_a_third_voice_is_not_given_to_the_other_two():
    found = told_apart([0, 1, 0, 1, 2, 1, 2, 1], [3.0] * 8)
    assert len(set(found)) == 3
    assert found[0] == found[2] != found[1] == found[3] == found[5] == found[7]
    assert found[4] == found[6]


def test_no_more_voices_than_asked():
    assert len(set(told_apart([0, 1, 0, 1, 2, 1, 2, 1], [2.0] * 8, most=2))) == 2


def test_a_party_that_only_says_yes_is_a_voice():
    who = [0, 1, 0, 1, 0, 1]
    assert told_apart(who, [2.0, 0.6] * 3) in (who, [1 - one for one in who])


def test_a_single_short_sound_makes_no_voice():
    assert set(told_apart([0] * 8 + [1], [2.0] * 8 + [0.6])) == {0}


def test_without_any_print_all_is_one_voice():
    assert told_apart([None, None], [0.2, 0.2]) == [0, 0]


@pytest.mark.parametrize("like", [0, 1])
def test_a_stretch_too_short_for_a_print_goes_where_the_windows_see_it(like: int):
    windows = seen((0, 2, 0), (4, 6, 1), (8, 8.2, like), duration_s=14)
    found = told_apart([0, 1, None], [2.0, 2.0, 0.2], windows)
    assert found[2] == found[like]
    assert found[0] != found[1]


def test_a_doubtful_stretch_goes_with_the_rest_of_its_sentence():
    found = [Stretch(0, 100), Stretch(270, 300), Stretch(300, 400)]
    doubtful = prints(0, 0, 1)
    doubtful[1] = 0.52 * doubtful[0] + 0.48 * doubtful[2]
    one, both, other = voices(found, doubtful, seen(duration_s=10), [4.0], 4)
    assert one != both == other
    one, both, other = voices(found, doubtful, seen(duration_s=10), [6.0], 4)
    assert one == both != other


def test_the_same_sound_gives_the_same_voices():
    who = [0, 1] * 10
    assert told_apart(who, [1.0] * 20) == told_apart(who, [1.0] * 20)
