"""What can go wrong, one exception a kind, each with what to do about it.

A `CallError` concerns one call: it becomes a row in `failures` and the night goes on. Any other
`WellheardError` ends the command with its exit code. No message holds anything that a person said.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the command line returns."""

    OK = 0
    CRASH = 1
    USAGE = 2
    SOME_CALLS_FAILED = 3


class WellheardError(Exception):
    """An error with a reason for people and an advice what to do next."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}. {advice}")
        self.reason = reason
        self.advice = advice

    def __reduce__(self) -> tuple[type["WellheardError"], tuple[str, str]]:
        """Travel between processes with both texts."""
        return type(self), (self.reason, self.advice)


class CallError(WellheardError):
    """One call cannot be scored."""

    stage: ClassVar[str] = "ingest"


class UnreadableAudio(CallError):
    """The file is missing, no recording, encrypted, or of a format that cannot be decoded."""


class NoSound(CallError):
    """The file holds no sound, or only silence."""


class NoSpeech(CallError):
    """There is sound, but nobody says a word (ringing, music, noise)."""

    stage: ClassVar[str] = "transcribe"


class BadManifestRow(CallError):
    """A row of the manifest cannot be used."""


class UnknownLanguage(CallError):
    """The call is in a language for which a rubric has no wording."""

    stage: ClassVar[str] = "score"


class BadManifest(WellheardError):
    """The manifest as a whole cannot be used."""


class BadSettings(WellheardError):
    """The settings file cannot be used."""


class BadRubric(WellheardError):
    """A rubric cannot be used; the reason names file and line."""


class NoInput(WellheardError):
    """Nothing to score was found."""


class ModelMissing(WellheardError):
    """A model is not on this machine."""


class ModelDamaged(WellheardError):
    """A model file is not the one that was published: its hash differs."""


class NoResults(WellheardError):
    """The results folder, or what was asked of it, is not there."""


class CannotWrite(WellheardError):
    """A folder that wellheard writes into cannot be written: no right to, or no space left."""


class DamagedResults(WellheardError):
    """A file of the results cannot be read."""


class BadLabels(WellheardError):
    """Labelled calls cannot be used; the reason names file and line."""


class BadReference(WellheardError):
    """What is known of a recording, against which hearing is measured, cannot be used."""


class ExtraMissing(WellheardError):
    """Libraries of an optional part of wellheard are not installed."""
