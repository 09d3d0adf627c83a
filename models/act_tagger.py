"""The act tagger: what is done in each turn of a call, one net for all languages.

The lower half of multilingual-e5-small reads a turn as it was published; the upper half was trained further
on labelled calls. A recurrent net then sees the turns in their order, with what is known of each besides its
words. The trained part lies beside this file in `acts.safetensors`, with what it was trained on and how well
it did; `wellheard train` makes that file.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from wellheard.models.multilingual_e5 import DIMENSION, LAYERS, MultilingualE5, Noise
from wellheard.models.trained import ACTS
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import Record, Speaker, TurnInput

# Layers below this one stay as they were published.
TRAINED_FROM = 6
# Longer turns are cut: what decides a turn's act stands in its first hundred words.
MOST_TOKENS = 128
# Vectors of length one are too short beside the other inputs.
VECTOR_LENGTH = 8.0
STATE = 256
SPEAKERS: tuple[Speaker, ...] = ("agent", "customer", "other")
SOUNDS = ("dog", "baby", "child_laughter", "doorbell", "cat", "traffic", "music")
# Turns are told apart by their place up to this far from the beginning and from the end.
PLACES = 6
LONG_PAUSE_S = 5.0
LONGEST_OVERLAP_S = 2.0


class Names(Record):
    """What the outputs and inputs of a trained tagger are called, in their order."""

    acts: tuple[str, ...]
    facts: tuple[str, ...]
    criteria: tuple[str, ...]


class Tagged(Record):
    """For each turn the log-odds of each act, in the order of `Names.acts`; per criterion of yes, no, na."""

    acts: tuple[tuple[float, ...], ...]
    answers: tuple[tuple[float, float, float], ...]


def inputs(turns: Sequence[TurnInput], facts: Sequence[str], whole: bool) -> Tensor:
    """What is known of each turn besides its words: shape (turns, inputs_of(facts)).

    `whole` means that this is a call from its beginning to its end, so that a turn's place says something.
    """
    rows = []
    last = len(turns) - 1
    for number, turn in enumerate(turns):
        place = [0.0] * (2 * PLACES)
        if whole:
            place[min(number, PLACES - 1)] = 1.0
            place[PLACES + min(last - number, PLACES - 1)] = 1.0
        rows.append(
            [
                *(float(turn.speaker == speaker) for speaker in SPEAKERS),
                math.log1p(turn.pause_s) / 3,
                float(turn.pause_s > LONG_PAUSE_S),
                min(turn.overlap_s, LONGEST_OVERLAP_S) / LONGEST_OVERLAP_S,
                *(float(turn.sound == sound) for sound in SOUNDS),
                *place,
                float(not whole),
                *(turn.facts.get(fact, 0.0) for fact in facts),
            ]
        )
    return torch.tensor(rows, dtype=torch.float32)


def inputs_of(facts: Sequence[str]) -> int:
    """How many numbers `inputs` gives for a turn."""
    return len(SPEAKERS) + 3 + len(SOUNDS) + 2 * PLACES + 1 + len(facts)


def texts(turns: Sequence[TurnInput]) -> list[str]:
    """The turns as the encoder was trained to read them."""
    return [f"query: {turn.speaker}: {turn.text}" for turn in turns]


class ActNet(nn.Module):
    """The net: turns in, acts of each turn and answers to each criterion out."""

    def __init__(self, encoder: MultilingualE5, names: Names, dropout: float = 0.0) -> None:
        super().__init__()
        known = inputs_of(names.facts)
        acts, criteria = len(names.acts), len(names.criteria)
        self.encoder = encoder
        self.enter = nn.Linear(DIMENSION + known, STATE)
        self.context = nn.GRU(STATE, STATE // 2, 2, batch_first=True, bidirectional=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.act = nn.Linear(DIMENSION + known + STATE, acts)
        self.look = nn.Linear(STATE + acts, 64)
        self.asked = nn.Parameter(torch.randn(criteria, 64) * 0.1)
        self.seen = nn.Linear(STATE + acts + known, 96)
        self.answer = nn.Parameter(torch.randn(criteria, 2 * 96, 3) * 0.03)
        self.usual_answer = nn.Parameter(torch.zeros(criteria, 3))
        nn.init.constant_(self.act.bias, -2.5)

    def read(self, hidden: Sequence[Tensor], noise: Noise | None = None) -> Tensor:
        """Vectors (turns, 384) of turns as `MultilingualE5.begin` leaves them after `TRAINED_FROM` layers."""
        read = self.encoder.run(hidden, TRAINED_FROM, LAYERS, noise)
        vectors = torch.stack([tokens.float().mean(0) for tokens in read])
        return nn.functional.normalize(vectors, dim=1) * VECTOR_LENGTH

    def forward(self, vectors: Tensor, known: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Logits of acts (turns, acts) and of answers (calls, criteria, 3).

        `vectors` are those of the turns of all calls, one after the other; `known` the same turns' `inputs`;
        `lengths` how many turns each call has.
        """
        turn = torch.cat([self.dropout(vectors), known], 1)
        state = nn.functional.gelu(self.enter(turn))
        calls = pad_sequence(list(torch.split(state, list(lengths))), batch_first=True)
        packed = pack_padded_sequence(calls, list(lengths), batch_first=True, enforce_sorted=False)
        calls, _ = pad_packed_sequence(self.context(packed)[0], batch_first=True)
        state = torch.cat([calls[i, :length] for i, length in enumerate(lengths)])
        acts = self.act(torch.cat([turn, self.dropout(state)], 1))
        done = torch.cat([state, torch.sigmoid(acts)], 1)
        look = torch.split(self.look(done), list(lengths))
        seen = torch.split(nn.functional.gelu(self.seen(torch.cat([done, known], 1))), list(lengths))
        answers = []
        for looked, saw in zip(look, seen, strict=True):
            weights = torch.softmax(self.asked @ looked.T, 1)
            most = saw.max(0).values.expand(len(self.asked), -1)
            of_criterion = self.dropout(torch.cat([weights @ saw, most], 1))
            answers.append(torch.einsum("cd,cda->ca", of_criterion, self.answer) + self.usual_answer)
        return acts, torch.stack(answers)

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that training changes."""
        frozen = tuple(f"encoder.layers.{number}." for number in range(TRAINED_FROM))
        for name, parameter in self.named_parameters():
            if not name.startswith("encoder.") or (
                name.startswith("encoder.layers.") and not name.startswith(frozen)
            ):
                yield name, parameter


class ActTagger:
    """Tags calls with what the trained file holds."""

    def __init__(self, threads: int, folder: Path | None = None, file: Path = ACTS) -> None:
        """Load the weights; `folder` is the user's own for models.

        Raises:
            ModelMissing, ModelDamaged: the encoder's weights or the trained file are not as they should be.
        """
        torch.set_num_threads(threads)
        encoder = MultilingualE5(folder)
        try:
            with safe_open(str(file), framework="pt") as stored:
                about = json.loads(stored.metadata()["about"])
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelDamaged(
                f"{file} cannot be read ({type(error).__name__})", "Install wellheard anew."
            ) from error
        try:
            self.names = Names(**{name: tuple(about["names"][name]) for name in about["names"]})
            self._scale, self._shift = tensors.pop("calibration.scale"), tensors.pop("calibration.shift")
            self._net = ActNet(encoder, self.names).eval()
            unpack(self._net, tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelDamaged(
                f"{file} is no trained tagger of this version ({type(error).__name__})",
                "Install wellheard anew.",
            ) from error

    @cached_property
    def _encoder(self) -> MultilingualE5:
        return self._net.encoder

    @torch.no_grad()
    def __call__(self, turns: Sequence[TurnInput]) -> Tagged:
        """What is done in each of a call's turns."""
        if not turns:
            return Tagged(acts=(), answers=())
        ids = self._encoder.tokens(texts(turns), MOST_TOKENS)
        hidden = self._encoder.begin(ids, TRAINED_FROM)
        known = inputs(turns, self.names.facts, whole=True)
        acts, answers = self._net(self._net.read(hidden), known, [len(turns)])
        acts = acts * self._scale + self._shift
        return Tagged(
            acts=tuple(tuple(row) for row in acts.tolist()),
            answers=tuple((yes, no, na) for yes, no, na in answers[0].tolist()),
        )


def pack(net: ActNet, base: Mapping[str, Tensor], scale: Tensor, shift: Tensor, about: str) -> bytes:
    """The trained part as a safetensors file.

    Of the encoder's matrices it holds what training changed (`base` are the published ones), each row in 8
    bits with a scale of its own; all else in 16 or 32 bits.
    """
    tensors: dict[str, Tensor] = {"calibration.scale": scale, "calibration.shift": shift}
    for name, parameter in net.trained():
        value = parameter.detach()
        if name.startswith("encoder.") and value.dim() == 2:
            change = value - base[name]
            step = change.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
            tensors[f"{name}.change"] = torch.round(change / step).to(torch.int8)
            tensors[f"{name}.step"] = step.float()
        else:
            tensors[name] = value.half() if value.dim() > 1 else value.float()
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {"about": about})


@torch.no_grad()
def unpack(net: ActNet, tensors: Mapping[str, Tensor]) -> None:
    """Put what `pack` has written into a fresh net."""
    for name, parameter in net.trained():
        if f"{name}.change" in tensors:
            parameter.add_(tensors[f"{name}.change"].float() * tensors[f"{name}.step"])
        else:
            parameter.copy_(tensors[name].float())
