"""The way of one call through the stages, each stage's output kept in the cache.

This is the only place that knows all stages: a new stage is one more step here. Models are loaded when a
stage first needs them, once for all calls of a worker.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING

import msgspec

from wellheard.models import store, trained
from wellheard.models.roles import AgentLikeness
from wellheard.models.sentences import SentenceEncoder
from wellheard.pipeline import acts, audio, clarity, diarize, listen, roles, score, transcribe, vocabulary
from wellheard.pipeline.cache import StageCache
from wellheard.pipeline.records import (
    Acts,
    CallClarity,
    CallInfo,
    CallResult,
    Conversation,
    Heard,
    Recording,
    Scorecard,
    Source,
    Transcript,
)
from wellheard.pipeline.settings import Settings
from wellheard.rubrics import house, loader
from wellheard.rubrics.language_model import LanguageModelJudge

if TYPE_CHECKING:
    from wellheard.models.act_tagger import ActTagger
    from wellheard.models.diarizer import CommunityDiarizer, Diarizer
    from wellheard.models.sounds import SoundDetector
    from wellheard.models.whisper import Whisper


VOICE_PRINTS = "campplus"


class CallScorer:
    """Takes calls from file to scorecard."""

    def __init__(self, settings: Settings, cache_folder: Path, threads: int) -> None:
        self._settings = settings
        self._threads = threads
        self._cache = StageCache(cache_folder)
        self._rubrics = tuple(loader.load(rubric) for rubric in settings.score.rubrics)
        self._house = house.read(settings.score.house)
        self._vocabulary = vocabulary.read(settings.transcribe.vocabulary)

    def __call__(self, source: Source, on_length: Callable[[float], None]) -> CallResult:
        """Score one call; `on_length` is told its length in seconds as soon as that is known.

        Raises:
            CallError: the call cannot be scored; the error says why and what to do.
        """
        info, recording, conversation, clear = self.converse(source, on_length)
        heard = self._cache.get_or_make(
            "listen",
            [
                listen.VERSION,
                self._settings.listen,
                recording.audio_id,
                str(recording.samples.shape),
                str(recording.agent_channel),
                str(recording.empty_channels),
                trained.fingerprint(trained.SOUNDS) if self._hears_sounds else "",
                conversation,
            ],
            Heard,
            lambda: self._listen(conversation, recording),
        )
        acts_found = self._cache.get_or_make(
            "acts",
            [acts.VERSION, trained.fingerprint(trained.ACTS), conversation, heard, info],
            Acts,
            lambda: acts.tag(conversation, heard, info, self._tagger),
        )
        scorecard = self._cache.get_or_make(
            "score",
            [
                score.VERSION,
                self._settings.score,
                self._settings.language_model or "",
                self._house or "",
                SentenceEncoder.fingerprint,
                *self._rubrics,
                conversation,
                heard,
                info,
                acts_found,
            ],
            Scorecard,
            lambda: score.score(
                conversation,
                heard,
                info,
                acts_found,
                self._rubrics,
                self._encoder,
                self._settings.score,
                self._language_model,
                self._house,
            ),
            worth_keeping=lambda card: card.complete,
        )
        return CallResult(
            info=info,
            # Whoever hears the call later may stand in another folder.
            paths=tuple(str(Path(path).absolute()) for path in source.paths),
            audio_id=recording.audio_id,
            duration_s=recording.duration_s,
            expected_s=recording.expected_s,
            channels=len(recording.samples),
            notes=(*info.notes, *conversation.notes),
            conversation=conversation,
            clarity=clear,
            heard=heard,
            acts=acts_found,
            scorecard=scorecard,
        )

    def converse(
        self, source: Source, on_length: Callable[[float], None]
    ) -> tuple[CallInfo, Recording, Conversation, CallClarity]:
        """The first half of the way: from file to dialogue, with agent and customer told apart."""
        settings = self._settings
        recording = audio.decode(source)
        on_length(recording.duration_s)
        info = source.info
        if not info.call_id:
            info = msgspec.structs.replace(info, call_id=recording.audio_id[:16])
        if info.company is None:
            info = msgspec.structs.replace(info, company=settings.house.company)
        sound = [
            recording.audio_id,
            audio.VERSION,
            str(recording.samples.shape),
            str(recording.empty_channels),
        ]
        hot_words = vocabulary.used(self._vocabulary)
        transcript = self._cache.get_or_make(
            "transcribe",
            [
                *sound,
                transcribe.VERSION,
                self._fingerprint(settings.transcribe.model),
                info.language or "",
                settings.house.languages,
                hot_words,
                settings.transcribe.model,
                str(settings.transcribe.beam_size),
            ],
            Transcript,
            lambda: self._transcribe(recording, info.language, hot_words),
        )
        parties = self._cache.get_or_make(
            "diarize",
            [
                *sound,
                diarize.VERSION,
                *self._diarizer_fingerprints,
                settings.diarize,
                recording.notes,
                transcript,
            ],
            Conversation,
            lambda: diarize.diarize(
                recording,
                transcript,
                lambda samples: self._diarizer(
                    samples, diarize.breaks(transcript), settings.diarize.max_speakers
                ),
            ),
        )
        agent = recording.agent_channel
        agent_party = None if agent is None else ascii_uppercase[agent]
        conversation = self._cache.get_or_make(
            "roles",
            [
                roles.VERSION,
                AgentLikeness.fingerprint,
                SentenceEncoder.fingerprint,
                agent_party or "",
                parties,
            ],
            Conversation,
            lambda: roles.assign(parties, agent_party, self._agent_likeness),
        )
        clear = self._cache.get_or_make(
            "clarity",
            [*sound, clarity.VERSION, conversation, transcript],
            CallClarity,
            lambda: clarity.measure(conversation, recording, transcript),
        )
        return info, recording, conversation, clear

    def _transcribe(self, recording: Recording, language: str | None, hot_words: Sequence[str]) -> Transcript:
        from wellheard.models.whisper import speech_spans

        settings = self._settings
        return transcribe.transcribe(
            recording,
            language,
            hot_words,
            settings.house,
            settings.transcribe,
            speech_spans,
            self._whisper,
        )

    def _listen(self, conversation: Conversation, recording: Recording) -> Heard:
        sounds = (
            listen.sounds_behind_customer(conversation, recording, self._sound_detector)
            if self._hears_sounds
            else ()
        )
        return listen.listen(conversation, self._settings.listen, recording, sounds)

    @property
    def _hears_sounds(self) -> bool:
        """Whoever must not use the detector (docs/sounds.md) may delete its file."""
        return self._settings.listen.sounds and trained.SOUNDS.is_file()

    def _fingerprint(self, model: str) -> str:
        return store.fingerprint(model, self._models_folder)

    @cached_property
    def _models_folder(self) -> Path | None:
        return self._settings.models.path

    @cached_property
    def _whisper(self) -> "Whisper":
        from wellheard.models.whisper import Whisper

        return Whisper(store.locate(self._settings.transcribe.model, self._models_folder), self._threads)

    @cached_property
    def _diarizer(self) -> "Diarizer | CommunityDiarizer":
        # torch and pyannote take seconds to import; a night of two-channel calls needs neither.
        from wellheard.models.diarizer import CommunityDiarizer, Diarizer

        settings = self._settings.diarize
        model = store.locate(settings.model, self._models_folder)
        if model.is_dir():
            return CommunityDiarizer(model, settings.step, self._threads)
        prints = store.locate(VOICE_PRINTS, self._models_folder)
        return Diarizer(model, prints, settings.step, self._threads)

    @cached_property
    def _diarizer_fingerprints(self) -> list[str]:
        return [self._fingerprint(self._settings.diarize.model), self._fingerprint(VOICE_PRINTS)]

    @cached_property
    def _sound_detector(self) -> "SoundDetector":
        from wellheard.models.sounds import SoundDetector

        return SoundDetector(self._threads)

    @cached_property
    def _tagger(self) -> "ActTagger":
        from wellheard.models.act_tagger import ActTagger

        return ActTagger(self._threads, self._models_folder)

    @cached_property
    def _language_model(self) -> LanguageModelJudge | None:
        section = self._settings.language_model
        return LanguageModelJudge.of(section) if section else None

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return SentenceEncoder()

    @cached_property
    def _agent_likeness(self) -> AgentLikeness:
        return AgentLikeness(self._encoder)
