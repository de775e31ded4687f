"""The page of `webnn conformance --html`: one file, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from webnn_runtime import __version__
from webnn_runtime.cli.written import write_text
from webnn_runtime.conformance import Finding, Summary, Tally, Verdict

__all__ = ["page", "write_page"]

_FEW: Final = 20

_STYLE: Final = """
:root { color-scheme: light dark; --fg: #1c2330; --dim: #667085; --bg: #fff; --card: #f6f7f9; --line: #e3e6ec;
  --passed: #1f9d61; --failed: #d5384b; --unsupported: #d99a1c; }
@media (prefers-color-scheme: dark) { :root { --fg: #e6e9ef; --dim: #98a2b3; --bg: #12161d; --card: #1a2029;
  --line: #2b3340; --passed: #3ecf8e; --failed: #f2687a; --unsupported: #e9b44c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.25rem 4rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
.where { color: var(--dim); margin: .25rem 0 1.5rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin-bottom: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card span { color: var(--dim); }
.bar { display: flex; height: .6rem; border-radius: .3rem; overflow: hidden; background: var(--line); min-width: 6rem; }
.bar i.passed { background: var(--passed); } .bar i.failed { background: var(--failed); }
.bar i.unsupported { background: var(--unsupported); }
b.passed { color: var(--passed); } b.failed { color: var(--failed); } b.unsupported { color: var(--unsupported); }
b.zero { color: var(--dim); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 500; position: sticky; top: 0; background: var(--bg); }
td.n { text-align: right; font-variant-numeric: tabular-nums; } th.n { text-align: right; }
td.n.zero { color: var(--dim); }
td:last-child { width: 30%; }
details { border: 1px solid var(--line); border-radius: .6rem; margin-bottom: .5rem; background: var(--card); }
summary { padding: .55rem .9rem; cursor: pointer; }
summary code { color: var(--dim); }
pre { margin: 0; padding: .2rem .9rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
"""


def write_page(path: Path, summary: Summary, folder: Path) -> None:
    """Write the page, or leave what was there.

    Raises:
        WriteError: the place cannot be written.
    """
    write_text(path, page(summary, folder))


def page(summary: Summary, folder: Path) -> str:
    """The whole page; equal results give equal bytes."""
    return "\n".join(_lines(summary, folder)) + "\n"


def _lines(summary: Summary, folder: Path) -> Iterator[str]:
    title = f"WebNN conformance of {escape(summary.backend)}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>"
    where = f"{summary.total.cases} cases of {escape(str(folder))} · webnn-runtime {escape(__version__)}"
    yield f'<p class="where">{where}</p>'
    yield '<div class="cards">'
    for word, number in summary.total.record().items():
        yield f'<div class="card"><b class="{word if number else "zero"}">{number}</b><span>{word}</span></div>'
    yield f"</div>{_bar(summary.total)}"
    yield from _findings("Failed", summary.of(Verdict.FAILED))
    yield "<h2>Operators</h2>"
    yield '<table><thead><tr><th>operator</th><th class="n">passed</th><th class="n">failed</th>'
    yield '<th class="n">unsupported</th><th></th></tr></thead><tbody>'
    for name, tally in summary.operators.items():
        numbers = "".join(f'<td class="n{"" if n else " zero"}">{n}</td>' for n in tally.record().values())
        yield f"<tr><td>{escape(name)}</td>{numbers}<td>{_bar(tally)}</td></tr>"
    yield "</tbody></table>"
    yield from _findings("Unsupported", summary.of(Verdict.UNSUPPORTED))
    yield "</body></html>"


def _bar(tally: Tally) -> str:
    parts = "".join(
        f'<i class="{word}" style="flex:{number}"></i>' for word, number in tally.record().items() if number
    )
    return f'<div class="bar" role="img" aria-label="{tally}">{parts}</div>'


def _findings(title: str, findings: list[Finding]) -> Iterator[str]:
    if findings:
        yield f"<h2>{title}</h2>"
    # A few messages are read at a glance, many are looked up.
    state = " open" if len(findings) <= _FEW else ""
    for finding in findings:
        yield f"<details{state}><summary>{escape(finding.name)} <code>{escape(finding.case)}</code></summary>"
        yield f"<pre>{escape(finding.outcome.message)}</pre></details>"
