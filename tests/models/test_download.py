"""A file's way into the store, whatever the server, the network, the disk and other processes do meanwhile."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubd.errors import DubdError, Exit
from dubd.models import http, store, sums
from dubd.models.download import PAUSES, Listener, NoNetwork, download
from dubd.models.model import HUB, File, Model, from_hub
from dubd.models.pull import pull
from tests.models.shelf import Shelf, served

WEIGHTS = random.Random(1).randbytes(3_000_000)
SUM = hashlib.sha256(WEIGHTS).hexdigest()


class Ear(Listener):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.loaded = 0
        self.here: list[int] = []  # of each beginning

    def began(self, what: str, size: int | None, here: int) -> None:  # noqa: ARG002
        self.here.append(here)

    def moved(self, count: int) -> None:
        self.loaded += count

    def says(self, what: str, text: str) -> None:  # noqa: ARG002
        self.said.append(text)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def model(shelf: Shelf) -> Model:
    """tiny/w.pt, with size and sum in the table."""
    shelf.files["/w.pt"] = WEIGHTS
    return Model("tiny", (File("w.pt", f"{shelf.url}/w.pt", len(WEIGHTS), SUM),), "MIT", "http://home")


def load(model: Model, ear: Listener) -> Path:
    download(model, model.files[0], ear, lambda _: None)
    return store.place(model) / model.files[0].path


def unsummed(model: Model) -> Model:
    """The same, where the table has neither sum nor size."""
    return Model("tiny", (File("w.pt", model.files[0].url),), "MIT", "http://home")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_has_come_is_there_whole_and_nothing_else_is_left(model: Model, models: Path, ear: Ear) -> None:
    assert load(model, ear).read_bytes() == WEIGHTS
    assert names(models) == ["w.pt"]
    assert ear.loaded == len(WEIGHTS)
    assert store.lacking(model) == ()


def test_what_is_there_is_not_asked_for(model: Model, shelf: Shelf, ear: Ear) -> None:
    load(model, ear)
    shelf.asked.clear()
    load(model, ear)
    assert shelf.asked == []
    assert list(pull([model], ear)) == []
    assert shelf.asked == []


class TestResume:
    def test_a_cut_is_gone_on_from_where_it_was(self, model: Model, shelf: Shelf, ear: Ear) -> None:
        shelf.cuts["/w.pt"] = [1_000_000, 500_000]
        assert load(model, ear).read_bytes() == WEIGHTS
        assert shelf.ranges_of("/w.pt") == [None, "bytes=1000000-", "bytes=1500000-"]
        assert ear.loaded == len(WEIGHTS)

    def test_a_cut_shows_by_the_published_size_where_the_server_names_none(
        self, model: Model, shelf: Shelf, ear: Ear
    ) -> None:
        shelf.lengths = False
        shelf.cuts["/w.pt"] = [1_000_000]
        assert load(model, ear).read_bytes() == WEIGHTS
        assert ear.said == ["the connection was closed; again in 1 s"]
        assert ear.loaded == len(WEIGHTS)

    def test_a_later_run_goes_on_too_and_before_the_end_there_is_only_the_part(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        shelf.cuts["/w.pt"] = [1_000_000, *[0] * 9]
        with pytest.raises(DubdError, match=r"976\.6 KiB of it are here; dubd models pull tiny goes on") as caught:
            load(model, ear)
        assert caught.value.file == "tiny/w.pt"
        assert names(models) == ["w.pt.part", "w.pt.part.json"]
        assert len(shelf.asked) == 1 + len(PAUSES)
        shelf.cuts.clear()
        shelf.asked.clear()
        assert load(model, ear).read_bytes() == WEIGHTS
        assert shelf.ranges_of("/w.pt") == ["bytes=1000000-"]
        assert names(models) == ["w.pt"]

    def test_a_part_that_had_all_its_bytes_is_only_checked(self, model: Model, models: Path, ear: Ear) -> None:
        (models / "tiny").mkdir(parents=True)
        (models / "tiny" / "w.pt.part").write_bytes(WEIGHTS)
        assert load(model, ear).read_bytes() == WEIGHTS
        assert ear.loaded == 0

    @pytest.mark.parametrize("published", ["with a sum", "without"])
    def test_a_file_that_changed_meanwhile_begins_anew(
        self, model: Model, shelf: Shelf, ear: Ear, published: str
    ) -> None:
        older = random.Random(2).randbytes(len(WEIGHTS))
        shelf.files["/w.pt"] = older
        shelf.cuts["/w.pt"] = [1_000_000, *[0] * 9]
        wanted = model if published == "with a sum" else unsummed(model)
        with pytest.raises(DubdError):
            load(wanted, ear)
        shelf.cuts.clear()
        shelf.files["/w.pt"] = WEIGHTS
        assert load(wanted, ear).read_bytes() == WEIGHTS

    def test_a_server_without_ranges_begins_anew(self, model: Model, shelf: Shelf, ear: Ear) -> None:
        shelf.ranges = False
        shelf.cuts["/w.pt"] = [1_000_000]
        assert load(model, ear).read_bytes() == WEIGHTS
        assert ear.here == [0, 0]

    def test_without_sum_and_tag_nothing_could_tell_and_it_begins_anew(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        shelf.tags = False
        (models / "tiny").mkdir(parents=True)
        (models / "tiny" / "w.pt.part").write_bytes(b"of another day")
        assert load(unsummed(model), ear).read_bytes() == WEIGHTS
        assert shelf.ranges_of("/w.pt") == [None]

    def test_a_part_that_a_crash_has_spoilt_is_loaded_again_once(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        (models / "tiny").mkdir(parents=True)
        (models / "tiny" / "w.pt.part").write_bytes(bytes(1_000_000))
        assert load(model, ear).read_bytes() == WEIGHTS
        assert shelf.ranges_of("/w.pt") == ["bytes=1000000-", None]

    def test_a_busy_server_is_asked_again(self, model: Model, shelf: Shelf, ear: Ear) -> None:
        shelf.refusals["/w.pt"] = [503, 429]
        assert load(model, ear).read_bytes() == WEIGHTS
        assert ear.said == ["503 Service Unavailable; again in 1 s", "429 Too Many Requests; again in 2 s"]


class TestRefusals:
    def test_other_bytes_are_removed_and_both_sums_told_after_one_try(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        shelf.files["/w.pt"] = bytes(len(WEIGHTS))
        with pytest.raises(DubdError) as caught:
            load(model, ear)
        assert SUM in str(caught.value)
        assert hashlib.sha256(bytes(len(WEIGHTS))).hexdigest() in str(caught.value)
        assert names(models) == []
        assert len(shelf.asked) == 1

    def test_a_file_of_another_size_is_not_even_begun(self, model: Model, shelf: Shelf, models: Path, ear: Ear) -> None:
        shelf.files["/w.pt"] = WEIGHTS[:-1]
        with pytest.raises(DubdError, match=r"the server has 2999999 bytes .*, published are 3000000"):
            load(model, ear)
        assert ear.loaded == 0
        assert names(models) == []

    def test_a_server_that_does_not_say_how_much_it_sends_cannot_fill_the_disk(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        shelf.lengths = False
        shelf.files["/w.pt"] = WEIGHTS + bytes(9_000_000)
        with pytest.raises(DubdError, match="has more than the 3000000 bytes that are published: it was removed"):
            load(model, ear)
        assert ear.loaded < len(WEIGHTS) + 2**21
        assert names(models) == []

    def test_a_file_that_is_gone_is_told_with_model_link_and_remedy(self, model: Model, shelf: Shelf, ear: Ear) -> None:
        shelf.files.clear()
        with pytest.raises(DubdError) as caught:
            load(model, ear)
        assert str(caught.value) == (
            f"tiny/w.pt: {shelf.url}/w.pt is not there any more (404 Not Found); "
            "get w.pt at http://home, then: dubd models add w.pt"
        )
        assert len(shelf.asked) == 1

    def test_a_redirect_from_https_to_http_is_not_followed(self) -> None:
        handler = http._Redirects(plain=False)
        with pytest.raises(http.Refused, match="not https"):
            handler.redirect_request(None, None, 302, "", {}, "http://elsewhere/w.pt")  # type: ignore[arg-type]

    def test_without_a_network_there_is_one_line_for_all_files(self, models: Path, ear: Ear) -> None:
        with socket.create_server(("127.0.0.1", 0)) as there:
            port = there.getsockname()[1]
        files = tuple(File(name, f"http://127.0.0.1:{port}/{name}", 4, SUM) for name in ("a", "b"))
        (fault,) = pull([Model("tiny", files, "MIT", "http://home")], ear)
        assert isinstance(fault, NoNetwork)
        assert str(fault) == (
            f"tiny/a: 127.0.0.1:{port} cannot be reached: Connection refused; "
            "connect, or set HTTPS_PROXY, then dubd models pull tiny"
        )
        assert names(models) == []

    def test_a_server_that_gives_no_byte_is_given_up_for_its_other_files_in_one_line(
        self, model: Model, shelf: Shelf, models: Path, ear: Ear
    ) -> None:
        tries = 1 + len(PAUSES)
        shelf.refusals["/a"] = [503] * tries
        with served() as other:
            other.files["/e"] = b"else"
            files = [File(name, f"{shelf.url}/{name}") for name in ("a", "b", "c")]
            files.append(File("e", f"{other.url}/e"))
            (fault,) = pull([Model("busy", tuple(files), "MIT", "http://home"), model], ear, lambda _: None)
        assert str(fault) == (
            "busy/a: 503 Service Unavailable; 0 B of it are here; "
            f"3 more files of {shelf.url.removeprefix('http://')} are not asked for; "
            "dubd models pull busy goes on from there"
        )
        assert [path for path, _ in shelf.asked] == ["/a"] * tries
        assert names(models) == [".e.sha256", "e"]

    def test_a_server_that_cuts_one_file_short_is_asked_for_the_others(
        self, model: Model, shelf: Shelf, ear: Ear
    ) -> None:
        shelf.files["/a"] = WEIGHTS
        shelf.cuts["/a"] = [1000, *[0] * len(PAUSES)]
        cut = Model("cut", (File("a", f"{shelf.url}/a"),), "MIT", "http://home")
        (fault,) = pull([cut, model], ear, lambda _: None)
        assert fault.file == "cut/a"
        assert store.lacking(model) == ()

    def test_a_file_without_a_link_is_told_with_where_to_get_it_and_the_others_come(
        self, model: Model, ear: Ear
    ) -> None:
        hidden = Model("lips", (File("gan.pth", None, 4, "0" * 64),), "research", "http://lips.example")
        (fault,) = pull([hidden, model], ear)
        assert str(fault) == (
            "lips/gan.pth: has no direct link; get gan.pth at http://lips.example, then: dubd models add gan.pth"
        )
        assert store.lacking(model) == ()


class TestDisk:
    @pytest.fixture
    def small(self, models: Path) -> Iterator[Path]:
        """The store on a disk of 2 MiB."""
        models.mkdir()
        mount = shutil.which("mount")
        if os.geteuid() != 0 or not mount:
            pytest.skip("only root can mount a small tmpfs")
        if subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", models], check=False).returncode:
            pytest.skip("no tmpfs can be mounted here")
        yield models
        subprocess.run(["umount", models], check=True)

    def test_what_has_no_room_is_refused_before_a_byte_is_loaded(
        self, model: Model, shelf: Shelf, ear: Ear, small: Path
    ) -> None:
        (fault,) = pull([model], ear)
        assert fault.exit == Exit.WORKSPACE
        assert fault.reason == f"tiny: 2.9 MiB to load, and {small} has 2.0 MiB free"
        assert shelf.asked == []
        (told,) = pull([unsummed(model)], ear)  # its size is only known from the server
        assert told.exit == Exit.WORKSPACE
        assert ear.loaded == 0

    def test_a_disk_that_fills_up_meanwhile_keeps_what_has_come(self, model: Model, ear: Ear, small: Path) -> None:
        class Filling(Ear):
            def began(self, *_: object) -> None:
                if not (small / "other").exists():
                    subprocess.run(["mount", "-o", "remount,size=2m", small], check=True)
                    (small / "other").write_bytes(bytes(1_000_000))

        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        with pytest.raises(DubdError) as caught:
            load(model, Filling())
        assert caught.value.exit == Exit.WORKSPACE
        assert "no space left" in caught.value.reason
        assert "goes on where it stopped" in caught.value.remedy
        kept = (small / "tiny" / "w.pt.part").stat().st_size
        assert 0 < kept < len(WEIGHTS)
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        assert load(model, ear).read_bytes() == WEIGHTS
        assert ear.here == [kept]


def test_of_two_at_once_the_second_waits_says_so_and_finds_it_there(model: Model, shelf: Shelf, models: Path) -> None:
    gate = shelf.gates["/w.pt"] = threading.Event()
    waits = threading.Event()

    class Waiting(Ear):
        def says(self, what: str, text: str) -> None:
            super().says(what, text)
            waits.set()

    ears = Ear(), Waiting()
    first = threading.Thread(target=load, args=(model, ears[0]))
    first.start()
    while not shelf.asked:
        pass
    second = threading.Thread(target=load, args=(model, ears[1]))
    second.start()
    assert waits.wait(20)
    gate.set()
    first.join(20)
    second.join(20)
    assert ears[1].said == ["another process loads it: waiting"]
    assert len(shelf.asked) == 1
    assert names(models) == ["w.pt"]


class TestHub:
    def test_the_endpoint_stands_in_for_the_hub_and_its_word_for_the_sum_is_taken(
        self, shelf: Shelf, ear: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", f"{shelf.url}/")
        shelf.files["/cdn/123"] = WEIGHTS
        shelf.links["/some/repo/resolve/f00d/w.pt"] = "/cdn/123"
        model = from_hub("hub", "some/repo", "f00d", (File("w.pt"),), "MIT")
        path = load(model, ear)
        assert path.read_bytes() == WEIGHTS
        assert sums.known(path, model.files[0]) == SUM
        assert (path.parent / ".w.pt.sha256").read_text() == f"{SUM}  w.pt\n"
        path.unlink()
        shelf.cuts["/cdn/123"] = [1_000_000]
        shelf.asked.clear()
        assert load(model, ear).read_bytes() == WEIGHTS
        assert shelf.ranges_of("/cdn/123") == [None, "bytes=1000000-"]

    def test_bytes_that_are_not_what_the_hub_says_are_refused(
        self, shelf: Shelf, models: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", shelf.url)
        shelf.files["/cdn/123"] = WEIGHTS
        shelf.links["/some/repo/resolve/f00d/w.pt"] = "/cdn/123"
        shelf.words["/some/repo/resolve/f00d/w.pt"] = "e" * 64
        with pytest.raises(DubdError, match="published is " + "e" * 64):
            load(from_hub("hub", "some/repo", "f00d", (File("w.pt"),), "MIT"), ear)
        assert names(models) == []


class TestMirror:
    """HF_ENDPOINT is what a person can see to, and the hub has not been asked: no line says that it was."""

    @pytest.fixture
    def published(self) -> Model:
        return from_hub("hub", "some/repo", "f00d", (File("w.pt", None, len(WEIGHTS), SUM),), "MIT")

    @pytest.mark.parametrize("answer", [None, bytes(len(WEIGHTS)), WEIGHTS[:-1]], ids=["404", "other bytes", "short"])
    def test_what_it_does_wrong_is_told_with_its_address_and_not_with_that_of_the_hub(
        self, published: Model, shelf: Shelf, ear: Ear, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", shelf.url)
        if answer is not None:
            shelf.files["/some/repo/resolve/f00d/w.pt"] = answer
        with pytest.raises(DubdError) as caught:
            load(published, ear)
        assert f"{shelf.url}/some/repo/resolve/f00d/w.pt" in caught.value.reason
        assert "huggingface.co" not in caught.value.reason
        assert caught.value.remedy == (
            f"HF_ENDPOINT={shelf.url} is asked in place of https://huggingface.co: "
            "name one that has it, or unset HF_ENDPOINT"
        )

    @pytest.mark.parametrize("value", ["nonsense", "hf.example", "https://[", "http://a b", "https://"])
    def test_what_is_no_address_is_told_once_and_not_tried_again(
        self, ear: Ear, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", value)
        (fault,) = pull([from_hub("hub", "some/repo", "f00d", (File("a"), File("b")), "MIT")], ear)
        assert str(fault) == (
            f"hub/a: HF_ENDPOINT={value!r} is no web address; "
            "set HF_ENDPOINT to the address of a mirror, https://..., or unset it"
        )
        assert ear.said == []

    def test_one_that_cannot_be_reached_is_named_with_the_variable(
        self, ear: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as there:
            port = there.getsockname()[1]
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
        (fault,) = pull([from_hub("hub", "some/repo", "f00d", (File("a"), File("b")), "MIT")], ear)
        assert str(fault) == (
            f"hub/a: 127.0.0.1:{port} cannot be reached: Connection refused; "
            "connect, or unset HF_ENDPOINT, which names it, then dubd models pull hub"
        )

    @pytest.mark.parametrize("value", ["https://ann:secret@127.0.0.1:1", "nonsense//ann:secret@host", "//a:secret@"])
    def test_no_password_that_stands_in_it_is_told(self, ear: Ear, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("HF_ENDPOINT", value)
        (fault,) = pull([from_hub("hub", "some/repo", "f00d", (File("a"),), "MIT")], ear)
        assert "secret" not in f"{fault}{ear.said}"

    def test_the_hub_itself_is_no_mirror(self) -> None:
        assert http.mirror(f"{HUB}/a", {"HF_ENDPOINT": f"{HUB}/"}) == ""
