"""script/install-service, into a folder in place of the root: what it puts where, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def install(*words: str, destination: Path | None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "DESTDIR": str(destination) if destination else ""}
    command = [str(ROOT / "script" / "install-service"), *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_the_files_go_where_systemd_looks_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        done = install("--gpu", destination=tmp_path)
        assert done.returncode == 0, done.stderr
    placed = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    source = ROOT / "systemd"
    assert placed == {
        "usr/lib/sysusers.d/dubd.conf": (source / "dubd.sysusers").read_bytes(),
        "usr/lib/tmpfiles.d/dubd.conf": (source / "dubd.tmpfiles").read_bytes(),
        "etc/systemd/system/dubd.service": (source / "dubd.service").read_bytes(),
        "etc/systemd/system/dubd.service.d/gpu.conf": (source / "gpu.conf").read_bytes(),
    }


def test_a_machine_without_gpu_gets_no_doors_to_one(tmp_path: Path) -> None:
    assert install(destination=tmp_path).returncode == 0
    assert not (tmp_path / "etc/systemd/system/dubd.service.d").exists()


def test_an_option_that_it_does_not_know_installs_nothing(tmp_path: Path) -> None:
    done = install("--new", destination=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ("install-service: unknown option --new; usage: script/install-service [--gpu] [--now]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    os.getuid() != 0 or Path("/run/systemd/system").exists(), reason="only root without a running systemd gets so far"
)
def test_where_no_systemd_runs_it_says_what_to_do_and_installs_nothing() -> None:
    places = [Path("/usr/lib/sysusers.d/dubd.conf"), Path("/etc/systemd/system/dubd.service")]
    before = [place.exists() for place in places]
    done = install(destination=None)
    assert done.returncode == 1
    assert done.stderr == (
        "install-service: no systemd runs here: run dubd watch by hand, or under what starts services here\n"
    )
    assert [place.exists() for place in places] == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root gets so far")
def test_a_checkout_that_the_service_could_not_see_is_refused_even_behind_a_link(tmp_path: Path) -> None:
    if not str(tmp_path.resolve()).startswith(("/tmp/", "/var/tmp/", "/home/", "/root/")):
        pytest.skip("temporary files lie where the service sees them")
    script = tmp_path / "script" / "install-service"
    script.parent.mkdir()
    script.write_text((ROOT / "script" / "install-service").read_text().replace("-d /run/systemd/system", "-d /"))
    done = subprocess.run(
        ["bash", script], env={**os.environ, "DESTDIR": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"install-service: the service sees nothing of {tmp_path.resolve()}: move the checkout to /opt/dubd\n"
    )
