"""Every field of the config's tables as a flag of the command line, made from the dataclasses: nothing to keep in step.

A field that two tables have gets its table's name in front, `--data-condition`. A flag beats the config file.
"""

import dataclasses
import inspect
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import click

GIVEN = "distill.flags"  # where a context keeps what was given


class Items(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """`64,128`: a tuple."""

    name = "items"

    def __init__(self, kinds: tuple[Any, ...]) -> None:
        self.many = kinds[-1] is Ellipsis
        self.kinds = kinds[:1] if self.many else kinds

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """INTEGER,… or FLOAT,FLOAT."""
        words = ",".join(click.types.convert_type(kind).name.upper() for kind in self.kinds)
        return words + ",…" if self.many else words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Refuses the wrong number of items, and items of the wrong kind."""
        words = [word for word in str(value).split(",") if word]
        if not self.many and len(words) != len(self.kinds):
            self.fail(f"'{value}': expected {len(self.kinds)} values with commas between them", param, ctx)
        kinds = self.kinds * len(words) if self.many else self.kinds
        return tuple(
            click.types.convert_type(kind).convert(word, param, ctx) for kind, word in zip(kinds, words, strict=True)
        )


class Flag(click.Option):
    """A field of a table: kept in the context if it is given, no argument of the command."""

    def __init__(self, table: str, field: dataclasses.Field[Any], kind: Any, prefixed: bool) -> None:
        word = (f"{table}-{field.name}" if prefixed else field.name).replace("_", "-")
        names = f"--{word}/--no-{word}" if kind is bool else f"--{word}"
        super().__init__(
            [names, f"{table}_{field.name}".lower()],
            type=None if kind is bool else parameter(kind),
            default=None,
            expose_value=False,
            callback=self._keep,
            help=str(field.metadata.get("help", "")) + default(field),
        )
        self.table, self.field = table, field.name

    def _keep(self, context: click.Context, option: click.Parameter, value: Any) -> None:
        if value is not None:
            context.meta.setdefault(GIVEN, {}).setdefault(self.table, {})[self.field] = value


def parameter(kind: Any) -> Any:
    """click's type for a field's."""
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    return Items(get_args(kind)) if get_origin(kind) is tuple else kind


def default(field: dataclasses.Field[Any]) -> str:
    """[what holds where neither the config nor a flag says], as it would be typed."""
    value = field.default
    if value is dataclasses.MISSING:
        return "[required]"
    if isinstance(value, bool):
        return "[yes]" if value else "[no]"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"[{text}]" if text else ""


def flags(tables: Mapping[str, type]) -> list[Flag]:
    """One for each field of the dataclasses, by table."""
    seen = Counter(field.name for kind in tables.values() for field in dataclasses.fields(kind))
    return [
        Flag(table, field, get_type_hints(kind)[field.name], seen[field.name] > 1)
        for table, kind in tables.items()
        for field in dataclasses.fields(kind)
    ]


class Command(click.Command):
    """A command with a flag for each field of `tables`; `given` has those that were used."""

    tables: ClassVar[Mapping[str, type]] = {}

    def __init__(self, *arguments: Any, **words: Any) -> None:
        super().__init__(*arguments, **words)
        self.params += flags(self.tables)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then a section for each table under what its dataclass says of it."""
        own = [option.get_help_record(ctx) for option in self.get_params(ctx) if not isinstance(option, Flag)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in own if record])
        for table, kind in self.tables.items():
            rows = [flag.get_help_record(ctx) for flag in self.params if isinstance(flag, Flag) and flag.table == table]
            with formatter.section(f"[{table}]"):
                formatter.write_text(inspect.getdoc(kind) or "")
                formatter.write_paragraph()
                formatter.write_dl([row for row in rows if row])


def given(context: click.Context) -> dict[str, dict[str, Any]]:
    """The flags that were used, as the config's tables."""
    return dict(context.meta.get(GIVEN, {}))
