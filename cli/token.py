"""``tocsin token``: API tokens. The file holds their hashes; each token is shown once, when it is created."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import UNUSABLE, exit_with_error
from cli.groups import command_group

token = command_group("Create API tokens.")
File = Annotated[Path | None, typer.Option("--file", help="The tokens file; TOCSIN_API_TOKENS by default.")]


class Role(StrEnum):
    viewer = "viewer"
    responder = "responder"
    compliance = "compliance"
    admin = "admin"


@token.callback()
def tokens() -> None:
    """Create API tokens."""


@token.command()
def new(
    role: Role,
    name: Annotated[str, typer.Argument(help="The owner. An e-mail address also gives its role to callbacks from it.")],
    file: File = None,
) -> None:
    """Create a token, add its hash to the tokens file, and print the token. It cannot be shown again.

    The gateway reads the file again when it changes. A name has one token: to replace it, remove its line first.
    """
    from gateway.security.tokens import TokenFileError, Tokens
    from worker.bootstrap import TOKENS, new_token, token_line
    from worker.locations import display_path
    from worker.settings import read_settings

    if not re.fullmatch(r"[^\s#]{1,200}", name):
        exit_with_error("a name has 1 to 200 characters, no space and no #", UNUSABLE)
    settings = read_settings(os.environ)
    path = file or settings.api_tokens or settings.state_dir / TOKENS
    try:
        names = (
            {caller.name.casefold() for caller in Tokens.read(path).known().values()} if path.exists() else set[str]()
        )
    except TokenFileError as error:
        exit_with_error(str(error))
    if name.casefold() in names:
        exit_with_error(f"{display_path(path)} has a token of {name} already: remove its line, or choose another name")
    created = new_token()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    before = path.read_text(encoding="utf-8")
    gap = "" if not before or before.endswith("\n") else "\n"
    with path.open("a", encoding="utf-8") as output:
        output.write(f"{gap}{token_line(role, name, created)}\n")
    typer.echo(created)
    typer.echo(f"its hash is in {display_path(path)}, which the gateway reads again when it changes", err=True)
