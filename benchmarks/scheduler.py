"""Admission on paper: makespan against its lower bounds and against one task a device, and the decision's own time.

    python benchmarks/scheduler.py [--videos 20 100 500] [--devices 1 2 8] [--share 1.0] [--chains lite sound]

The machine is `benchmarks/simulation.py`, the decider the daemon's own. CPU stages: the lite chain as measured, a
20 s segment of 1080x720 on one core. GPU stages: published figures, source beside each; a load's seconds and the
share of a card's compute that a stage takes when alone are assumptions (--share sets one share for all; 1.0: two
stages on one card gain nothing), and as many workers of a stage may run on a card as it takes to fill that: 1 / share,
rounded up. Videos of 2 to 5 minutes, from a fixed seed.

`bound` is the largest of VRAM-seconds / VRAM, GPU time / cards (CPU time / slots, where no stage needs a card), and the
longest path through one video. `own` is the bound under dubd's own terms: so many workers a stage and card (`worker`),
only what fits a card at once, and all of them slowed down together (`sharing`, a linear program over the sets of
stages that can run side by side), a load when the first ticket of a stage is ready, and CPU time / slots.
FIFO: one task a device, in order of readiness (--fifo age: oldest video first), and a load whenever the stage
changes. `FIFO x` is its makespan over ours, `at most` over `own`: what no order of the work could exceed.
`sooner x`: when a video is finished, on average, FIFO's over ours.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.simulation import Machine, Stage, tasks
from dubd.cost.bounds import bounds
from dubd.engines.contract import Vram
from dubd.schedule.admission import Capacity, Card, Seated, Start, Waiting, Waitlist, admit
from dubd.schedule.ticket import Kind, Ticket

SLOTS = 8  # CPU slots a device

EXTRACT = Stage("extract", (), 6.1)
FACES = Stage("faces", ("extract",), 7.6)
RENDER = Stage("render", ("restore",), 8.6)

# Measured here: the lite chain. `voice` was not timed apart: assumed.
LITE = (
    EXTRACT,
    Stage("transcribe", ("extract",), 2.7),
    Stage("voice", ("extract", "transcribe"), 1.0, whole=True),
    Stage("translate", ("transcribe",), 0.5),
    Stage("speak", ("translate", "voice"), 1.3),
    FACES,
    Stage("lipsync", ("extract", "faces", "speak"), 6.2),
    Stage("restore", ("lipsync",), 5.4),
    RENDER,
    Stage("assemble", ("render",), 8.4, whole=True),
)

# A 20 s segment an item. Seconds from peers.md 4.1 and 4.2; loads and shares assumed.
WHISPER = Stage(  # faster-whisper large-v2 fp16: 13 min in 63 s and 4525 MB, in batches of 8 in 17 s and 6090 MB
    "transcribe", ("extract",), 0.267, 1.35, load=6.0, share=0.6, vram=Vram(3900, 224), batch=8
)
NLLB = Stage(  # NLLB-600M fp16: 4.17 items/s alone, 58.3 in 64s; 600 sentences an hour, two hops. VRAM assumed
    "translate", ("transcribe",), 0.09, 0.45, load=5.0, share=0.5, vram=Vram(1300, 60), batch=16
)
XTTS = Stage(  # XTTS-v2: 5 x real time on 70 % speech, no batches, 3.4 GB in fp32; a seventh of a card with vLLM
    "speak", ("translate", "voice"), 2.8, load=12.0, share=0.3, vram=Vram(2900, 100)
)
WAV2LIP = Stage(  # as shipped: 0.22 x real time, most of it detection around the model (#147). VRAM assumed
    "lipsync", ("extract", "faces", "speak"), 91.0, load=4.0, share=0.5, vram=Vram(1600, 1000)
)
LATENTSYNC = Stage(  # 1.6: 18 GB; 10 s take 28 s (model alone, so all of the card)
    "lipsync", ("extract", "faces", "speak"), 56.0, load=15.0, share=1.0, vram=Vram(14000, 4032)
)
CODEFORMER = Stage(  # 0.4 x real time, half of it pasting back. VRAM assumed
    "restore", ("lipsync",), 50.0, load=5.0, share=0.5, vram=Vram(1500, 1100)
)


MUSETALK = Stage(  # as claimed on a V100: 30 frames/s, so 1.2 x real time; 10 GB (4090: 10 to 15)
    "lipsync", ("extract", "faces", "speak"), 16.7, load=10.0, share=0.8, vram=Vram(6800, 2800)
)


def _with(*heavy: Stage) -> tuple[Stage, ...]:
    named = {stage.name: stage for stage in (WHISPER, NLLB, XTTS, *heavy)}
    return tuple(named.get(stage.name, stage) for stage in LITE)


_PICTURE = ("faces", "lipsync", "restore", "render")
_SOUND = tuple(stage for stage in _with() if stage.name not in _PICTURE)

CHAINS = {
    "lite": LITE,
    "sound": tuple(replace(s, after=("speak",)) if s.name == "assemble" else s for s in _SOUND),
    "musetalk": _with(MUSETALK, CODEFORMER),
    "wav2lip": _with(WAV2LIP, CODEFORMER),
    "latentsync": _with(LATENTSYNC, CODEFORMER),
}


def need(ticket: Ticket, items: int) -> int:
    """MiB, as declared."""
    return ticket.vram.at(items) if ticket.vram else 0


def ours(waiting: Waitlist, running: int, capacity: Capacity, resident: set[Kind], now: float) -> list[Start]:
    """The daemon's decision."""
    return admit(waiting, running, capacity, resident, now, need)


