"""One file of a model from its publisher: resumed, checked, and there all at once or not at all."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from dubd.errors import DubdError, Exit
from dubd.models import http, store, sums
from dubd.models.model import HUB, File, Model
from dubd.models.part import Part, held
from dubd.models.store import bytes_of

PAUSES = (1.0, 2.0, 4.0, 8.0)  # s before each further try that would follow one without a byte
_BLOCK = 1 << 20


class Listener:
    """Who is told how a download goes; this one does not care."""

    def began(self, what: str, size: int | None, here: int) -> None:
        """Bytes of `what` will come; `here` of `size` are here already."""

    def moved(self, count: int) -> None:
        """So many more bytes are here."""

    def ended(self, what: str, size: int) -> None:
        """The file is here, whole and checked."""

    def says(self, what: str, text: str) -> None:
        """Something that a person wants to know meanwhile."""


class NoNetwork(DubdError):
    """The server is out of reach: what else lies there is too."""


class Silent(DubdError):
    """The server was asked again and again, and gave no byte: it is busy or broken, for its other files too."""

    def with_others(self, host: str, count: int) -> Silent:
        """The same, said of `count` more files that are not asked for."""
        more = f"{count} more file{'s' if count != 1 else ''} of {host} {'are' if count != 1 else 'is'} not asked for"
        return Silent(f"{self.reason}; {more}", file=self.file, remedy=self.remedy)


def download(model: Model, file: File, listener: Listener, pause: Callable[[float], None] = time.sleep) -> None:
    """Bring `file` of `model` to its place in the store, unless it is there; another process that does is waited for.

    Errors: DubdError, one line. What has come stays as `<file>.part`, except where it cannot be of use.
    """
    one = _Download(model, file, listener, pause)
    try:
        with held(one.target, lambda: listener.says(one.what, "another process loads it: waiting")) as part:
            if not store.here(one.target, file):
                one.load(part)
    except OSError as error:
        raise one.disk_fault(error) from error


def require_room(folder: Path, count: int, what: str) -> None:
    """Refuse before a byte is loaded what the disk cannot hold. Errors: DubdError(Exit.WORKSPACE)."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if count > free:
        raise DubdError(
            f"{what} {bytes_of(count)} to load, and {folder} has {bytes_of(free)} free",
            remedy="free some space, or set DUBD_MODELS to a larger disk",
            exit=Exit.WORKSPACE,
        )


