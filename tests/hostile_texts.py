"""Rules and subtitles that lie beside a drop and are wrong, or are made to harm: each by a name, made here."""

from __future__ import annotations

import io
import random

SECRET = "/etc/hostname"

_HEAD = "languages: {source: en, target: es}\n"
_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def _stage(text: str) -> bytes:
    return f"{_HEAD}stages: {{{text}}}\n".encode()


RULES: dict[str, tuple[bytes, str]] = {
    "interpreter": (_stage("speak: {engine: espeak, python: ./evil}"), "'python' is for the operator"),
    "interpreter-elsewhere": (_stage("translate: {python: /tmp/evil/bin/python}"), "'python' is for the operator"),
    "glossary-elsewhere": (_stage(f"translate: {{glossary: {SECRET}}}"), "lies beside it"),
    "glossary-parent": (_stage("translate: {glossary: ../../canary/secret.mp4}"), "lies beside it"),
    "glossary-home": (_stage("translate: {glossary: ~/.ssh/id_rsa}"), "lies beside it"),
    "glossary-dots": (_stage("translate: {glossary: ..}"), "no glossary at"),
    "glossary-nul": (_stage('translate: {glossary: "a\\0b"}'), "lies beside it"),
    "glossary-long": (_stage(f"translate: {{glossary: {'g' * 300}}}"), "no glossary at"),
    "model-elsewhere": (_stage(f"transcribe: {{model: {SECRET}}}"), "a path"),
    "voice-elsewhere": (_stage("speak: {voice: ../../canary/secret.mp4}"), "a path"),
    "path-in-a-list": (_stage(f"speak: {{voice: [{SECRET}]}}"), "a path"),
    "all-of-the-card": (_stage("transcribe: {vram: 1000 GiB}"), "'vram' is for the operator"),
    "a-thousand-workers": (_stage("transcribe: {workers: 1000}"), "'workers' is for the operator"),
    "never-hangs": (_stage("transcribe: {deadline: 999999999}"), "'deadline' is for the operator"),
    "billion-laughs": (_LAUGHS.encode(), "values"),
    "alias-of-itself": (b"a: &a [*a]\n", "an alias of itself"),
    "merge-of-itself": (b"a: &a {<<: *a}\n", "an alias of itself"),
    "unknown-alias": (b"a: *b\n", "not YAML"),
    "python-tag": (b"a: !!python/object/apply:os.system ['touch x']\n", "tags are not taken"),
    "python-name": (b"!!python/name:os.system\n", "tags are not taken"),
    "local-tag": (b"a: !include /etc/passwd\n", "tags are not taken"),
    "binary-tag": (b"a: !!binary aGVsbG8=\n", "tags are not taken"),
    "number-tag": (b"a: !!int x\n", "tags are not taken"),
    "deep-lists": (b"[" * 100_000, "nested too deep"),
    "deep-mappings": (b"{a: " * 5_000 + b"}" * 5_000, "nested too deep"),
    "deep-blocks": ("".join(f"{' ' * n}a:\n" for n in range(1_000)).encode(), "nested too deep"),
    "many-values": (b"a: [" + b"1, " * 20_000 + b"]\n", "values"),
    "keys-twice": (_HEAD.encode() * 2, "stands twice"),
    "two-documents": (_HEAD.encode() + b"---\n" + _HEAD.encode(), "not YAML"),
    "nul-bytes": (_HEAD.encode() + b"\0\0\0\n", "not YAML"),
    "escape-characters": (b"languages: \x1b[2J\n", "not YAML"),
    "utf-16": (_HEAD.encode("utf-16"), "save it as UTF-8"),
    "latin-1": ("name: caf\xe9\n".encode("latin-1"), "save it as UTF-8"),
    "noise": (random.Random(1).randbytes(1000), "UTF-8"),
    "nothing": (b"", "a rule is a mapping"),
    "a-list": (b"- a\n- b\n", "a rule is a mapping"),
    "a-word": (b"hello\n", "a rule is a mapping"),
    "list-as-key": (b"? [a, b]\n: c\n", "not YAML"),
    "date-as-key": (_HEAD.encode() + b"2001-01-01: x\n", "not a rule"),
    "no-such-day": (b"a: 2001-99-99\n", "not YAML"),
    "endless-number": (b"a: " + b"9" * 5_000 + b"\n", "not YAML"),
    "not-a-number": (_HEAD.encode() + b"output: {loudness: .nan}\n", "loudness"),
    "infinite": (_HEAD.encode() + b"segments: {max: .inf}\n", "segments"),
    "time-without-end": (_HEAD.encode() + b"clip: {start: 0, duration: '" + b"9" * 400 + b"'}\n", "clip"),
    "tabs": (b"languages:\n\t- a\n", "not YAML"),
    "name-with-lines": (_HEAD.encode() + b'name: "a\\nb"\n', "name"),
    "name-with-path": (_HEAD.encode() + b"name: ../../x\n", "name"),
    "stages-as-list": (_HEAD.encode() + b"stages: [1, 2]\n", "stages is a mapping"),
    "stage-as-list": (_stage("speak: [1, 2]"), "should be a mapping"),
    "engine-as-path": (_stage("speak: {engine: ../../evil.py}"), "a path"),
    "engine-as-import": (_stage("speak: {engine: 'os:system'}"), "no engine"),
    "megabytes": (b"# " + b"x" * (2 << 20), "more than 1,048,576"),
}
"""Content and words of the line that refuses it."""


