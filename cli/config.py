"""``tocsin config``: the settings in effect."""

import os
from typing import Annotated

import typer

from cli.output import Format, FormatOption, Styled, echo_json, print_table


def config(
    only_set: Annotated[bool, typer.Option("--set", help="Only settings that the environment sets.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Show the settings in effect, with secrets masked. A * marks those that the environment sets."""
    from integrations.base.registry import callbacks
    from worker.settings import read_settings

    read = read_settings(os.environ)
    vendors = (read.effective_secret(callback.setting, callback.setting_description) for callback in callbacks())
    settings = [one for one in (*read.effective(), *vendors) if not (only_set and one.is_default)]
    if form is Format.json:
        echo_json([one._asdict() for one in settings])
        return
    rows = [(" " if one.is_default else "*", one.name, Styled(one.value or "-")) for one in settings]
    print_table(("", "SETTING", "VALUE"), rows)
