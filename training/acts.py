"""Training the act tagger: the upper half of the encoder and the net on it, acts and answers together."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from wellheard.models.act_tagger import (
    MOST_TOKENS,
    TRAINED_FROM,
    ActNet,
    Names,
    Tagged,
    inputs,
    texts,
)
from wellheard.models.multilingual_e5 import MultilingualE5, Noise
from wellheard.pipeline.records import Record
from wellheard.rubrics.acts import may_show
from wellheard.training.samples import Sample, varied

ANSWERS = ("yes", "no", "na")
NOT_ASKED = -1
DROPOUT = 0.2
NOISE = 0.1
# How much a snippet's turn counts beside one of a call; how much an act that is there beside one that is not.
SNIPPET, PRESENT = 0.7, 2.0
# Acts are many and rare, answers few: so the two losses are of one size.
ACTS_COUNT = 8.0
SMOOTHING = 0.05
# Calls in so many other forms; a pass takes one of them at random.
VARIANTS = 2


class TrainSettings(Record):
    """How to train: a pass sees every call, and every second snippet."""

    passes: int = 5
    turns_a_step: int = 64
    encoder_rate: float = 1e-4
    net_rate: float = 1.2e-3
    warm_up: float = 0.08
    seed: int = 0


OnStep = Callable[[int, int, float], None]
Numbers = npt.NDArray[np.float32]


def train(
    samples: Sequence[Sample], names: Names, settings: TrainSettings, threads: int, on_step: OnStep
) -> ActNet:
    """A net trained on the samples; the same samples, settings and kind of machine give the same net.

    `on_step` is told the step, how many there are, and the loss.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(threads)
    chance = random.Random(settings.seed)  # noqa: S311 - no secret
    encoder = MultilingualE5()
    net = ActNet(encoder, names, DROPOUT).train()
    parts = dict(net.trained())
    encoder_parts = [part for name, part in parts.items() if name.startswith("encoder.")]
    net_parts = [part for name, part in parts.items() if not name.startswith("encoder.")]
    for part in parts.values():
        part.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        [
            {"params": encoder_parts, "lr": settings.encoder_rate, "weight_decay": 0.01},
            {"params": net_parts, "lr": settings.net_rate, "weight_decay": 0.02},
        ]
    )
    prepared = [_prepare(samples, names, encoder, chance) for _ in range(VARIANTS)]
    passes = [
        [i for i, sample in enumerate(samples) if sample.whole or (i + number) % 2]
        for number in range(settings.passes)
    ]
    turns = sum(len(samples[i].turns) for a_pass in passes for i in a_pass)
    steps = max(1, turns // settings.turns_a_step)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, (step + 1) / (steps * settings.warm_up)) * max(0.02, 1 - step / steps),
    )
    step = count(1)
    noise = _noise(chance)
    for a_pass in passes:
        chance.shuffle(a_pass)
        for batch in _batches(a_pass, samples, settings.turns_a_step):
            chosen = [prepared[chance.randrange(VARIANTS)][i] for i in batch]
            loss = _loss(net, chosen, noise)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(list(parts.values()), 1.0)
            optimiser.step()
            schedule.step()
            on_step(next(step), steps, loss.item())
    return net.eval()


@torch.no_grad()
def tag(net: ActNet, samples: Sequence[Sample], names: Names) -> Iterator[Tagged]:
    """What a net makes of whole calls, uncalibrated."""
    net.eval()
    for sample in samples:
        hidden = net.encoder.begin(net.encoder.tokens(texts(sample.turns), MOST_TOKENS), TRAINED_FROM)
        known = inputs(sample.turns, names.facts, sample.whole)
        acts, answers = net(net.read(hidden), known, [len(sample.turns)])
        yield Tagged(acts=tuple(map(tuple, acts.tolist())), answers=tuple(map(tuple, answers[0].tolist())))