def _cues(count: int) -> bytes:
    text = io.StringIO()
    for number in range(count):
        text.write(f"00:{number // 60 % 60:02}:{number % 60:02},000 --> 00:59:59,000\nhello\n\n")
    return text.getvalue().encode()


def _one(text: str) -> bytes:
    return f"00:00:01,000 --> 00:00:02,000\n{text}\n".encode()


SUBTITLES: dict[str, tuple[bytes, str | None]] = {
    "nothing": (b"", "no subtitle in the file"),
    "noise": (random.Random(2).randbytes(100_000), "no subtitle in the file"),
    "zeros": (bytes(10_000), "no subtitle in the file"),
    "rich-text": (rb"{\rtf1\ansi 1\par 00:00:01,000 hello\par}", "no subtitle in the file"),
    "html": (b"<html><body>--&gt;</body></html>", "no subtitle in the file"),
    "mark-alone": (b"\xff\xfe", "no subtitle in the file"),
    "odd-utf-16": ("00:00:01,000 --> 00:00:02,000\nhi".encode("utf-16") + b"\xff", None),
    "half-utf-8": (_one("caf") + b"\xc3", None),
    "too-many": (_cues(100_001), "more than 100,000 subtitles"),
    "a-million-lines": (b"\n" * 1_000_000, "no subtitle in the file"),
    "megabytes": (b"x" * (17 << 20), "more than 16,777,216"),
    "one-endless-cue": (_one("x" * 1_000_000), "more than 2,000 letters"),
    "one-endless-time": (b" " * 1_000_000 + b"-->" + b" " * 1_000_000, "no subtitle time"),
    "arrows": (b"-" * 1_000_000 + b">", "no subtitle time"),
    "absurd-times": (b"9999:99:99,999 --> 9999:99:99,999\nhi\n", "no subtitle in the file"),
    "negative-times": (b"-00:00:05,000 --> -00:00:01,000\nhi\n", "no subtitle in the file"),
    "backward-times": (b"00:00:05,000 --> 00:00:01,000\nhi\n", "no subtitle in the file"),
    "no-times": (b"aa:bb --> cc:dd\nhi\n", "line 1: no subtitle time"),
    "all-at-once": (b"00:00:01,000 --> 99:99:99,999\nhi\n\n" * 1_000, None),
    "notes": (_one("♪" * 1_500 + "x"), None),
    "brackets": (_one("[" * 1_900), None),
    "half-brackets": (_one("[(" * 900), None),
    "half-tags": (_one("<v " * 600), None),
    "tags-and-spaces": (_one("<v" + " " * 1_900 + "x"), None),
    "half-commands": (_one("{\\" * 900), None),
    "endless-entity": (_one("&#" + "9" * 1_900 + ";"), None),
    "terminal": (_one("\x1b[2J\x07hello"), None),
    "other-digits": ("٠٠:٠٠:٠١,٠٠٠ --> ٠٠:٠٠:٠٢,٠٠٠\nhi\n".encode(), None),
}
"""Content, and words of the line that refuses it; None where something can be read."""
