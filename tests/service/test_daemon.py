"""The daemon over stand-in stages: what it takes up again, and that one video's fault is its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.graph import report
from dubd.graph import video as video_module
from dubd.graph.video import Video, videos
from dubd.graph.video_build import VideoBuild
from dubd.schedule.ticket import Ticket
from dubd.service import daemon, retries
from dubd.service.daemon import Daemon
from dubd.service.news import News
from dubd.service.signature import of_video
from dubd.service.standing import standing
from tests.engines import checkouts
from tests.graph.stand import Desk


class Watch:
    """A daemon at a desk whose clock goes a second a turn."""

    def __init__(self, root: Path) -> None:
        self.desk = Desk(root)
        self.news: list[News] = []
        self.clock = 0.0
        self.start()

    def start(self) -> None:
        """Another daemon, with nothing in its memory."""
        self.daemon = Daemon(self.desk.folders, self.desk.stand, self.news.append, settle=1.0, now=lambda: self.clock)

    def until(self, reached: Callable[[], bool]) -> None:
        """Turn after turn; a daemon that has nothing to do looks around every 30 of them."""
        for _ in range(300):
            self.daemon.step(0.01)
            self.clock += 1.0
            if reached():
                return
        raise AssertionError(f"not reached: {[(each.kind, str(each.error)) for each in self.news]}")

    def idle(self) -> None:
        self.until(lambda: self.daemon.idle)

    def look(self) -> None:
        """Every folder is looked at again, and what follows is done."""
        self.clock += 31.0
        self.idle()

    def told(self, kind: str) -> list[News]:
        return [news for news in self.news if news.kind == kind]

    def ran(self) -> list[str]:
        found = list(self.desk.stand.ran)
        self.desk.stand.ran.clear()
        return found

    def drop(self, name: str) -> None:
        (self.desk.folders.inbox / name).write_text(name, encoding="utf-8")

    def folder(self, name: str) -> Path:
        return next(self.desk.folders.workspace.glob(f"{name}-*"))

    def fail(self, task: str, exit: Exit = Exit.FAILED) -> None:
        self.desk.stand.fail[f"{self.desk.folder.name}:{task}"] = DubdError("mumbles", stage="speak", exit=exit)

    def failures(self) -> list[News]:
        """The tasks that were told to have failed."""
        return [news for news in self.told("task") if news.event and news.event.state == "failed"]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def edit(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class TestAgain:
    def test_a_failure_is_not_tried_again_by_itself(self, watch: Watch) -> None:
        watch.desk.claim()
        watch.fail("001/speak")
        watch.idle()
        assert watch.ran().count("001/speak") == 1
        watch.look()
        assert watch.ran() == []
        assert len(watch.told("failed")) == 1

    def test_a_correction_saved_while_a_build_failed_is_taken_up(self, watch: Watch) -> None:
        desk = watch.desk
        desk.claim()
        watch.fail("001/speak")

        def correct(ticket: Ticket) -> None:
            if ticket.task.endswith("001/speak") and desk.stand.fail:
                said = desk.folder / "segments" / "000" / "speech.wav"
                until = time.monotonic() + 20
                while not said.exists() and time.monotonic() < until:
                    time.sleep(0.01)  # or it would be said from the correction at once
                edit(desk.folder / "segments" / "000" / "translation.json", "corrected")
                desk.stand.fail.clear()
                desk.stand.during = lambda _: None
                raise_for_this_one(ticket)

        def raise_for_this_one(ticket: Ticket) -> None:
            desk.stand.fail[ticket.task] = DubdError("mumbles", stage="speak")

        desk.stand.during = correct
        watch.until(lambda: bool(watch.told("failed")))
        desk.stand.fail.clear()
        watch.ran()
        watch.idle()
        again = watch.ran()
        assert "000/speak" in again
        assert again[-1] == "assemble"
        assert len(watch.told("built")) == 1

    def test_a_task_whose_input_changed_under_it_is_run_again(self, watch: Watch) -> None:
        desk = watch.desk

        def touch(ticket: Ticket) -> None:
            if ticket.task.endswith("000/speak"):
                path = desk.folder / "segments" / "000" / "translation.json"
                path.write_bytes(path.read_bytes())  # the same bytes: nothing but the failure tells of it
                desk.stand.during = lambda _: None

        desk.stand.during = touch
        watch.idle()
        assert watch.ran().count("000/speak") == 2
        assert [str(news.error) for news in watch.told("failed") if "while it was being used" in str(news.error)]
        assert len(watch.told("built")) == 1

    def test_an_edited_glossary_is_taken_up_wherever_it_lies_and_though_the_drop_is_gone(
        self, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DUBD_TRUST_SIDECARS", "1")  # it lies elsewhere, where only an operator may point
        desk = watch.desk
        glossary = desk.root / "words.csv"
        edit(glossary, "dub,doblar\n")
        rule = f"languages: {{source: en, target: es}}\nstages: {{translate: {{glossary: {glossary}}}}}\n"
        edit(desk.source.with_suffix(".yaml"), rule)
        watch.idle()
        desk.source.unlink()
        watch.idle()
        watch.ran()
        edit(glossary, "dub,doblaje\n")
        watch.look()
        assert "000/translate" in watch.ran()

    def test_a_full_disk_is_told_once_and_tried_again_until_it_is_mended(self, watch: Watch) -> None:
        watch.desk.claim()
        watch.fail("001/speak", Exit.WORKSPACE)
        watch.idle()
        watch.ran()
        watch.look()
        watch.look()
        assert "001/speak" in watch.ran()
        assert len(watch.failures()) == len(watch.told("failed")) == 1
        watch.desk.stand.fail.clear()
        watch.look()
        watch.look()
        assert len(watch.told("built")) == 1

    def test_a_failure_that_an_edit_did_not_mend_is_told_again(self, watch: Watch) -> None:
        watch.desk.claim()
        watch.fail("001/speak")
        watch.idle()
        edit(watch.desk.folder / "segments" / "001" / "translation.json", "corrected, in vain")
        watch.look()
        assert len(watch.failures()) == len(watch.told("failed")) == 2

    def test_a_folder_that_is_removed_while_an_edit_in_it_settles_is_forgotten(self, watch: Watch) -> None:
        watch.idle()
        edit(watch.desk.folder / "segments" / "000" / "translation.json", "half of it")
        watch.clock += 31.0
        watch.daemon.step(0.01)
        assert not watch.daemon.idle
        folder = watch.desk.folder
        shutil.rmtree(folder)
        watch.idle()
        assert folder not in watch.daemon._rest


class TestBeside:
    def test_a_failure_of_an_old_film_says_nothing_beside_the_new_one_of_its_name(self, watch: Watch) -> None:
        watch.idle()
        old, source = watch.desk.folder, watch.desk.source
        note = source.with_name("talk.mp4.error.txt")
        watch.fail("001/speak")
        edit(old / "segments" / "001" / "translation.json", "corrected, in vain")
        watch.look()
        assert note.exists()
        source.unlink()
        source.write_text("another film", encoding="utf-8")
        watch.look()
        assert not note.exists()
        retries.ask(watch.desk.folders.workspace, old)
        watch.look()
        assert [news.path for news in watch.told("failed")] == [old, old]
        assert not note.exists()


def test_a_mark_for_a_retry_that_no_file_can_have_stops_nobody(watch: Watch) -> None:
    marks = watch.desk.folders.workspace / retries.MARKS
    marks.mkdir()
    (marks / "odd").write_bytes(bytes(watch.desk.folders.workspace / "talk-\0"))
    watch.idle()
    assert len(watch.told("built")) == 1
    assert list(marks.iterdir()) == []


class TestRemovedDrop:
    def in_place(self, watch: Watch) -> Path:
        """The video of a drop that is read where it lies, as from another disk."""
        source = watch.desk.claim().folder / "source.mp4"
        source.unlink()
        source.symlink_to(watch.desk.source)
        return source.parent

    def test_one_that_is_gone_before_its_build_begins_is_told_once_and_fails_nothing(self, watch: Watch) -> None:
        folder = self.in_place(watch)
        watch.desk.source.unlink()
        watch.idle()
        watch.look()
        (note,) = watch.told("note")
        assert str(note.error) == (
            f"{watch.desk.source}: was removed before it was dubbed; drop it again to have it dubbed"
        )
        assert (note.path, watch.told("refused"), watch.ran()) == (folder, [], [])

    def test_one_that_goes_while_it_is_built_is_told_once_and_fails_nothing(self, watch: Watch) -> None:
        self.in_place(watch)
        watch.fail("001/speak")
        watch.desk.stand.during = lambda _: watch.desk.source.unlink(missing_ok=True)
        watch.idle()
        watch.look()
        assert len(watch.told("note")) == 1
        assert (watch.told("failed"), watch.failures(), watch.told("refused")) == ([], [], [])

    def test_once_it_is_dropped_again_it_is_built(self, watch: Watch) -> None:
        self.in_place(watch)
        watch.desk.source.unlink()
        watch.idle()
        watch.desk.source.write_text("abc", encoding="utf-8")
        watch.look()
        assert len(watch.told("built")) == 1

    def test_once_its_share_is_back_it_is_built_by_itself(self, watch: Watch) -> None:
        self.in_place(watch)
        inbox = watch.desk.folders.inbox
        inbox.rename(inbox.with_name("away"))
        watch.idle()
        assert watch.ran() == []
        inbox.with_name("away").rename(inbox)
        watch.clock += 61.0
        watch.idle()
        assert len(watch.told("built")) == 1


class TestOverwritten:
    @pytest.mark.parametrize("when", ["before its first task", "while a task runs"])
    def test_a_film_that_another_was_written_over_is_not_built_under_the_name_of_the_first(
        self, watch: Watch, when: str
    ) -> None:
        desk = watch.desk
        video = desk.claim()

        def overwrite(task: str = "") -> None:
            if when.startswith("before") or task.endswith("assemble"):
                edit(desk.source, "another film")

        if when.startswith("before"):
            begin = VideoBuild.begin
            with pytest.MonkeyPatch.context() as late:
                late.setattr(VideoBuild, "begin", lambda *given: (overwrite(), begin(*given))[1])
                watch.until(lambda: bool(watch.failures()))
        else:
            desk.stand.during = lambda ticket: overwrite(ticket.task)
            watch.until(lambda: bool(watch.failures()))
        assert "was overwritten" in str(watch.failures()[0].event.error)  # type: ignore[union-attr]
        assert not list(video.folder.glob("dubbed.*"))
        watch.look()
        (built,) = watch.told("built")
        assert built.path != video.folder

    def test_a_finished_video_whose_film_is_gone_is_kept_and_told_of_to_who_edits_it(self, watch: Watch) -> None:
        watch.idle()
        folder = watch.desk.folder
        (folder / "source.mp4").unlink()
        watch.desk.source.unlink()
        watch.news.clear()
        watch.start()
        watch.idle()
        assert watch.told("refused") == []
        (video,) = standing(watch.desk.folders)["videos"]
        assert (video["state"], video["failed"], video["waiting"]) == ("kept", [], [])
        edit(folder / "segments" / "000" / "translation.json", "by hand")
        watch.look()
        watch.look()
        (refused,) = watch.told("refused")
        assert "drop the video again" in str(refused.error)


class TestErrorFile:
    def test_the_end_of_an_old_film_leaves_what_is_said_of_the_new_one_of_its_name(self, watch: Watch) -> None:
        source = watch.desk.source
        beside = source.with_name("talk.mp4.error.txt")
        watch.desk.claim()

        def replace(ticket: Ticket) -> None:
            if ticket.stage == "assemble" and not beside.exists():
                source.unlink()
                source.write_text("another film", encoding="utf-8")
                source.with_suffix(".yaml").write_text("languages: none of them", encoding="utf-8")
                until = time.monotonic() + 20
                while not beside.exists() and time.monotonic() < until:
                    time.sleep(0.01)

        watch.desk.stand.during = replace
        watch.until(lambda: bool(watch.told("built")))
        assert len(watch.told("refused")) == 1
        assert "languages" in beside.read_text()

    def test_it_goes_when_its_own_film_is_built(self, watch: Watch) -> None:
        beside = watch.desk.source.with_name("talk.mp4.error.txt")
        watch.desk.claim()
        watch.fail("001/speak")
        watch.idle()
        assert beside.exists()
        watch.desk.stand.fail.clear()
        watch.desk.source.touch()
        watch.look()
        assert not beside.exists()

    def test_a_name_that_is_refused_for_itself_has_one_too_and_a_time_in_the_status(self, watch: Watch) -> None:
        path = watch.desk.folders.inbox / "caf\udce9.mp4"
        path.write_text("a film", encoding="utf-8")
        watch.idle()
        beside = path.with_name("caf%E9.mp4.error.txt")
        assert "its name is not UTF-8" in beside.read_text()
        (drop,) = standing(watch.desk.folders)["drops"]
        assert (drop["file"], drop["at"]) == (str(path), beside.stat().st_mtime)
        watch.look()
        assert beside.exists()
        path.unlink()
        watch.look()
        assert not beside.exists()


class TestManyDrops:
    def test_one_that_is_written_anew_while_it_waits_for_its_turn_is_taken_when_it_is_whole(
        self, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watch.drop("last.mp4")
        monkeypatch.setattr("dubd.service.taking._TURN", 0.05)
        claim = Video.claim
        monkeypatch.setattr(Video, "claim", lambda *given, **named: (time.sleep(0.1), claim(*given, **named))[1])
        watch.until(lambda: bool(watch.told("claimed")))
        with (watch.desk.folders.inbox / "last.mp4").open("r+", encoding="utf-8") as writer:
            writer.write("half")
            writer.flush()
            for _ in range(5):
                watch.daemon.step(0.01)
                watch.clock += 1.0
            assert [news.path.name for news in watch.told("claimed")] == ["talk.mp4"]
        watch.idle()
        assert [news.path.name for news in watch.told("claimed")] == ["talk.mp4", "last.mp4"]


class TestRules:
    def test_a_rule_that_is_taken_out_of_the_folder_has_no_finished_video_dubbed_by_another(self, watch: Watch) -> None:
        desk = watch.desk
        rule = next(desk.folders.rules.iterdir())
        kept = rule.read_text(encoding="utf-8")
        watch.idle()
        watch.ran()
        rule.unlink()
        edit(desk.folders.rules / "other.yaml", kept.replace("output: {", "output: {loudness: -18, "))
        watch.look()
        (refused,) = watch.told("refused")
        assert f"its rule {rule.stem} is no longer in" in str(refused.error)
        assert watch.ran() == []
        edit(rule, kept)
        (desk.folders.rules / "other.yaml").unlink()
        watch.look()
        assert (watch.ran(), len(watch.told("refused"))) == ([], 1)

    def test_a_rule_that_got_another_name_goes_on(self, watch: Watch) -> None:
        rule = next(watch.desk.folders.rules.iterdir())
        watch.idle()
        watch.ran()
        rule.rename(rule.with_name("renamed.yaml"))
        watch.look()
        assert (watch.ran(), watch.told("refused")) == ([], [])


class TestManyVideos:
    def test_looks_too_have_a_turn_for_a_few(self, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("b.mp4", "c.mp4"):
            watch.drop(name)
        watch.idle()
        monkeypatch.setattr("dubd.service.daemon._BEGINNING", 0.0)
        looked: list[Path] = []
        monkeypatch.setattr(daemon, "of_video", lambda folder: looked.append(folder) or of_video(folder))
        watch.daemon._rest.reload(lambda _: True)
        watch.daemon._wake.set()
        watch.clock += 10.0
        watch.daemon.step(0.01)
        assert len(looked) == 1
        watch.idle()
        assert len(set(looked)) == 3

    def test_an_edit_saved_while_a_finished_video_is_checked_is_taken_up(
        self, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watch.idle()
        watch.ran()
        path = watch.desk.folder / "segments" / "000" / "translation.json"
        close = VideoBuild.close

        def save_then_close(build: VideoBuild) -> None:
            edit(path, "by hand")
            monkeypatch.setattr(VideoBuild, "close", close)
            close(build)

        monkeypatch.setattr(VideoBuild, "close", save_then_close)
        watch.start()
        watch.idle()
        assert "000/speak" in watch.ran()

    def test_a_start_has_a_turn_for_a_few_so_that_the_loop_is_heard_of(
        self, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("b.mp4", "c.mp4"):
            watch.drop(name)
        watch.idle()
        monkeypatch.setattr("dubd.service.daemon._BEGINNING", 0.0)
        watch.news.clear()
        watch.start()
        begun = 0
        for _ in range(6):  # each is begun, and then looked at once more
            assert not watch.daemon.idle
            watch.daemon.step(0.01)
            begun, before = len(watch.told("current")), begun
            assert begun - before <= 1
        assert begun == 3
        watch.idle()

    def test_a_start_has_one_finished_video_open_at_a_time(self, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("b.mp4", "c.mp4"):
            watch.drop(name)
        watch.idle()
        opened: list[int] = []
        begin = Daemon._begin
        monkeypatch.setattr(Daemon, "_begin", lambda *given: (opened.append(len(given[0]._building)), begin(*given)))
        watch.start()
        watch.idle()
        assert len(opened) >= 3
        assert set(opened) == {0}

    def test_a_look_at_many_goes_to_few_of_them_and_finds_an_edit_of_which_nothing_was_heard_in_time(
        self, watch: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5):
            watch.drop(f"{number}.mp4")
        watch.idle()
        looked: list[Path] = []
        monkeypatch.setattr(daemon, "of_video", lambda folder: looked.append(folder) or of_video(folder))
        monkeypatch.setattr(daemon, "FILES", 1)  # less than a video has
        files = len(of_video(watch.desk.folder))
        for _ in range(6 * files):
            watch.look()
        assert len(looked) <= 6 + 1
        assert set(looked) == set(videos(watch.desk.folders.workspace))
        watch.ran()
        edit(watch.desk.folder / "segments" / "000" / "translation.json", "by hand")
        for _ in range(6 * files):
            watch.look()
        assert watch.ran()[0] == "000/speak"

    def test_a_look_for_a_drop_goes_to_no_finished_video(self, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        watch.idle()
        looked: list[Path] = []
        monkeypatch.setattr(daemon, "of_video", lambda folder: looked.append(folder) or of_video(folder))
        watch.drop("b.mp4")
        watch.daemon._wake.set()
        watch.until(lambda: len(watch.told("built")) == 2)
        assert watch.desk.folder not in looked

    def test_a_look_at_a_finished_one_reads_no_rule(self, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        watch.idle()
        read: list[Path] = []
        monkeypatch.setattr("dubd.graph.video.rules.load", lambda path, **_: read.append(path))
        monkeypatch.setattr("dubd.service.signature.load", lambda path, **_: read.append(path))
        video_module._loaded.cache_clear()
        watch.look()
        assert read == []
        assert len(watch.told("built")) == 1


class TestOneVideosFault:
    """Each time a second video is dubbed as if nothing had happened."""

    @pytest.fixture(autouse=True)
    def other(self, watch: Watch) -> str:
        watch.drop("other.mp4")
        return "other"

    def finish(self, watch: Watch) -> DubdError:
        """The fault that was told of the first video, once the other one is done."""
        watch.idle()
        assert (watch.folder("other") / "dubbed.es.mp4").exists()
        faults = [news.error for news in watch.news if news.error and "talk" in str(news.error)]
        assert faults
        assert "\n" not in str(faults[0])
        return faults[0]

    def test_a_broken_state_file(self, watch: Watch) -> None:
        (watch.desk.claim().folder / ".state.sqlite").write_bytes(b"no database at all" * 100)
        assert "state file" in str(self.finish(watch))

    def test_a_plan_that_a_hand_broke(self, watch: Watch) -> None:
        watch.desk.build()
        path = watch.desk.folder / "plan.json"
        edit(path, path.read_text().replace('"id"', '"name"'))
        self.finish(watch)

    def test_a_rule_that_is_half_saved(self, watch: Watch) -> None:
        video = watch.desk.claim()
        edit(video.folder / "rule.yaml", "languages: {source: en, tar")
        fault = self.finish(watch)
        assert fault.exit == Exit.RULE

    def test_a_rule_that_is_half_saved_while_it_is_built(self, watch: Watch) -> None:
        desk = watch.desk

        def save(ticket: Ticket) -> None:
            if ticket.task.startswith("plan:talk"):
                rule = desk.folder / "rule.yaml"
                edit(rule, rule.read_text()[:40])

        desk.stand.during = save
        assert self.finish(watch).exit == Exit.RULE

    def test_a_folder_that_is_removed_while_it_is_built(self, watch: Watch) -> None:
        desk = watch.desk

        def remove(ticket: Ticket) -> None:
            if ticket.task.endswith("000/extract") and ticket.task.startswith("talk"):
                shutil.rmtree(desk.folder)
                desk.stand.during = lambda _: None

        desk.stand.during = remove
        self.finish(watch)

    @pytest.mark.parametrize("call", ["__init__", "ready", "begin", "finish", "close"])
    def test_whatever_a_build_raises(self, watch: Watch, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        real = getattr(VideoBuild, call)

        def broken(build: VideoBuild, *words: object) -> object:
            video = words[0] if call == "__init__" else build.video
            if getattr(video, "title", "") == "talk":
                raise RuntimeError("nobody foresaw this")
            return real(build, *words)

        monkeypatch.setattr(VideoBuild, call, broken)
        assert "nobody foresaw this" in str(self.finish(watch))

    def test_a_report_that_cannot_be_made(self, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
        real = report.write

        def broken(folder: Path) -> None:
            if folder.name.startswith("talk"):
                raise OSError(28, "No space left on device")
            real(folder)

        monkeypatch.setattr(report, "write", broken)
        assert self.finish(watch).exit == Exit.WORKSPACE

    def test_an_overwritten_source_is_refused_and_the_new_film_is_dubbed_once(self, watch: Watch) -> None:
        watch.idle()
        first = watch.desk.folder
        watch.desk.source.write_text("another film")
        watch.look()
        assert "was overwritten" in str(self.finish(watch))
        (second,) = [folder for folder in watch.desk.folders.workspace.glob("talk-*") if folder != first]
        assert (second / "dubbed.es.mp4").exists()


def test_videos_are_opened_as_they_are_needed_and_all_are_built(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "_OPEN", 1)
    monkeypatch.setattr(daemon, "_OPEN_A_SLOT", 0)
    for number in range(4):
        watch.drop(f"more{number}.mp4")
    most = 0

    def all_built() -> bool:
        nonlocal most
        most = max(most, watch.daemon.counts["videos_building"])
        return watch.daemon.idle

    watch.until(all_built)
    assert most == 1
    assert len(list(watch.desk.folders.workspace.glob("*/dubbed.es.mp4"))) == 5


def test_a_rule_that_is_edited_makes_again_what_it_makes_stale_without_any_signal(watch: Watch) -> None:
    watch.idle()
    assert "000/speak" in watch.ran()
    watch.desk.rule("m1")
    watch.until(lambda: len(watch.told("built")) == 2)
    again = watch.ran()
    assert {"000/speak", "001/speak", "assemble"} <= set(again)
    assert not [task for task in again if task.rpartition("/")[2] in ("plan", "extract", "transcribe", "translate")]


def test_a_drop_that_is_renamed_stays_the_same_video_also_when_its_rule_changes_later(watch: Watch) -> None:
    watch.idle()
    watch.ran()
    watch.desk.source.rename(watch.desk.source.with_name("other.mp4"))
    watch.look()
    assert watch.ran() == []
    watch.desk.rule("m1")
    watch.until(lambda: len(watch.told("built")) == 2)
    assert "000/speak" in watch.ran()
    assert [folder.name for folder in videos(watch.desk.folders.workspace)] == [watch.desk.folder.name]


def test_every_fault_of_a_rule_is_told_once(watch: Watch) -> None:
    (watch.desk.folders.rules / "lite.yaml").write_text("languages: {source: en}\nclyp: 3\ndefault: true\n")
    watch.idle()
    (news,) = watch.told("refused")
    assert news.error is not None
    said = [str(fault) for fault in news.error.each()]
    assert len(said) == 2
    assert any("lite.yaml:1: " in line and "target is missing" in line for line in said)
    assert any("lite.yaml:2: unknown key 'clyp'; did you mean clip?" in line for line in said)
    (drop,) = standing(watch.desk.folders)["drops"]
    assert [str(DubdError.from_json(fault)) for fault in (drop["error"], *drop["also"])] == said
    watch.look()
    assert len(watch.told("refused")) == 1


def test_a_drop_that_is_refused_for_want_of_a_checkpoint_starts_by_itself_when_that_comes(
    watch: Watch, tmp_path: Path
) -> None:
    repo = checkouts.checkout(tmp_path / "checkout")
    checkpoint = repo / "checkpoints" / "DNet.pt"
    checkpoint.rename(tmp_path / "DNet.pt")
    rule = f"languages: {{source: en, target: es}}\nstages: {{lipsync: {{engine: videoretalking, repo: {repo}}}}}\n"
    (watch.desk.folders.rules / "lite.yaml").write_text(rule + "default: true\n", encoding="utf-8")
    watch.until(lambda: bool(watch.told("refused")))
    for _ in range(5):
        watch.look()
    (refused,) = watch.told("refused")
    assert f"the checkout {repo} lacks checkpoints/DNet.pt; docs/videoretalking.md tells how" in str(refused.error)
    assert watch.told("built") == []

    (tmp_path / "DNet.pt").rename(checkpoint)

    watch.until(lambda: bool(watch.told("built")))
