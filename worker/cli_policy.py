"""``tocsin policy check|schema``."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from worker.settings import read_settings

policy = typer.Typer(help="Check the policy, and help to write it.", no_args_is_help=True)


@policy.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file or folder; TOCSIN_POLICY or the shipped one where it is left out.")
    ] = None,
) -> None:
    """Every problem at once, with its file, line and column. Exit code 1 where there is one."""
    from activities.destinations import destination_types
    from policy import PolicyError, load_policy

    path = file or read_settings(os.environ).policy
    try:
        loaded = load_policy(path, destination_types())
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    size = f"{len(loaded.rules)} rules, {len(loaded.destinations)} destinations"
    typer.echo(f"{path}: good; {size}, {loaded.digest}")


@policy.command()
def schema() -> None:
    """The JSON Schema, for editors."""
    from activities.destinations import destination_types
    from policy.json_schema import policy_json_schema

    typer.echo(json.dumps(policy_json_schema(destination_types()), indent=2))
