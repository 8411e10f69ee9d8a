from __future__ import annotations

import pytest

from dubd.engines.contract import Word
from dubd.media.subtitles import Cue
from dubd.stages.utterances import LONGEST, from_cues, from_words, sentence


def words(*said: tuple[float, float, str], confidence: float = 0.8) -> list[Word]:
    return [Word(start, end, text, confidence) for start, end, text in said]


def test_a_pause_ends_an_utterance_and_a_short_gap_does_not() -> None:
    said = words((1.0, 1.4, "good"), (1.5, 2.0, "morning"), (2.6, 3.0, "hello"))
    made = from_words(said, [(0.95, 1.42), (1.55, 2.05), (2.58, 3.1)])
    assert [(one.start, one.end, one.text) for one in made] == [(0.95, 2.05, "Good morning."), (2.58, 3.1, "Hello.")]


def test_a_sound_without_words_is_no_part_of_the_slot() -> None:
    (made,) = from_words(words((1.0, 1.4, "yes")), [(0.7, 0.78), (0.98, 1.42), (1.65, 1.7)])
    assert (made.start, made.end) == (0.98, 1.42)


def test_no_words_and_no_belief_make_no_utterance() -> None:
    assert from_words([], [(0, 2)]) == []
    assert from_words(words((0, 1, "the"), (1, 2, "of"), confidence=0.01), [(0, 2)]) == []
    assert from_words(words(*((n / 2, n / 2 + 0.5, "and") for n in range(4))), [(0, 2)]) == []


def test_a_long_utterance_is_broken_where_the_gap_is_widest() -> None:
    said = words(*((n * 0.5 + (0.2 if n >= 26 else 0), n * 0.5 + 0.45, f"w{n}") for n in range(50)))
    made = from_words(said, [(0, 25.2)])
    assert len(made) >= 3 and all(one.end - one.start <= LONGEST for one in made)
    assert [word for one in made for word in one.words] == said
    assert any(one.words[0].text == "w26" for one in made)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("where do you live", "Where do you live?"),
        ("what a day", "What a day."),
        ("i think i'm late", "I think I'm late."),
        ("see you on monday", "See you on Monday."),
        ("how many are there", "How many are there?"),
        ("", ""),
    ],
)
def test_words_become_a_sentence(said: str, written: str) -> None:
    assert sentence(said.split()) == written


@pytest.mark.parametrize(
    ("said", "language", "written"),
    [
        ("今日 は", "ja", "今日は。"),
        ("你 好", "zh-CN", "你好。"),
        ("मैं घर जाता हूँ", "hi", "मैं घर जाता हूँ।"),
        ("मी घरी जातो", "mr", "मी घरी जातो."),
        ("ನಾನು ಮನೆಗೆ ಹೋಗುತ್ತೇನೆ", "kn", "ನಾನು ಮನೆಗೆ ಹೋಗುತ್ತೇನೆ."),
        ("สวัสดี", "th", "สวัสดี"),
    ],
)
def test_a_sentence_ends_with_the_mark_of_its_script(said: str, language: str, written: str) -> None:
    assert sentence(said.split(), language) == written


@pytest.mark.parametrize(
    ("said", "language", "written"),
    [("mama i tata", "pl", "Mama i tata."), ("i ragazzi e i cani", "it", "I ragazzi e i cani.")],
)
def test_words_that_are_english_are_not_looked_for_in_other_languages(said: str, language: str, written: str) -> None:
    (made,) = from_words(words(*((n, n + 1, word) for n, word in enumerate(said.split()))), [(0, 9)], language=language)
    assert made.text == sentence(said.split(), language) == written
    assert sentence(["and", "i", "said", "so"], "en-GB") == "And I said so."


