"""Does adapting to a house's own reviews help, and does it leave alone what it cannot help?

    python benchmarks/house.py [REVIEWED] [writer|language]

Each writer of the labelled calls with calls enough (or each language) is a house: the combination is trained
without it, `REVIEWED` of its calls are its reviews (30 by default), and the rest tell what came of it.
Once as the writer answered; once with answers drawn from the shipped judge's own odds, so that there is
nothing to learn and whatever is kept is chance; and once as a house that means something stricter: whose yes
is a no where the first act of the rule was less clear than in half of its calls.
"""

import sys
from collections.abc import Iterator

import numpy as np

from wellheard.rubrics import loader
from wellheard.rubrics.combination import Combination, features
from wellheard.training import combination, folds, house
from wellheard.training.house import ADAPTED, Lesson
from wellheard.training.train import Material, calibration, held_out_acts, material

AGENTS = 8


def lessons(known: Material) -> Iterator[tuple[str, Lesson]]:
    """What people answered, with the writer, as if `AGENTS` agents had taken each writer's calls."""
    tagged = dict(folds.kept())
    acts = held_out_acts(known, tagged, *calibration(known, tagged))
    found = combination.findings(list(known.calls.values()), acts)
    for rubric in loader.for_training():
        for criterion in rubric.criteria:
            name = f"{rubric.id}.{criterion.id}"
            for number, call in enumerate(known.calls.values()):
                if name in call.marks:
                    numbers = tuple(features(name, criterion.rule, found[call.call_id]))
                    answer = call.marks[name].answer
                    yield call.writer, Lesson(name, call.call_id, str(number % AGENTS), answer, numbers)


def shipped_without(writer: str, all_lessons: list[tuple[str, Lesson]]) -> Combination:
    """The combination as trained on all other writers."""
    criteria = {}
    for rubric in loader.for_training():
        for criterion in rubric.criteria:
            name = f"{rubric.id}.{criterion.id}"
            own = [lesson for of, lesson in all_lessons if of != writer and lesson.criterion == name]
            numbers = np.array([lesson.numbers for lesson in own])
            criteria[name] = combination.fit_one(numbers, [one.answer for one in own], criterion.rule)
    return Combination(about={}, criteria=criteria)


def logits(shipped: Combination, lesson: Lesson) -> np.ndarray:
    weights = shipped.criteria[lesson.criterion]
    return np.array(weights.weights) @ np.array(lesson.numbers) + np.array(weights.bias)


def answered(lesson: Lesson, answer: str) -> Lesson:
    return Lesson(lesson.criterion, lesson.call_id, lesson.agent_id, answer, lesson.numbers)


def by_chance(own: list[Lesson], shipped: Combination, random: np.random.Generator) -> list[Lesson]:
    """As the shipped judge itself expects: nothing to learn."""
    found = []
    for lesson in own:
        powers = np.exp(logits(shipped, lesson) - logits(shipped, lesson).max())
        answer = random.choice(shipped.criteria[lesson.criterion].answers, p=powers / powers.sum())
        found.append(answered(lesson, str(answer)))
    return found


def stricter(own: list[Lesson], *_: object) -> list[Lesson]:
    """A yes that was less clear than half of them is a no."""
    clear: dict[str, list[float]] = {}
    for lesson in own:
        if lesson.answer == "yes":
            clear.setdefault(lesson.criterion, []).append(lesson.numbers[6])
    middle = {name: float(np.median(values)) for name, values in clear.items()}
    return [
        answered(one, "no") if one.answer == "yes" and one.numbers[6] < middle[one.criterion] else one
        for one in own
    ]


def right(shipped: Combination, lesson: Lesson) -> bool:
    answers = shipped.criteria[lesson.criterion].answers
    return bool(answers[int(logits(shipped, lesson).argmax())] == lesson.answer)


def main(reviewed: int, of: str) -> None:
    """Print a row for each kind of house."""
    known = [
        (writer if of == "writer" else writer.partition("_")[0], lesson)
        for writer, lesson in lessons(material())
    ]
    writers = [writer for writer, _ in known]
    houses = sorted({one for one in writers if writers.count(one) >= (reviewed + 10) * 24})
    shipped = {writer: shipped_without(writer, known) for writer in houses}
    print(f"{len(houses)} houses, {reviewed} reviewed calls each")
    for name, meaning in (("as answered", None), ("nothing to learn", by_chance), ("stricter", stricter)):
        kept = asked = 0
        before, after, of_kept = [], [], []
        for number, writer in enumerate(houses):
            random = np.random.default_rng(number)
            own = [lesson for whose, lesson in known if whose == writer]
            own = meaning(own, shipped[writer], random) if meaning else own
            own = [one for one in own if one.answer in shipped[writer].criteria[one.criterion].answers]
            calls = sorted({lesson.call_id for lesson in own})
            learnt_from = set(random.permutation(calls)[:reviewed])
            learnt = [one for one in own if one.call_id in learnt_from]
            judge, outcomes = house.adapt(learnt, {}, lambda *_: None, shipped[writer])
            adapted = Combination(about={}, criteria=shipped[writer].criteria | judge.criteria)
            rest = [one for one in own if one.call_id not in learnt_from]
            asked += len(outcomes)
            kept += sum(outcome.verdict == ADAPTED for outcome in outcomes)
            before += [right(shipped[writer], one) for one in rest]
            after += [right(adapted, one) for one in rest]
            of_kept += [one.criterion in judge.criteria for one in rest]
        which = np.array(of_kept, bool)
        told = [np.array(values)[which].mean() if which.any() else np.nan for values in (before, after)]
        print(
            f"{name}: adapted {kept} of {asked} criteria; right on further calls {np.mean(before):.1%} → "
            f"{np.mean(after):.1%}; of adapted criteria {told[0]:.1%} → {told[1]:.1%}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30, "".join(sys.argv[2:3]) or "writer")
