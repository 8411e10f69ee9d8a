"""YAML that remembers where each value stands, so that a fault can be told as file:line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dubd import regular
from dubd.errors import DubdError, Exit

Where = Sequence[str | int]

_MOST = 1 << 20  # bytes
_NODES = 10_000  # values, each counted as often as an alias repeats it
_DEEP = 20  # mappings and lists inside one another; a rule has four
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
)  # what PyYAML lets through, as for 2001-99-99


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as far as people mean it: only `true` and `false` are booleans, so `no` is Norwegian."""

    yaml_implicit_resolvers = {  # noqa: RUF012  the base class declares it so
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:bool"]
        for first, known in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)


class Marked:
    """One YAML file: its `data`, and the line of every key and value.

    Errors: DubdError(Exit.RULE) where the file cannot be read, is not YAML, or is made to exhaust who reads it.
    """

    def __init__(self, path: Path, *, inside: Path | None = None) -> None:
        """With `inside` the file must lie in that folder, not behind a symbolic link (`regular.opened`)."""
        self.path = path
        try:
            text = regular.read(path, _MOST, inside=inside, exit=Exit.RULE).decode("utf-8-sig")
        except FileNotFoundError as error:
            raise DubdError("no such rule file", file=path, remedy="dubd rules check", exit=Exit.RULE) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DubdError(
                f"cannot be read: {error}", file=path, remedy="save it as UTF-8 text", exit=Exit.RULE
            ) from error
        try:
            self._require_sane(text)
            self.data: Any = _Loader(text).get_single_data()
            self._root = yaml.compose(text, _Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise self._fault(f"not YAML: {problem}", mark) from error
        except _BROKEN as error:
            raise self._fault(f"not YAML: {str(error) or type(error).__name__}", None) from error

    def _fault(self, problem: str, mark: Any) -> DubdError:
        return DubdError(
            problem,
            file=self.path if mark is None else f"{self.path}:{mark.line + 1}",
            remedy="see docs/rules.md, or check the indentation and the brackets",
            exit=Exit.RULE,
        )

    def _require_sane(self, text: str) -> None:
        """Refuse tags, aliases that multiply, and nesting without end, before anything is made of them."""
        sizes: dict[str, int] = {}  # nodes under an anchor
        open_: list[tuple[str | None, int]] = [(None, 0)]
        for event in yaml.parse(text, _Loader):
            anchor = getattr(event, "anchor", None)
            if getattr(event, "tag", None) is not None:
                raise self._fault("tags are not taken", event.start_mark)
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((anchor, 1))
                if len(open_) > _DEEP:
                    raise self._fault("nested too deep", event.start_mark)
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                anchor, size = open_.pop()
            elif isinstance(event, yaml.AliasEvent):
                if any(anchor == name for name, _ in open_):
                    raise self._fault("an alias of itself", event.start_mark)
                anchor, size = None, sizes.get(str(anchor), 1)
            else:
                size = isinstance(event, yaml.ScalarEvent)
            if anchor:
                sizes[anchor] = size
            open_[-1] = (open_[-1][0], open_[-1][1] + size)
            if open_[-1][1] > _NODES:
                raise self._fault(f"more than {_NODES:,} values", event.start_mark)

    def line(self, where: Where, *, key: bool = False) -> int:
        """The line (from 1) of the value at `where`, of its key with `key`, else of what is nearest above."""
        node, line = self._root, 1
        for depth, step in enumerate(where):
            last = depth == len(where) - 1
            if isinstance(node, yaml.MappingNode):
                for name, value in node.value:
                    if name.value == str(step):
                        line = (name if key and last else value).start_mark.line + 1
                        node = value
                        break
                else:
                    return line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def twice(self) -> list[tuple[str, int]]:
        """Keys that stand twice in one mapping, with the line of the second: YAML would drop the first silently."""
        found: list[tuple[str, int]] = []
        left = [self._root]
        while left:
            node = left.pop()
            if isinstance(node, yaml.MappingNode):
                seen: set[str] = set()
                for name, value in node.value:
                    if name.value in seen:
                        found.append((name.value, name.start_mark.line + 1))
                    seen.add(name.value)
                    left.append(value)
            elif isinstance(node, yaml.SequenceNode):
                left.extend(node.value)
        return found
