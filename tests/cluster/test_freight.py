"""Artifacts on the wire: only what a node lacks is sent, and what it made it need not be sent again."""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dubd.cluster import freight
from dubd.cluster.freight import Cargo, Delivery, Known, to_send
from dubd.cluster.hold import Hold
from dubd.schedule.ticket import Ticket


def ticket(folder: Path, *inputs: str, output: str = "out") -> Ticket:
    paths = {name: str(folder / name) for name in inputs}
    return Ticket("video:000/x", "render", None, paths, {}, {"made": str(folder / output)}, {})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class TestSending:
    def test_equal_inputs_of_a_batch_go_once(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("same")
        (tmp_path / "b").write_text("same")
        parcel = Cargo().pack([ticket(tmp_path, "a"), ticket(tmp_path, "a", "b")], Known())
        assert parcel.loads == {digest("same"): b"same"}
        assert parcel.contents == {str(tmp_path / name): digest("same") for name in "ab"}

    def test_what_a_node_holds_is_not_sent_to_it(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("here")
        (tmp_path / "b").write_text("new")
        cargo, held = Cargo(), Known()
        held.add([digest("here")])
        assert cargo.pack([ticket(tmp_path, "a", "b")], held).size == 3
        assert to_send(cargo.pieces(ticket(tmp_path, "a", "b")), held) == 3
        assert to_send(cargo.pieces(ticket(tmp_path, "a", "b")), Known()) == 7

    def test_what_a_node_made_it_holds_also_after_the_file_was_renamed(self, tmp_path: Path) -> None:
        cargo, held = Cargo(), Known()
        done = ticket(tmp_path, output="private")
        held.add(cargo.unpack([done], Delivery([{}], [{"made": (digest("x"), b"x")}])))
        (tmp_path / "private").rename(tmp_path / "final")
        assert to_send(cargo.pieces(ticket(tmp_path, "final")), held) == 0
        (tmp_path / "final").write_text("edited")
        assert to_send(cargo.pieces(ticket(tmp_path, "final")), held) == 6


class TestSharedStorage:
    def test_sends_only_what_lies_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "workspace").mkdir()
        (tmp_path / "workspace" / "audio.wav").write_text("sound")
        (tmp_path / "glossary.csv").write_text("terms")
        cargo = Cargo(shared=tmp_path / "workspace")
        parcel = cargo.pack([ticket(tmp_path, "workspace/audio.wav", "glossary.csv")], Known())
        assert parcel.shared
        assert list(parcel.contents) == [str(tmp_path / "glossary.csv")]
        assert parcel.size == 5

    def test_lets_a_whole_video_be_read_elsewhere_if_it_lies_there(self, tmp_path: Path) -> None:
        whole = Ticket("v:extract", "extract", None, {"source": str(tmp_path / "source.mp4")}, {}, {}, {})
        assert Cargo().at_home(whole)
        assert Cargo(shared=tmp_path / "workspace").at_home(whole)
        assert not Cargo(shared=tmp_path).at_home(whole)

    def test_a_link_to_another_disk_is_sent_and_keeps_its_task_at_home(self, tmp_path: Path) -> None:
        workspace = tmp_path / "workspace"
        workspace.mkdir()
        (tmp_path / "source.mp4").write_text("video")
        (workspace / "source.mp4").symlink_to(tmp_path / "source.mp4")
        cargo = Cargo(shared=workspace)
        assert cargo.pack([ticket(workspace, "source.mp4")], Known()).size == 5
        assert cargo.at_home(
            Ticket("v:extract", "extract", None, {"source": str(workspace / "source.mp4")}, {}, {}, {})
        )

    def test_a_workspace_may_itself_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "workspace").symlink_to(tmp_path / "disk")
        (tmp_path / "disk" / "audio.wav").write_text("sound")
        assert Cargo(shared=tmp_path / "workspace").pieces(ticket(tmp_path / "workspace", "audio.wav")) == []


class TestWhatANodeIsKnownToHold:
    def test_may_be_told_by_many_threads_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(freight, "_MOST", 20)
        held, before = Known(), sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as threads:
                told = [threads.submit(held.add, [f"{n}-{m}" for m in range(n % 7, n % 7 + 30)]) for n in range(2000)]
            for each in told:
                each.result()
        finally:
            sys.setswitchinterval(before)


class TestAHold:
    def test_lets_go_of_what_was_not_used_for_longest(self, tmp_path: Path) -> None:
        hold = Hold(tmp_path / "held", most=8)
        for text in ("aaa", "bbb"):
            hold.put(digest(text), text.encode())
        assert hold.link(digest("aaa"), tmp_path / "a")
        hold.put(digest("ccc"), b"ccc")
        assert hold.lacks({digest(text) for text in ("aaa", "bbb", "ccc")}) == {digest("bbb")}
        assert not hold.link(digest("bbb"), tmp_path / "b")
        assert len(list((tmp_path / "held").iterdir())) == 2

    def test_an_input_stays_while_it_is_used_though_it_went(self, tmp_path: Path) -> None:
        hold = Hold(tmp_path / "held", most=4)
        hold.put(digest("aaa"), b"aaa")
        hold.link(digest("aaa"), tmp_path / "input")
        hold.put(digest("bbb"), b"bbb")
        assert (tmp_path / "input").read_text() == "aaa"

    def test_what_was_made_moves_in(self, tmp_path: Path) -> None:
        (tmp_path / "made").write_text("made")
        hold = Hold(tmp_path / "held", most=100)
        assert hold.keep(tmp_path / "made") == (digest("made"), b"made")
        assert not (tmp_path / "made").exists()
        assert hold.lacks({digest("made")}) == set()