def fifo(waiting: Waitlist, running: int, capacity: Capacity, *_: object) -> list[Start]:
    """One task a device in order of readiness, and one a slot; another stage's worker goes first."""
    slots = islice(_in_order(waiting, gpu=False), capacity.slots - running)
    starts = [Start((first,)) for first in slots]
    for card, first in zip(
        [card for card in capacity.cards if not card.busy], _in_order(waiting, gpu=True), strict=False
    ):
        evict = tuple(worker for worker in card.idle if worker.kind != first.ticket.kind)
        starts.append(Start((first,), card.uuid, need(first.ticket, 1), evict))
    return starts


def _in_order(waiting: Waitlist, *, gpu: bool) -> Iterator[Waiting]:
    return heapq.merge(*(line.queue for line in waiting.lines(gpu=gpu)), key=lambda w: w.rank)


def decision(ready: int, cards: int) -> tuple[float, float, float]:
    """Milliseconds: median and worst of a decision over so many tickets, and the list's upkeep a ticket in µs.

    Each of the decisions is made three times, of which the quickest counts: the others are the machine's other load.
    """
    chance = random.Random(3)
    stages = [WHISPER, NLLB, XTTS, WAV2LIP, CODEFORMER, replace(LATENTSYNC, name="lipsync2"), EXTRACT, FACES, RENDER]
    tickets = [
        Ticket(f"{i}", s.name, s.name, {}, {}, {}, {}, batch=s.batch, parallel=s.parallel, vram=s.vram)
        for i, s in enumerate(chance.choices(stages, k=ready))
    ]
    for ticket in tickets:
        ticket.kind  # noqa: B018  (a daemon's tickets have theirs)
    rows = [Waiting(chance.randrange(500), place, ticket, 0.0) for place, ticket in enumerate(tickets)]
    began = time.thread_time()
    waiting = Waitlist(rows)
    upkeep = (time.thread_time() - began) / ready * 1e6
    kinds = [line.kind for line in waiting.lines(gpu=True)]
    took = []
    for _ in range(500):
        states = []
        for index in range(cards):
            held = chance.sample(kinds, chance.randrange(len(kinds)))
            seated = [
                Seated(kind, chance.randrange(2000, 8000)) for kind in held for _ in range(chance.choice([1, 1, 2]))
            ]
            cut = chance.randrange(len(seated) + 1)
            idle, busy = tuple(seated[:cut]), tuple(seated[cut:])
            free = chance.randrange(24000)
            states.append(Card(f"{index}", 80000, free, chance.random() < 0.3, idle, busy))
        now = chance.choice([1.0, 1000.0])
        runs = []
        for _ in range(3):
            began = time.thread_time()
            admit(waiting, 0, Capacity(SLOTS * cards, tuple(states)), (), now, need)
            runs.append((time.thread_time() - began) * 1e3)
        took.append(min(runs))
    return statistics.median(took), max(took), upkeep


