"""The settings file, `wellheard.toml`: everything that a house may set, with its default.

Each stage is given its own section and nothing else, and a section is part of the key under which a
stage's output is kept, so a changed setting redoes that stage and what follows it.
"""

from pathlib import Path
from typing import Annotated, dataclass_transform
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from wellheard.pipeline.errors import BadSettings

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the settings."""


class House(Section):
    """The company whose calls these are. `timezone` is an IANA name; `languages` are those spoken.

    In a `sealed` house nothing may be contacted, not even to get models.
    """

    company: str | None = None
    timezone: str = "UTC"
    languages: tuple[str, ...] = ("en", "ru", "pl", "ro")
    sealed: bool = False


class Ingest(Section):
    """How calls are found and named.

    `columns` maps wellheard's column names to the manifest's (`agent_id = "Agent Login"`).
    `file_name` is a regular expression with named groups (`agent_id`, `agent_name`, `started_at`,
    `call_id`, …) tried on the file name without its extension. `pair_suffixes` are the endings that
    make two files one call, the agent's first.
    """

    columns: dict[str, str] = {}
    file_name: str = r"AGENT_(?P<agent_id>.+?)_DT_(?P<started_at>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)"
    pair_suffixes: tuple[tuple[str, str], ...] = (
        ("-out", "-in"),
        ("_agent", "_caller"),
        ("_agent", "_customer"),
    )


class Transcribe(Section):
    """`model` is a name that `wellheard models list` shows, or a faster-whisper model of the hub.

    `vocabulary` is a file of names and phrases that are spoken in this house's calls, one a line.
    """

    model: str = "whisper-base"
    beam_size: Annotated[int, Meta(ge=1)] = 5
    vocabulary: str | None = None


class Diarize(Section):
    """How the voices on one channel are told apart.

    `step` is the distance of the segmentation windows, as a share of their length of ten seconds.
    `max_speakers` is how many voices there are at most: two parties, and a second agent or an announcement.
    """

    model: str = "segmentation-3.0"
    step: Annotated[float, Meta(gt=0, le=1)] = 0.2
    max_speakers: Annotated[int, Meta(ge=1, le=10)] = 4


class Listen(Section):
    """`silence_s`: from when on a silence is one; `hold_s`: from when on it is a hold or dead air.

    `sounds`: whether to listen for a dog, a baby or children behind the customer.
    """

    silence_s: Positive = 3.0
    hold_s: Positive = 20.0
    interruption_s: Positive = 0.5
    sounds: bool = True


class Score(Section):
    """`rubrics`: built-in names or YAML files. Marks less sure than `unsure_below` are `unsure`.

    `house` is a file that `wellheard train --reviews` has written: judges adapted to the house's own reviews.
    """

    rubrics: tuple[str, ...] = ("pec", "script", "resolution")
    unsure_below: Share = 0.4
    house: str | None = None


class Trust(Section):
    """Criteria on which machine and reviewers agree less than `least_agreement` are shown, not counted."""

    least_agreement: Share | None = None


class Models(Section):
    """`folder`: looked into before the local store, for models that a house keeps itself."""

    folder: str | None = None

    @property
    def path(self) -> Path | None:
        """The folder, if there is one."""
        return Path(self.folder) if self.folder else None


class LanguageModel(Section):
    """A language model that may answer criteria, at an OpenAI-compatible `url` (docs/language-model.md).

    `samples` are the answers asked for each mark; `most_characters` is the longest transcript that is sent.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^@\s]+$")]
    model: Annotated[str, Meta(min_length=1)]
    timeout_s: Positive = 60.0
    retries: Annotated[int, Meta(ge=0)] = 2
    samples: Annotated[int, Meta(ge=1)] = 1
    most_characters: Annotated[int, Meta(ge=1)] = 24_000


class Settings(Section):
    """All sections."""

    house: House = House()
    ingest: Ingest = Ingest()
    transcribe: Transcribe = Transcribe()
    diarize: Diarize = Diarize()
    listen: Listen = Listen()
    score: Score = Score()
    trust: Trust = Trust()
    models: Models = Models()
    language_model: LanguageModel | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The house's time zone."""
        return ZoneInfo(self.house.timezone)


def with_vocabulary(settings: Settings, file: Path | None) -> Settings:
    """The settings with another vocabulary, if one is given."""
    if file is None:
        return settings
    transcribe = msgspec.structs.replace(settings.transcribe, vocabulary=str(file))
    return msgspec.structs.replace(settings, transcribe=transcribe)


def with_max_speakers(settings: Settings, most: int | None) -> Settings:
    """The settings with another limit of voices, if one is given."""
    if most is None:
        return settings
    diarize = msgspec.structs.replace(settings.diarize, max_speakers=most)
    return msgspec.structs.replace(settings, diarize=diarize)


def load(path: Path | None) -> Settings:
    """Read a settings file; without one, everything has its default.

    Raises:
        BadSettings: the file is missing, is no TOML, a name or value in it is wrong, or a sealed house has a
            language model.
    """
    if path is None:
        return Settings()
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=Settings)
        _ = settings.zone
    except OSError as error:
        raise BadSettings(
            f"{path} cannot be read ({error.strerror})", "Check the path given to --settings."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{path}: {error}", "docs/settings.md lists every section with its names."
        ) from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadSettings(
            f"{path}: {settings.house.timezone!r} is no time zone", "Use an IANA name such as Europe/Warsaw."
        ) from error
    if settings.house.sealed and settings.language_model is not None:
        raise BadSettings(
            f"{path}: a sealed house contacts nothing, so it can have no language model",
            "Remove [language_model], or `sealed` from [house].",
        )
    return settings