def test_a_cue_takes_the_times_of_the_speech_inside_it() -> None:
    (made,) = from_cues([Cue(1.0, 4.0, "Hello.", "Anna")], [(1.26, 2.0), (2.1, 3.2)], 10)
    assert (made.start, made.end, made.speaker, made.text) == (1.26, 3.2, "Anna", "Hello.")


def test_a_cue_in_running_speech_keeps_its_own_times() -> None:
    made = from_cues([Cue(0.5, 3.0, "One."), Cue(3.0, 6.0, "Two.")], [(0.4, 6.2)], 10)
    assert [(one.start, one.end) for one in made] == [(0.4, 3.0), (3.0, 6.2)]


def test_a_cue_without_speech_keeps_its_own_times() -> None:
    (made,) = from_cues([Cue(1.0, 2.0, "Hm.")], [(5, 6)], 10)
    assert (made.start, made.end) == (1.0, 2.0)


def test_a_cue_belongs_to_the_segment_that_holds_its_middle() -> None:
    cues = [Cue(-1.0, 0.8, "before"), Cue(-0.5, 1.0, "Mine."), Cue(9.0, 10.4, "Mine too."), Cue(9.8, 11, "after")]
    made = from_cues(cues, [], 10)
    assert [(one.text, one.start, one.end) for one in made] == [("Mine.", 0.0, 1.0), ("Mine too.", 9.0, 10)]


def test_a_line_that_runs_on_is_joined_but_not_over_speakers() -> None:
    made = from_cues([Cue(0, 1, "We went"), Cue(1, 2, "to town."), Cue(2, 3, "And"), Cue(3, 4, "no.", "B")], [], 10)
    assert [(one.text, one.speaker) for one in made] == [("We went to town.", "S1"), ("And", "S1"), ("no.", "B")]


def test_cues_of_one_speaker_that_overlap_follow_one_another() -> None:
    made = from_cues([Cue(0, 3, "One."), Cue(2, 5, "Two."), Cue(2.5, 2.9, "Three.")], [], 10)
    assert [(one.start, one.end, one.text) for one in made] == [(0, 3, "One."), (3, 5, "Two. Three.")]


def test_two_people_may_speak_at_once() -> None:
    made = from_cues([Cue(0, 3, "One.", "A"), Cue(2, 5, "Two.", "B")], [], 10)
    assert [(one.start, one.end) for one in made] == [(0, 3), (2, 5)]


def test_a_sentence_that_the_recogniser_marks_is_an_utterance_without_any_pause() -> None:
    said = words((0.0, 0.5, "ನಮಸ್ಕಾರ,"), (0.5, 1.5, "ಹೇಗಿದ್ದೀರಿ?"), (1.5, 2.0, "ಇದು"), (2.0, 3.0, "ಮನೆ।"), (3.0, 4.0, "ಸರಿ"))
    made = from_words(said, [(0, 4)])
    assert [one.text for one in made] == ["ನಮಸ್ಕಾರ, ಹೇಗಿದ್ದೀರಿ?", "ಇದು ಮನೆ।", "ಸರಿ."]
    assert [(one.start, one.end) for one in made] == [(0, 1.5), (1.5, 3.0), (3.0, 4)]


@pytest.mark.parametrize("said", ["I met Dr. Smith there today", "He said no. and he left", "Yes. We can do that now."])
def test_an_abbreviation_a_small_letter_and_a_word_alone_end_no_utterance(said: str) -> None:
    spaced = words(*((n * 0.4, n * 0.4 + 0.4, word) for n, word in enumerate(said.split())))
    assert [one.text for one in from_words(spaced, [(0, 3)])] == [said]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (["Je", "suis", "parti."], "Je suis parti."),
        (["今", "日", "は。"], "今日は。"),
        (["i", "Jan", "poszli"], "i Jan poszli"),
        (["你", "好", "Bob"], "你好 Bob"),
    ],
)
def test_what_the_recogniser_writes_itself_is_left_as_it_is(said: list[str], written: str) -> None:
    assert sentence(said) == written
