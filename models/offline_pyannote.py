"""The only door to pyannote.audio: what wellheard uses of it, with nothing that calls home.

As it comes, pyannote.audio 4 reports its use to its makers, and starts a thread for that when imported.
Here both are off before anything else happens. Its warning that torchcodec cannot read files is dropped:
wellheard never lets it read any.
"""

import os
import warnings

os.environ["PYANNOTE_METRICS_ENABLED"] = "false"

with warnings.catch_warnings():
    warnings.filterwarnings(
        "ignore", message=r"\s*torchcodec is not installed correctly", category=UserWarning
    )
    from pyannote.audio import Inference, Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34
    from pyannote.audio.models.segmentation import PyanNet
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.telemetry import metrics

metrics.provider.shutdown()

__all__ = [
    "PLDA",
    "Inference",
    "Model",
    "Problem",
    "PyanNet",
    "Resolution",
    "SpeakerDiarization",
    "Specifications",
    "WeSpeakerResNet34",
]