def calibrate(samples: Sequence[Sample], tagged: Sequence[Tagged], names: Names) -> tuple[Numbers, Numbers]:
    """Scale and shift of each act's log-odds, so that they are worth what they say.

    `tagged` must come from nets that were not trained on these calls (Platt, 1999).
    """
    log_odds = np.concatenate([np.asarray(call.acts) for call in tagged])
    there, can = (
        np.concatenate(tables)
        for tables in zip(*((_there(s, names).numpy(), _can(s, names).numpy()) for s in samples), strict=True)
    )
    scale, shift = np.ones(len(names.acts), np.float32), np.zeros(len(names.acts), np.float32)
    for i in range(len(names.acts)):
        own = can[:, i] > 0
        if 0 < there[own, i].sum() < own.sum():
            fitted = LogisticRegression(C=1.0).fit(log_odds[own, i : i + 1], there[own, i])
            scale[i], shift[i] = fitted.coef_[0, 0], fitted.intercept_[0]
    return scale, shift


def calibrated(tagged: Tagged, scale: Numbers, shift: Numbers) -> Tagged:
    """The same call with its acts' log-odds calibrated."""
    log_odds = np.asarray(tagged.acts) * scale + shift
    return Tagged(acts=tuple(map(tuple, log_odds.tolist())), answers=tagged.answers)


class _Prepared:
    """A sample in tensors: its turns after the untrained layers, what else is known, and what is right."""

    def __init__(self, sample: Sample, hidden: list[Tensor], known: Tensor, names: Names) -> None:
        self.hidden = hidden
        self.known = known
        self.there = _there(sample, names)
        self.counts = _can(sample, names) * (1.0 if sample.whole else SNIPPET)
        self.answers = torch.tensor(
            [
                ANSWERS.index(sample.answers[name]) if name in sample.answers else NOT_ASKED
                for name in names.criteria
            ]
        )


def _there(sample: Sample, names: Names) -> Tensor:
    return torch.tensor([[float(act in acts) for act in names.acts] for acts in sample.acts])


def _can(sample: Sample, names: Names) -> Tensor:
    """1 where a turn's speaker can show the act."""
    return torch.tensor([[float(may_show(turn.speaker, act)) for act in names.acts] for turn in sample.turns])


def _prepare(
    samples: Sequence[Sample], names: Names, encoder: MultilingualE5, chance: random.Random
) -> list[_Prepared]:
    variants = [varied(sample, chance) for sample in samples]
    ids = encoder.tokens([text for turns in variants for text in texts(turns)], MOST_TOKENS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = iter(encoder.begin(ids, TRAINED_FROM))
    return [
        _Prepared(
            sample,
            [next(hidden).to(torch.bfloat16) for _ in turns],
            inputs(turns, names.facts, sample.whole),
            names,
        )
        for sample, turns in zip(samples, variants, strict=True)
    ]


def _batches(order: Sequence[int], samples: Sequence[Sample], turns: int) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for i in order:
        batch.append(i)
        size += len(samples[i].turns)
        if size >= turns:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _loss(net: ActNet, batch: Sequence[_Prepared], noise: Noise) -> Tensor:
    hidden = [tokens for sample in batch for tokens in sample.hidden]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = net.read(hidden, noise)
    known = torch.cat([sample.known for sample in batch])
    acts, answers = net(vectors, known, [len(sample.hidden) for sample in batch])
    there = torch.cat([sample.there for sample in batch])
    counts = torch.cat([sample.counts for sample in batch])
    missed = functional.binary_cross_entropy_with_logits(
        acts, there, reduction="none", pos_weight=torch.tensor(PRESENT)
    )
    loss = ACTS_COUNT * (missed * counts).sum() / (counts > 0).sum()
    said = torch.stack([sample.answers for sample in batch])
    if (said != NOT_ASKED).any():
        loss = loss + functional.cross_entropy(
            answers.flatten(0, 1), said.flatten(), ignore_index=NOT_ASKED, label_smoothing=SMOOTHING
        )
    return loss


def _noise(chance: random.Random) -> Noise:
    """Dropout from a pool of random numbers drawn once: drawing them anew takes half of the time."""
    pool = ((torch.rand(1 << 23) > NOISE).float() / (1 - NOISE)).to(torch.bfloat16)

    def drop(x: Tensor) -> Tensor:
        start = chance.randrange(len(pool) - x.numel())
        return x * pool[start : start + x.numel()].view_as(x)

    return drop
