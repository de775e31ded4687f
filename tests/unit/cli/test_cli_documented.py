"""Every command in README and docs is one that the tools take as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest
import typer

from webnn_runtime.cli.app import app as webnn
from webnn_runtime.cli.exits import ExitCode
from webnn_translator.cli.convert import app as webnn_convert

ROOT: Final = Path(__file__).resolve().parents[3]
PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK: Final = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
# `webnn bench BUNDLE ...` in running text, too.
INLINE: Final = re.compile(r"`(webnn(?:-convert| [a-z-]+)[^`]*)`")


def commands() -> list[str]:
    found: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
        for line in [*lines, *INLINE.findall(BLOCK.sub("", text).replace("\n", " "))]:
            if re.match(r"webnn(-convert)? ", line) and "..." not in line:
                found[line.partition("  #")[0].strip()] = None
    return list(found)


def shown_by_help() -> list[str]:
    group = typer.main.get_command(webnn)
    pages = [group, *group.commands.values(), typer.main.get_command(webnn_convert)]
    assert all(page.epilog for page in pages), "every help ends in examples"
    return [line.strip() for page in pages for line in page.epilog.splitlines() if line.startswith("  webnn")]


def test_the_pages_have_commands():
    assert len(commands()) > 40


@pytest.mark.parametrize("line", [*commands(), *shown_by_help()])
def test_a_command_is_understood(line):
    tool, *arguments = shlex.split(line.partition(" < ")[0])
    command = typer.main.get_command(webnn_convert)
    if tool == "webnn":
        command = typer.main.get_command(webnn).commands[arguments.pop(0)]
    # Running text may name a command, or one of its switches, and leave out what it works on.
    is_whole = any(not argument.startswith("-") for argument in arguments)
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {argument for argument in arguments if argument.startswith("-")} <= options
    command.make_context(tool, arguments, resilient_parsing=not is_whole)


def test_the_readme_has_every_exit_code():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9, ]+) \| (?:`([a-z-]+)`)? ?\|", text, re.MULTILINE)
    codes = {int(number): word for numbers, word in rows for number in numbers.split(",")}
    ends_without_a_word = {0, 141, 143, 129}
    assert {number for number, word in codes.items() if not word} == ends_without_a_word
    assert {number: word for number, word in codes.items() if word} == {
        int(code): code.word for code in ExitCode if int(code) not in ends_without_a_word
    }


def pages_of_help():
    group = typer.main.get_command(webnn)
    return {"webnn-convert": typer.main.get_command(webnn_convert), **group.commands}


@pytest.mark.parametrize("name", pages_of_help())
def test_a_help_names_arguments_alone_and_every_switch_once(name):
    command = pages_of_help()[name]
    context = command.make_context(name, [], resilient_parsing=True)
    text = command.get_help(context)
    head, _, rest = text.partition("Arguments:\n")
    assert not re.search(r"[{}]", head), "braces are for words to choose from"
    assert not re.search(r"<\w", rest), "the type that Python gives an argument"
    listed = re.findall(r"^  (-[^\n]*?)(?:  |$)", rest, re.MULTILINE)
    shown = [word for row in listed for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", row)]
    known = [switch for option in command.params for switch in (*option.opts, *option.secondary_opts)]
    assert sorted(shown) == sorted(switch for switch in [*known, *context.help_option_names] if switch.startswith("-"))


def test_a_long_help_is_cut_by_subjects():
    command = pages_of_help()["webnn-convert"]
    text = command.get_help(command.make_context("webnn-convert", [], resilient_parsing=True))
    headings = re.findall(r"^(\w[^\n]*):$", text, re.MULTILINE)
    assert headings[:2] == ["Arguments", "Options"]
    assert "Quantising" in headings
    after = text[text.index("\nQuantising:") :]
    assert "--target-cosine" in after
    assert "--force" not in after
    bench = pages_of_help()["bench"]
    alone = bench.get_help(bench.make_context("bench", [], resilient_parsing=True))
    assert re.findall(r"^(\w[^\n]*):$", alone, re.MULTILINE) == ["Arguments", "Options"]