def lengths(videos: int) -> list[int]:
    """Segments a video: 2 to 5 minutes in 20 s cuts."""
    chance = random.Random(videos)
    return [chance.randint(6, 15) for _ in range(videos)]


def main() -> None:
    """Simulate and print."""
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--videos", nargs="+", type=int, default=[20, 100, 500])
    args.add_argument("--devices", nargs="+", type=int, default=[1, 2, 8])
    args.add_argument("--memory", nargs="+", type=int, default=[24, 80], help="GiB a device")
    args.add_argument("--chains", nargs="+", default=list(CHAINS), choices=CHAINS)
    args.add_argument("--share", type=float, help="of a card's compute, for every stage")
    args.add_argument("--fifo", default="ready", choices=["ready", "age"])
    args.add_argument("--slots", type=int, default=SLOTS, help="CPU slots a device")
    asked = args.parse_args()
    head = (
        "chain",
        "videos",
        "devices",
        "hours",
        "bound",
        "by",
        "x bound",
        "x own",
        "by",
        "loads",
        "FIFO x",
        "at most",
        "sooner x",
    )
    print(("{:>10}" * len(head)).format(*head))
    worst_of: dict[str, tuple[float, float, float]] = {}
    for name in asked.chains:
        ratios = []
        chain = [replace(s, share=asked.share or s.share) for s in CHAINS[name]]
        for memory in asked.memory if name != "lite" else asked.memory[:1]:
            for devices in asked.devices:
                for videos in asked.videos:
                    cards, slots = [memory * 1024] * devices, asked.slots * devices
                    ratios.append(row(name, chain, lengths(videos), cards, slots, asked.fifo))
        worst_of[name] = max(x for x, _, _ in ratios), min(gain for _, gain, _ in ratios), min(m for _, _, m in ratios)
    for name, (above, gain, most) in worst_of.items():
        print(f"{name}: worst x bound {above:.3f}, worst FIFO x {gain:.2f} (at most {most:.2f})")
    median, worst, upkeep = decision(10_000, 8)
    print(
        f"decision, 10000 ready, 8 cards: median {median:.3f} ms, worst {worst:.3f} ms; list {upkeep:.1f} µs a ticket"
    )


def row(
    name: str, chain: Sequence[Stage], segments: list[int], cards: list[int], slots: int, order: str
) -> tuple[float, float, float]:
    """One line of the table. Returns makespan over the bound, FIFO's over it, and FIFO's over the own bound."""
    machine = Machine(ours, tasks(chain, segments), cards, slots)
    span = machine.run()
    former = Machine(fifo, tasks(chain, segments), cards, slots, aged=order == "age")
    old = former.run()
    limits = bounds(chain, segments, cards, slots)
    plain = ("VRAM", "GPU", "path") if "VRAM" in limits else ("CPU", "path")
    by = max(plain, key=lambda limit: limits[limit])
    own = max(limits, key=lambda limit: limits[limit])
    times = f"{span / 3600:>10.2f}{limits[by] / 3600:>10.2f}{by:>10}"
    ratios = f"{span / limits[by]:>10.3f}{span / limits[own]:>10.3f}{own:>10}"
    device = f"{len(cards)} x {cards[0] // 1024}" if "VRAM" in limits else f"{slots} slots"
    gain = f"{old / span:>10.2f}{old / limits[own]:>10.2f}{finished(former) / finished(machine):>10.2f}"
    print(f"{name:>10}{len(segments):>10}{device:>10}{times}{ratios}{machine.loads:>10}{gain}", flush=True)
    return span / limits[by], old / span, old / limits[own]


def finished(machine: Machine) -> float:
    """When a video is finished, on average, in seconds."""
    return statistics.mean(at for task, at in machine.ended.items() if ":assemble:" in task)


if __name__ == "__main__":
    main()