class _Download:
    def __init__(self, model: Model, file: File, listener: Listener, pause: Callable[[float], None]) -> None:
        assert file.url
        self.model, self.file, self.listener, self.pause = model, file, listener, pause
        self.url = file.url
        self.asked, self.mirror = http.shown(http.address(file.url)), http.shown(http.mirror(file.url))
        self.target = store.place(model) / file.path
        self.what = f"{model.name}/{file.path}"

    def load(self, part: Part) -> None:
        """Try until it is here, as long as bytes come or pauses are left."""
        if part.size and not self.file.sha256 and not part.note.get("validator"):
            part.empty()  # nothing could tell whether the rest is of the same file
        resumed, tries, reached = part.size > 0, 0, False
        while True:
            before = part.size
            try:
                wrong = self._once(part)
                if not wrong:
                    return
                part.drop()
                if not resumed:
                    raise wrong
                resumed, reason = False, "what was kept of it does not belong to it: from its beginning again"
            except http.Refused as error:
                raise self._refused(error) from error
            except http.Unreachable as error:
                if not reached and part.size == before:
                    raise self._unreachable(error) from error
                reason = str(error)
            except http.Cut as error:
                reason = str(error)
            reached = reached or part.size > before
            tries = 1 if part.size > before else tries + 1
            if tries > len(PAUSES):
                raise (DubdError if reached else Silent)(
                    f"{reason}; {bytes_of(part.size)} of it are here",
                    file=self.what,
                    remedy=f"dubd models pull {self.model.name} goes on from there",
                )
            self.listener.says(self.what, f"{reason}; again in {PAUSES[tries - 1]:.0f} s")
            self.pause(PAUSES[tries - 1])

    def _once(self, part: Part) -> DubdError | None:
        """One try: None where the file is here now, the fault where it is whole and wrong. Errors: those of `ask`."""
        kept = part.note.get("validator")
        answer = http.ask(self.url, part.size, kept)
        changed = kept and answer.start and answer.validator and answer.validator != kept
        if part.size and (changed or answer.start != part.size) and not self._complete(part, answer):
            if answer.start == 0:
                self.listener.says(self.what, "it has changed at the server, or cannot be resumed: from its beginning")
            else:  # nothing from that byte on, or of another state of the file: ask for all of it
                with answer:
                    pass
                part.empty()
                answer = http.ask(self.url)
            part.empty()
        with answer:
            self._agree(part, answer)
            size, sha256 = self.file.size, self.file.sha256 or answer.sha256 or part.note.get("sha256")
            part.begin({"validator": answer.validator or part.note.get("validator"), "sha256": sha256})
            self.listener.began(self.what, answer.total, part.size)
            while answer.start is not None and (block := answer.read(_BLOCK)):
                part.write(block)
                self.listener.moved(len(block))
                if size is not None and part.size > size:
                    break  # a server that does not say how much it sends might never end
        total = size if answer.total is None else answer.total
        if total is not None and part.size < total:
            raise http.Cut("the connection was closed")
        if (sha256 and part.sha256 != sha256) or (size is not None and part.size != size):
            return self._wrong(part, sha256)
        if not self.file.sha256:
            sums.remember(self.target, part.sha256)
        part.finish(self.target)
        self.listener.ended(self.what, part.size)
        return None

    def _complete(self, part: Part, answer: http.Answer) -> bool:
        """All bytes had come before the last stop: the server has none after them."""
        return answer.start is None and answer.total == part.size

    def _agree(self, part: Part, answer: http.Answer) -> None:
        """Refuse what is not the published file, or has no room, before it is loaded."""
        size, total = self.file.size, answer.total
        if size is not None and total is not None and size != total:
            raise DubdError(
                f"the server has {total} bytes at {self.asked}, published are {size}: it is another file",
                file=self.what,
                remedy=self._by_hand(),
            )
        if total is not None:
            require_room(self.target.parent, total - part.size, f"{self.what} has")

    def _wrong(self, part: Part, sha256: str | None) -> DubdError:
        size = self.file.size
        if size is not None and part.size > size:
            said = f"more than the {size} bytes that are published"
        else:
            said = f"sha256 {part.sha256}, published is {sha256}" if sha256 else f"{part.size} bytes, not {size}"
        return DubdError(
            f"what came from {self.asked} has {said}: it was removed",
            file=self.what,
            remedy=self._elsewhere()
            or f"try again later with dubd models pull {self.model.name}; if it stays so, the file was replaced",
        )

    def _refused(self, error: http.Refused) -> DubdError:
        if error.status == http.NO_ADDRESS and self.mirror:
            remedy = f"set {http.ENDPOINT} to the address of a mirror, https://..., or unset it"
            return NoNetwork(f"{http.ENDPOINT}={self.mirror!r} is no web address", file=self.what, remedy=remedy)
        if error.status in (401, 403):
            reason = f"{self.asked} wants a sign-in ({error})"
        elif error.status in (404, 410):
            reason = f"{self.asked} is not there{'' if self.mirror else ' any more'} ({error})"
        else:
            reason = f"{self.asked} does not give it ({error})"
        return DubdError(reason, file=self.what, remedy=self._by_hand())

    def _unreachable(self, error: http.Unreachable) -> DubdError:
        host = self.asked.partition("://")[2].partition("/")[0]
        set_ = f"unset {http.ENDPOINT}, which names it" if self.mirror else "set HTTPS_PROXY"
        remedy = f"connect, or {set_}, then dubd models pull {self.model.name}"
        return NoNetwork(f"{host} cannot be reached: {error}", file=self.what, remedy=remedy)

    def _by_hand(self) -> str:
        return self._elsewhere() or by_hand(self.model, self.file)

    def _elsewhere(self) -> str:
        """Where a mirror has answered: it, not the publisher, is what a person can see to."""
        if not self.mirror:
            return ""
        named = f"{http.ENDPOINT}={self.mirror}"
        return f"{named} is asked in place of {HUB}: name one that has it, or unset {http.ENDPOINT}"

    def disk_fault(self, error: OSError) -> DubdError:
        """The disk's error as the line a person can act on; what has come is kept."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"no space left in {store.root()}"
            remedy = f"free some space, then dubd models pull {self.model.name} goes on where it stopped"
        else:
            reason = f"{error.filename or self.target.parent} cannot be written: {error.strerror or error}"
            remedy = "make it writable, or set DUBD_MODELS"
        return DubdError(reason, file=self.what, remedy=remedy, exit=Exit.WORKSPACE)


def by_hand(model: Model, file: File) -> str:
    """What to do where no link gives the file."""
    return f"get {Path(file.path).name} at {model.home}, then: dubd models add {Path(file.path).name}"
