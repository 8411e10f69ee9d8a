from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dubd.engines.contract import Translation
from dubd.stages.memory import Memory, key

HOLA = Translation("Hola", "Hi", ("Buenas",))


def learn(folder: Path, first: int) -> None:
    for number in range(first, first + 20):
        with Memory(folder) as memory:
            memory.learn({str(number): HOLA})


def test_what_was_learnt_is_recalled_later(tmp_path: Path) -> None:
    with Memory(tmp_path / "cache") as memory:
        assert memory.recall(["a"]) == {}
        memory.learn({"a": HOLA})
    with Memory(tmp_path / "cache") as memory:
        assert memory.recall(["a", "b"]) == {"a": HOLA}


def test_processes_share_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(learn, [tmp_path, tmp_path], [0, 20]))
    with Memory(tmp_path) as memory:
        assert len(memory.recall(map(str, range(40)))) == 40


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "translations.sqlite").write_bytes(b"not a database" * 400)
    with Memory(tmp_path) as memory:
        memory.learn({"a": HOLA})
    with Memory(tmp_path) as memory:
        assert memory.recall(["a"]) == {"a": HOLA}


def test_a_file_damaged_inside_is_made_anew(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.learn({str(number): HOLA for number in range(2000)})
    path = tmp_path / "translations.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with Memory(tmp_path) as memory:
        assert memory.recall(["7"]) == {}
        memory.learn({"7": HOLA})
    with Memory(tmp_path) as memory:
        assert memory.recall(["7"]) == {"7": HOLA}


def test_without_a_place_it_forgets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file"):
        with Memory(folder) as memory:
            memory.learn({"a": HOLA})
            assert memory.recall(["a"]) == {}


def test_a_key_tells_its_parts_apart() -> None:
    assert key("a", None, "b") == key("a", None, "b")
    assert len({key("a", "b"), key("ab", ""), key("b", "a"), key("a", None, "b")}) == 4
