"""The report as one small page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from dubd.graph.lips import said
from dubd.graph.timing import FAST, TARGETS

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #6a737d; --line: #e1e4e8; --page: #fff; --band: #f6f8fa;
  --good: #1a7f37; --bad: #c4432b; --source: #b6c2cf; --dub: #3b6fd4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #98a2ad; --line: #30363d; --page: #14171b;
  --band: #1c2127; --good: #56d364; --bad: #ff8a70; --source: #4b5663; --dub: #6f9cf0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 60rem;
  margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p.under { color: var(--soft); margin: .2rem 0 1.4rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); font-weight: 500;
  font-size: .85rem; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .7rem; }
.card { background: var(--band); border-radius: .5rem; padding: .6rem .8rem; } .card b { font-size: 1.25rem;
  display: block; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); font-size: .82rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
.wide { overflow-x: auto; margin-top: 1rem; } svg { width: 100%; height: auto; display: block; background: var(--band);
  border-radius: .5rem; } svg text { font-size: 9px; fill: var(--soft); } .s { fill: var(--source); }
.d { fill: var(--dub); } .f { fill: var(--bad); } .bar { background: var(--dub); height: .55rem;
  border-radius: .2rem; min-width: 1px; }
.key i { display: inline-block; width: .8rem; height: .6rem; border-radius: .15rem; margin: 0 .3rem 0 .9rem; }
"""

_FIGURES = (
    ("overlap", "speech overlap", "", "share of the time in which source and dub both speak or both are silent"),
    ("start_error_median", "start error, median", "s", ""),
    ("start_error_p95", "start error, 95 %", "s", ""),
    ("end_error_p95", "end error, 95 %", "s", ""),
    ("tempo_median", "tempo, median", "×", ""),
    ("tempo_p95", "tempo, 95 %", "×", ""),
    ("tempo_max", "tempo, most", "×", ""),
    ("fast_share", f"lines above {FAST} ×", "", ""),
    ("overruns", "overruns", "", ""),
    ("tempo_jump_max", "tempo jump, most", "", ""),
    ("loudness", "loudness", "LUFS", ""),
    ("true_peak", "true peak", "dBTP", ""),
)
_WIDTH = 900
_ROW_SECONDS = 60.0  # of the programme in one row of the picture
_ROW = 46
_MOST_ROWS = 40


def page(report: Mapping[str, Any]) -> str:
    """The whole page for `report`, as `dubd.graph.report.report` makes it."""
    return "\n".join(_parts(report)) + "\n"


def _parts(report: Mapping[str, Any]) -> Iterator[str]:
    title = escape(report["title"])
    yield f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title} - dubd</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style>"
    yield f"<h1>{title}</h1>"
    yield f'<p class="under">{_under(report)}</p>'
    yield from _failures(report)
    for dub in report["dubs"]:
        yield f"<h2>Dub: {escape(dub['language'])}</h2>"
        if dub["lips"]:
            yield f'<p class="{"bad" if not dub["lips"]["changed"] else "soft"}">{escape(said(dub["lips"]))}</p>'
        if dub["lines"]:
            yield from _cards(dub["figures"])
            yield from _picture(dub["lines"])
            yield from _lines(dub["lines"])
        else:
            yield '<p class="soft">Nothing is spoken yet.</p>'
    if report["stages"]:
        yield from _stages(report)
    yield from _engines(report["engines"])
    yield '<p class="under">The speech of the dub is synthetic. '
    yield f"Made by dubd {escape(report['dubd'])} on the {escape(_device(report['device']))}.</p>"
    yield "</html>"


def _under(report: Mapping[str, Any]) -> str:
    source, state = report["source"], "" if report["state"] == "done" else f"{escape(report['state'])}, "
    if source is None:
        return f"{state}rule {escape(report['rule'])}"
    return (
        f"{state}"
        f"{_time(source['seconds'])} at {source['width']} × {source['height']}, {report['segments']} "
        f"segment{'s' if report['segments'] != 1 else ''}, rule {escape(report['rule'])}, "
        f"{report['seconds']:.1f} s of work"
    )


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    for fault in report["failed"]:
        remedy = f"; {escape(fault['remedy'])}" if fault["remedy"] else ""
        yield f'<p class="bad"><b>{escape(fault["task"])}</b> failed: {escape(fault["reason"])}{remedy}</p>'
    for remark in report["remarks"]:
        yield f'<p class="bad">{escape(remark)}</p>'
    for edit in report["edited"]:
        yield (
            f'<p class="soft">{escape(edit["artifact"])} was edited by hand and is kept; '
            f"the newer version is {escape(edit['newer'])} beside it.</p>"
        )


