"""Lip sync by VideoReTalking (Cheng et al. 2022), run from a checkout of OpenTalker/video-retalking at d32e8e5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dubd.engines.external import External
from dubd.engines.external_params import ExternalParams

# As its inference.py and third_part/ open them. 30_net_gen.pth is read with --up_face alone.
CHECKPOINTS = (
    "BFM",
    "DNet.pt",
    "ENet.pth",
    "expression.mat",
    "face3d_pretrain_epoch_20.pth",
    "GFPGANv1.3.pth",
    "GPEN-BFR-512.pth",
    "LNet.pth",
    "ParseNet-latest.pth",
    "RetinaFace-R50.pth",
    "shape_predictor_68_face_landmarks.dat",
)
_IMPORTS = "torch, torchvision, basicsr, kornia, face_alignment, facexlib, librosa, dlib, cv2, ninja"


@dataclass(frozen=True)
class VideoRetalkingParams(ExternalParams):
    """Those of `external`, with what VideoReTalking is known to want."""

    # Its caches go by the name of the file alone, hence --re_preprocess. --tmp_dir is taken as a name inside of temp/
    # when it writes: with an absolute path the video is lost, and it still ends with 0.
    args: tuple[str, ...] = (
        *("inference.py", "--face", "{face}", "--audio", "{audio}", "--outfile", "{out}"),
        *("--re_preprocess", "--tmp_dir", "{name}"),
    )
    needs: tuple[str, ...] = tuple(f"checkpoints/{name}" for name in CHECKPOINTS)
    leaves: tuple[str, ...] = ("temp/{name}*",)
    check: tuple[str, ...] = (
        "-c",
        f"import {_IMPORTS}; '{{device}}' == 'cpu' or torch.cuda.is_available() or exit('PyTorch sees no GPU there')",
    )
    # An estimate, not measured: 8 GB are told to be enough with smaller batches than its own (issue 12).
    gpu: int = 10240


class VideoRetalking(External):
    """Its whole pipeline, restoration included, so that a rule may leave out the stage `restore`."""

    name: ClassVar[str] = "videoretalking"
    summary: ClassVar[str] = "VideoReTalking from your own checkout: sharp, and slow (minutes for a second of video)"
    licence: ClassVar[str] = "Apache-2.0; its BFM and GFPGAN/GPEN files have terms of their own"
    Params: ClassVar[type[Any]] = VideoRetalkingParams
    page: ClassVar[str] = "docs/videoretalking.md"
