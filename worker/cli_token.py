"""``tocsin token``: who may call the API. Tokens are kept as hashes; each is shown once, when it is made."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.tokens import TokenFileError, Tokens
from worker.first_start import TOKENS, new_token, token_line
from worker.settings import near, read_settings

token = typer.Typer(help="Who may call the API.", no_args_is_help=True)
File = Annotated[Path | None, typer.Option("--file", help="TOCSIN_API_TOKENS, where it is left out.")]


class Role(StrEnum):
    viewer = "viewer"
    responder = "responder"
    compliance = "compliance"
    admin = "admin"


@token.command()
def new(
    role: Role,
    name: Annotated[str, typer.Argument(help="Whose it is; an e-mail address also gives its role to its owner.")],
    file: File = None,
) -> None:
    """Make a token, add its hash to the file, and print the token: nobody can show it again.

    The gateway reads the file when it starts.
    """
    if not re.fullmatch(r"[^\s#]{1,200}", name):
        typer.echo("a name has no spaces and no #", err=True)
        raise typer.Exit(2)
    path = _file(file)
    try:
        if path.exists():
            Tokens.read(path)
        made = new_token()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        before = path.read_text(encoding="utf-8")
        gap = "" if not before or before.endswith("\n") else "\n"
        with path.open("a", encoding="utf-8") as output:
            output.write(f"{gap}{token_line(role, name, made)}\n")
    except (OSError, TokenFileError) as error:
        typer.echo(f"tocsin: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(made)
    typer.echo(f"its hash is in {near(path)}; the gateway takes it from its next start on", err=True)


def _file(given: Path | None) -> Path:
    settings = read_settings(os.environ)
    return given or settings.api_tokens or settings.state_dir / TOKENS
