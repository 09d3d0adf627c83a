"""The act tagger's net and its file, on small nets with random weights: nothing here was trained."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from safetensors.torch import load, save_file

from wellheard.models.act_tagger import (
    PLACES,
    SOUNDS,
    SPEAKERS,
    TRAINED_FROM,
    ActNet,
    ActTagger,
    Names,
    Tagged,
    inputs,
    inputs_of,
    pack,
    texts,
    unpack,
)
from wellheard.models.multilingual_e5 import MultilingualE5
from wellheard.pipeline.errors import ModelDamaged
from wellheard.pipeline.records import Speaker, TurnInput

NAMES = Names(
    acts=("greet", "offer", "matter"),
    facts=("gives_time", "asks_question"),
    criteria=("pec.empathy", "pec.beyond"),
)


def turn(speaker: Speaker, text: str = "hello there", **known) -> TurnInput:
    return TurnInput(
        **{
            "speaker": speaker,
            "text": text,
            "pause_s": 0.0,
            "overlap_s": 0.0,
            "sound": None,
            "facts": {},
            **known,
        }
    )


TURNS = (
    turn("agent", "Good morning, how can I help?", facts={"asks_question": 1.0}),
    turn("customer", "Моя посылка не пришла.", pause_s=6.0, sound="dog"),
    turn("agent", "I'll look.", overlap_s=0.5),
)


# What is known of a turn besides its words


def known(*turns: TurnInput, whole: bool = True) -> list[dict[str, list[float]]]:
    """The rows of `inputs`, cut into their parts."""
    rows = inputs(turns, NAMES.facts, whole)
    assert rows.shape == (len(turns), inputs_of(NAMES.facts))
    sizes = {
        "speaker": len(SPEAKERS),
        "timing": 3,
        "sound": len(SOUNDS),
        "from_beginning": PLACES,
        "from_end": PLACES,
        "snippet": 1,
        "facts": len(NAMES.facts),
    }
    return [
        dict(zip(sizes, (part.tolist() for part in row.split(list(sizes.values()))), strict=True))
        for row in rows
    ]


def test_there_is_one_row_a_turn_that_says_who_speaks_and_which_facts_there_are():
    agent, customer, other = known(turn("agent"), turn("customer", facts={"gives_time": 0.5}), turn("other"))
    assert [row["speaker"] for row in (agent, customer, other)] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert [row["facts"] for row in (agent, customer, other)] == [[0, 0], [0.5, 0], [0, 0]]


def test_pauses_overlaps_and_sounds_are_in_it():
    short, long, over, dog = known(
        turn("agent", pause_s=1.0),
        turn("agent", pause_s=60.0),
        turn("agent", overlap_s=9.0),
        turn("agent", sound="dog"),
    )
    assert 0 < short["timing"][0] < long["timing"][0] < 2
    assert [row["timing"][1] for row in (short, long)] == [0, 1], "a long pause is one by itself"
    assert over["timing"][2] == 1.0, "two seconds are as much as any overlap"
    assert dog["sound"] == [float(kind == "dog") for kind in SOUNDS]
    assert not any(short["sound"])


def test_only_turns_of_whole_calls_have_places():
    rows = known(*[turn("agent")] * 9)
    assert [row["from_beginning"].index(1) for row in rows] == [0, 1, 2, 3, 4, 5, 5, 5, 5]
    assert [row["from_end"].index(1) for row in rows] == [5, 5, 5, 5, 4, 3, 2, 1, 0]
    assert all(sum(row["from_beginning"]) == sum(row["from_end"]) == 1 for row in rows)
    assert {row["snippet"][0] for row in rows} == {0}
    for row in known(*[turn("agent")] * 9, whole=False):
        assert not any(row["from_beginning"] + row["from_end"])
        assert row["snippet"] == [1]


def test_a_text_is_read_with_its_speaker():
    assert texts(TURNS[:2]) == [
        "query: agent: Good morning, how can I help?",
        "query: customer: Моя посылка не пришла.",
    ]


# The net


@pytest.fixture(scope="module")
def base() -> dict[str, torch.Tensor]:
    """The published weights."""
    return {f"encoder.{name}": part.detach().clone() for name, part in MultilingualE5().named_parameters()}


@pytest.fixture(scope="module")
def net() -> ActNet:
    """A net that differs from the published weights at random, by as much as training does."""
    torch.set_num_threads(1)
    torch.manual_seed(7)
    net = ActNet(MultilingualE5(), NAMES).eval()
    with torch.no_grad():
        for name, parameter in net.trained():
            if name.startswith("encoder."):
                parameter.add_(0.02 * parameter.abs().mean() * torch.randn_like(parameter))
    return net


@torch.no_grad()
def logits(net: ActNet, *calls: tuple[TurnInput, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    spoken = [turn for call in calls for turn in call]
    hidden = net.encoder.begin(net.encoder.tokens(texts(spoken)), TRAINED_FROM)
    rows = torch.cat([inputs(call, NAMES.facts, whole=True) for call in calls])
    acts, answers = net(net.read(hidden), rows, list(map(len, calls)))
    return acts, answers


def test_it_gives_each_turn_its_acts_and_each_call_its_answers(net: ActNet):
    acts, answers = logits(net, TURNS, TURNS[:1])
    assert acts.shape == (4, len(NAMES.acts))
    assert answers.shape == (2, len(NAMES.criteria), 3)


def test_a_call_among_others_gets_what_it_gets_alone(net: ActNet):
    acts, answers = logits(net, TURNS[:1], TURNS, TURNS[:2])
    alone, answers_alone = logits(net, TURNS)
    assert torch.allclose(acts[1:4], alone, atol=1e-4)
    assert torch.allclose(answers[1], answers_alone[0], atol=1e-4)


def test_a_turn_is_read_with_those_around_it(net: ActNet):
    among, _ = logits(net, TURNS)
    alone, _ = logits(net, TURNS[1:2])
    assert not torch.allclose(among[1], alone[0], atol=1e-3)


def test_training_changes_the_upper_half_of_the_encoder_and_the_net_on_it_alone(net: ActNet):
    names = [name for name, _ in net.trained()]
    layers = {int(name.split(".")[2]) for name in names if name.startswith("encoder.")}
    assert layers == set(range(TRAINED_FROM, 12))
    assert {"act.weight", "asked", "context.weight_ih_l0"} <= set(names)
    assert not [name for name in names if "position" in name or "kind" in name]


# Its file


@pytest.fixture(scope="module")
def packed(net: ActNet, base: dict[str, torch.Tensor]) -> bytes:
    about = {"names": {name: getattr(NAMES, name) for name in NAMES.__struct_fields__}, "seed": 0}
    return pack(net, base, torch.full((3,), 2.0), torch.tensor([0.0, 0.5, -1.0]), json.dumps(about))


@pytest.fixture
def file(packed: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "acts.safetensors"
    path.write_bytes(packed)
    return path


def test_an_unpacked_net_gives_nearly_what_the_packed_one_gave(net: ActNet, packed: bytes):
    torch.manual_seed(8)
    fresh = ActNet(MultilingualE5(), NAMES).eval()
    before, _ = logits(fresh, TURNS)
    unpack(fresh, load(packed))
    wanted = logits(net, TURNS)
    for ours, theirs in zip(logits(fresh, TURNS), wanted, strict=True):
        assert (ours - theirs).abs().max() < 0.02
    assert (before - wanted[0]).abs().max() > 0.1


def test_packing_twice_gives_the_same_bytes(net: ActNet, base: dict[str, torch.Tensor], packed: bytes):
    about = {"names": {name: getattr(NAMES, name) for name in NAMES.__struct_fields__}, "seed": 0}
    again = pack(net, base, torch.full((3,), 2.0), torch.tensor([0.0, 0.5, -1.0]), json.dumps(about))
    assert again == packed


def test_the_file_holds_the_change_in_8_bits_and_nothing_that_was_published(net: ActNet, packed: bytes):
    tensors = load(packed)
    changes = {name for name in tensors if name.endswith(".change")}
    assert len(changes) == (12 - TRAINED_FROM) * 4
    assert {tensors[name].dtype for name in changes} == {torch.int8}
    assert not [name for name in tensors if name.startswith(("encoder.position", "encoder.layers.0."))]
    assert len(packed) < 1.2 * sum(parameter.numel() for _, parameter in net.trained())


def test_the_tagger_is_the_net_with_its_calibration(file: Path, net: ActNet):
    tagger = ActTagger(threads=1, file=file)
    assert tagger.names == NAMES
    acts, answers = logits(net, TURNS)
    found = tagger(TURNS)
    assert torch.allclose(torch.tensor(found.acts), acts * 2 + torch.tensor([0.0, 0.5, -1.0]), atol=0.05)
    assert torch.allclose(torch.tensor(found.answers), answers[0], atol=0.05)


def test_a_call_without_turns_has_no_acts(file: Path):
    assert ActTagger(threads=1, file=file)(()) == Tagged(acts=(), answers=())


# A file that is not as it should be


def damages(packed: bytes) -> Iterator[tuple[str, bytes]]:
    yield "cut", packed[: len(packed) // 2]
    yield "emptied", b""
    yield "another kind", b"PK\x03\x04 no safetensors at all" * 100
    yield "beginning flipped", bytes([packed[0] ^ 255, *packed[1:9], 0]) + packed[10:]


@pytest.mark.parametrize("damage", ["cut", "emptied", "another kind", "beginning flipped"])
def test_a_damaged_file_is_said_to_be_one(file: Path, packed: bytes, damage: str):
    file.write_bytes(dict(damages(packed))[damage])
    with pytest.raises(ModelDamaged, match="cannot be read") as error:
        ActTagger(threads=1, file=file)
    assert str(file) in str(error.value)


def test_a_file_that_is_not_there_or_says_nothing_of_itself_is_damaged_too(file: Path):
    with pytest.raises(ModelDamaged):
        ActTagger(threads=1, file=file.with_name("missing.safetensors"))
    save_file({"act.weight": torch.zeros(1)}, file)
    with pytest.raises(ModelDamaged):
        ActTagger(threads=1, file=file)


def test_nothing_is_ever_unpickled(packed: bytes):
    header = int.from_bytes(packed[:8], "little")
    assert json.loads(packed[8 : 8 + header])["__metadata__"].keys() == {"about"}
    readers = [ROOT / "models" / name for name in ("act_tagger.py", "multilingual_e5.py", "trained.py")]
    for path in [*readers, *(ROOT / "rubrics").glob("*.py"), *(ROOT / "training").glob("*.py")]:
        code = path.read_text("utf-8")
        assert not [word for word in ("pickle", "joblib", "torch.load", "np.load") if word in code], path
