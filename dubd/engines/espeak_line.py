"""Say one line with libespeak-ng in a process of its own: `python espeak_line.py < request > answer`.

libespeak-ng keeps global state (oscillator phases, flutter, noise) that carries over from one utterance
to the next, so that the same text sounds different, sample by sample, the second time. A fresh process
for each line makes the sound depend on the line alone, and a crash costs one line.

The request is one JSON object {"library", "voice", "text", "rate", "pitch", "range", "gap"}; the answer is
one line of JSON {"rate", "phonemes"} and then 16 bit PCM, or {"error"}. Only the standard library is used.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples by callback, no sound card
_PHONEMES, _IPA, _DONT_EXIT = 0x0001, 0x0002, 0x8000
_RATE, _VOLUME, _PITCH, _RANGE, _GAP = 1, 2, 3, 4, 7  # espeak_PARAMETER
_END, _PHONEME = 0, 7  # espeak_EVENT_TYPE
_UTF8 = 1


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def say(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The answer's header and its samples."""
    library = ctypes.CDLL(request["library"])
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEMES | _IPA | _DONT_EXIT)
    if rate <= 0:
        return {"error": "libespeak-ng finds no data: apt install espeak-ng-data"}, b""
    sound, phonemes = bytearray(), []

    def heard(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            sound.extend(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != _END:
            if events[index].type == _PHONEME:
                phonemes.append([events[index].sample, events[index].id.string.decode("utf-8", "ignore")])
            index += 1
        return 0

    callback = _Callback(heard)  # held here: the library keeps no reference
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        return {"error": f"espeak-ng has no voice {request['voice']!r}: see `espeak-ng --voices`"}, b""
    for which, value in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "range"), (_GAP, "gap")):
        library.espeak_SetParameter(which, int(request[value]), 0)
    library.espeak_SetParameter(_VOLUME, int(request["volume"]), 0)
    text = request["text"].encode() + b"\0"
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, _UTF8, None, None)
    return {"rate": rate, "phonemes": phonemes}, bytes(sound)


if __name__ == "__main__":
    header, pcm = say(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + pcm)