def _cards(figures: Mapping[str, Any]) -> Iterator[str]:
    yield '<div class="cards">'
    for name, label, unit, hint in _FIGURES:
        value = figures.get(name)
        if value is None:
            continue
        text = _figure(name, value)
        verdict = {True: "good", False: "bad", None: ""}[_reached(name, figures)]
        yield f'<div class="card" title="{escape(hint)}"><b class="{verdict}">{text} {unit}</b>'
        yield f"<span>{label}</span></div>"
    yield "</div>"


def _figure(name: str, value: float) -> str:
    if name == "fast_share":
        return f"{value:.0%}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _reached(name: str, figures: Mapping[str, Any]) -> bool | None:
    if name == "loudness":
        return bool(abs(figures["loudness_error"]) <= TARGETS["loudness_error"])
    if name not in TARGETS:
        return None
    return bool(figures[name] >= TARGETS[name] if name == "overlap" else figures[name] <= TARGETS[name])


def _picture(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Slots above, dubbed lines below, a minute a row."""
    if not lines:
        return
    last = max(max(line["end"], line["slot"][1]) for line in lines)
    span = min(_ROW_SECONDS, max(5.0, last))
    rows = min(_MOST_ROWS, int(last // span) + 1)
    scale = _WIDTH / span
    yield '<p class="soft key"><i style="background:var(--source)"></i>source speech'
    yield '<i style="background:var(--dub)"></i>dub<i style="background:var(--bad)"></i>'
    yield f"dub above {FAST} × or overrun</p>"
    yield f'<svg viewBox="0 0 {_WIDTH} {rows * _ROW}" role="img" aria-label="when source and dub speak">'
    for row in range(rows):
        yield f'<text x="4" y="{row * _ROW + 11}">{_time(row * span)}</text>'
        for line in lines:
            hurried = "f" if line["tempo"] > FAST or line["overrun"] > 0 else "d"
            hint = escape(f"{line['id']}: {line['text']}")
            for start, end, kind, y in ((*line["slot"], "s", 15), (line["start"], line["end"], hurried, 28)):
                left, right = max(start, row * span), min(end, (row + 1) * span)
                if right > left:
                    yield (
                        f'<rect class="{kind}" x="{(left - row * span) * scale:.1f}" y="{row * _ROW + y}" rx="2" '
                        f'width="{(right - left) * scale:.1f}" height="11"><title>{hint}</title></rect>'
                    )
    yield "</svg>"


def _lines(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield '<div class="wide"><table><tr><th>line<th class="n">slot<th class="n">start<th class="n">length'
    yield '<th class="n">tempo<th class="n">overrun<th>source, dub</tr>'
    for line in lines:
        slot = line["slot"]
        tempo = "bad" if line["tempo"] > FAST else ""
        over = f'<span class="bad">{line["overrun"]:.2f} s</span>' if line["overrun"] > 0 else ""
        yield (
            f'<tr><td>{escape(line["id"])}<td class="n">{slot[0]:.2f}-{slot[1]:.2f}<td class="n">{line["start"]:.2f}'
            f'<td class="n">{line["end"] - line["start"]:.2f} s<td class="n {tempo}">{line["tempo"]:.2f}'
            f'<td class="n">{over}<td><span class="soft">{escape(line["source"])}</span><br>{escape(line["text"])}</tr>'
        )
    yield "</table></div>"


def _stages(report: Mapping[str, Any]) -> Iterator[str]:
    stages = sorted(report["stages"].items(), key=lambda item: -item[1]["seconds"])
    most = max((stage["seconds"] for _, stage in stages), default=0.0) or 1.0
    yield '<h2>Work</h2><table><tr><th>stage<th class="n">tasks<th class="n">seconds<th class="n">× real time'
    yield "<th>device<th></tr>"
    for name, stage in stages:
        pace = "" if stage["times_real_time"] is None else f"{stage['times_real_time']:.2f}"
        yield (
            f'<tr><td>{escape(name)}<td class="n">{stage["tasks"]}<td class="n">{stage["seconds"]:.1f}'
            f'<td class="n">{pace}<td>{escape(_device(stage["device"]))}'
            f'<td style="width:40%"><div class="bar" style="width:{100 * stage["seconds"] / most:.1f}%"></div></tr>'
        )
    yield "</table>"


def _device(name: str) -> str:
    return "CPU" if name == "cpu" else name


def _engines(engines: Mapping[str, Mapping[str, Any] | None]) -> Iterator[str]:
    yield "<h2>Engines</h2><table><tr><th>stage<th>engine<th>what it is<th>licence</tr>"
    for stage, engine in engines.items():
        if engine is None:
            yield f'<tr><td>{escape(stage)}<td class="soft">none<td><td></tr>'
        else:
            cells = (stage, engine["name"], engine["summary"], engine["licence"])
            yield f"<tr>{''.join(f'<td>{escape(cell)}' for cell in cells)}</tr>"
    yield "</table>"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
