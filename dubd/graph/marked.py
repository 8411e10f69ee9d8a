"""YAML that remembers where each value stands, so that a fault can be told as file:line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dubd.errors import DubdError, Exit

Where = Sequence[str | int]


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

    Errors: DubdError(Exit.RULE) where the file cannot be read or is not YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise DubdError("no such rule file", file=path, remedy="dubd rules check", exit=Exit.RULE) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DubdError(
                f"cannot be read: {error}", file=path, remedy="save it as UTF-8 text", exit=Exit.RULE
            ) from error
        try:
            self.data: Any = _Loader(text).get_single_data()
            self._root = yaml.compose(text, _Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise DubdError(
                f"not YAML: {problem}",
                file=path if mark is None else f"{path}:{mark.line + 1}",
                remedy="check the indentation and the brackets of that line",
                exit=Exit.RULE,
            ) from error

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
