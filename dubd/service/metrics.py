"""What the daemon tells Prometheus: how much waits and runs, seconds by stage, GPU memory, failures, disk.

Served on the loopback address alone: whoever wants them elsewhere puts a proxy, or the agent's own scraper, before it.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from dubd.errors import DubdError, Exit
from dubd.folders import Folders
from dubd.service.gpus import machine

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from dubd.service.daemon import Daemon
    from dubd.service.news import News

_LOOPBACK = "127.0.0.1"
_MIB = 1 << 20
_PATIENCE = 1.0  # s that a scrape waits for a disk


class Metrics:
    """Counters that follow the daemon's news, and gauges that are read when somebody asks.

    Errors: DubdError(Exit.USAGE) where prometheus-client is not installed.
    """

    def __init__(self, folders: Folders) -> None:
        if find_spec("prometheus_client") is None:
            raise DubdError(
                "metrics need prometheus-client, which is not installed",
                remedy=f"{shlex.quote(sys.executable)} -m pip install 'dubd[metrics]'",
                exit=Exit.USAGE,
            )
        from prometheus_client import CollectorRegistry, Counter, disable_created_metrics

        # Else a series more for each counter, of when its labels first came.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._folders = folders

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(name, says, labels, registry=self.registry)

        self._tasks = counter("dubd_tasks", "Tasks that ended, by stage and outcome (ran, failed)", "stage", "outcome")
        self._seconds = counter("dubd_stage_seconds", "Seconds that tasks ran, by stage and device", "stage", "device")
        self._gpu = counter("dubd_gpu_seconds", "Seconds of a GPU that tasks had, by stage", "stage")
        self._videos = counter("dubd_videos", "Builds of videos that ended, by outcome (built, failed)", "outcome")
        self._refused = counter("dubd_drops_refused", "Drops and videos that were refused before any task ran")

    def hearing(self, tell: Callable[[News], None]) -> Callable[[News], None]:
        """`tell`, with all news counted before."""

        def both(news: News) -> None:
            self._hear(news)
            tell(news)

        return both

    def serve(self, daemon: Daemon, port: str) -> str:
        """Begin to answer; the address. Errors: DubdError(Exit.USAGE) where the port is none, or taken."""
        from prometheus_client import make_wsgi_app

        self.registry.register(_Now(daemon, self._folders))
        try:
            server = make_server(_LOOPBACK, int(port), make_wsgi_app(self.registry), handler_class=_Handler)
        except (ValueError, OverflowError) as error:
            raise DubdError(f"no port in {port!r}", remedy="--metrics 9130, say", exit=Exit.USAGE) from error
        except OSError as error:
            reason = f"port {port} cannot be served: {error.strerror or error}"
            raise DubdError(reason, remedy="choose another one", exit=Exit.USAGE) from error
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{_LOOPBACK}:{server.server_port}/metrics"

    def _hear(self, news: News) -> None:
        if event := news.event:
            if event.state in ("ran", "failed"):
                self._tasks.labels(event.stage, event.state).inc()
                self._seconds.labels(event.stage, event.device).inc(event.seconds)
                if event.device != "cpu":
                    self._gpu.labels(event.stage).inc(event.seconds)
        elif news.kind in ("built", "failed"):
            self._videos.labels(news.kind).inc()
        elif news.kind == "refused":
            self._refused.inc()


class _Handler(WSGIRequestHandler):
    """One request at a time, and none for long: whoever only holds connections open takes no more of the daemon."""

    timeout = 5.0  # s without a word

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants to read of each scrape."""


class _Now:
    """Gauges of this moment, as a collector of prometheus-client."""

    def __init__(self, daemon: Daemon, folders: Folders) -> None:
        self._daemon = daemon
        self._disks = {"inbox": _Disk(folders.inbox), "workspace": _Disk(folders.workspace)}

    def collect(self) -> Iterator[Metric]:
        """Each gauge with its value now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counts = dict(self._daemon.counts)
        yield CounterMetricFamily("dubd_task_retries", "Tasks that were given another run", value=counts.pop("retries"))
        for name, value in counts.items():
            yield GaugeMetricFamily(f"dubd_{name}", name.replace("_", " ").capitalize() + " now", value=value)
        disk = GaugeMetricFamily("dubd_disk_free_bytes", "Free space where a folder lies", labels=["folder"])
        for name, asked in self._disks.items():
            if (free := asked.free()) is not None:
                disk.add_metric([name], free)
        yield disk
        yield from _gpus()


class _Disk:
    """The free space of a folder, asked in a thread of its own: a share whose server is away never answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None
        self._free: int | None = None

    def free(self) -> int | None:
        """Bytes, now; None where nothing is there, and where no answer came in time to this or an earlier question."""
        if not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()
        self._thread.join(_PATIENCE)
        return None if self._thread.is_alive() else self._free

    def _ask(self) -> None:
        try:
            self._free = shutil.disk_usage(self._folder).free
        except OSError:
            self._free = None


def _gpus() -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    def gauge(name: str, says: str) -> Any:
        return GaugeMetricFamily(f"dubd_gpu_{name}", says, labels=["device", "name"])

    total, leases = gauge("total_bytes", "Memory of a GPU"), gauge("leases", "Leases that are held on a GPU")
    promised = gauge("promised_bytes", "GPU memory that is promised to workers of any dubd process")
    foreign = gauge("foreign_bytes", "GPU memory that other programs use")
    for seen in machine().seen:
        labels = [seen.device.uuid, seen.device.name]
        total.add_metric(labels, seen.device.total * _MIB)
        if seen.held is not None:
            leases.add_metric(labels, len(seen.held))
            promised.add_metric(labels, (seen.promised or 0) * _MIB)
        if seen.view:
            foreign.add_metric(labels, seen.view.foreign * _MIB)
    yield from (total, leases, promised, foreign)
