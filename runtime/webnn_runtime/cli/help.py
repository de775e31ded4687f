"""What `--help` of a command looks like: arguments by their names, many switches under headings.

The layout is plain text, as rich's boxes are not; the headings are those that typer calls panels.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["HelpfulCommand", "HelpfulGroup"]


class HelpfulCommand(TyperCommand):
    """A command whose help shows switches by `rich_help_panel`, the others first."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words behind the command's name.

        typer puts a required argument in braces, which elsewhere hold words to choose from.
        """
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and switches, under their headings."""
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and parameter.param_type_name == "argument":
                # typer puts the Python type behind the name.
                arguments.append((record[0].partition(" <")[0], record[1]))
            elif record is not None:
                options.append((getattr(parameter, "rich_help_panel", None), record))
        used = Counter(heading for heading, _ in options)
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": arguments, "Options": []}
        for heading, record in options:
            # A heading over one line says less than the line.
            sections.setdefault(heading if heading and used[heading] > 1 else "Options", []).append(record)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class HelpfulGroup(TyperGroup):
    """A group that knows which of its commands people look for and have elsewhere."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of these arguments."""
        if args[0] == "convert":
            ctx.fail("'convert' is a command of its own, webnn-convert")
        return super().resolve_command(ctx, args)
