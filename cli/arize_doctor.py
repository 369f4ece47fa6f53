"""``tocsin arize doctor``: what is wrong between Arize and this Tocsin, and what to do about it."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arize_scope import OrganizationOption, plain, webhook_address
from cli.database import log_to_standard_error
from cli.errors import FAILED
from cli.output import Cell, Format, FormatOption, Styled, echo_json, print_table

if TYPE_CHECKING:
    from cli.arize_checks import Check

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skipped": ("-", "bright_black")}


def doctor(
    organization: OrganizationOption = "",
    url: Annotated[
        str, typer.Option(help="The webhook's address; TOCSIN_PUBLIC_URL with /webhooks/arize.", show_default=False)
    ] = "",
    form: FormatOption = Format.text,
) -> None:
    """Check the key and its rights, the clocks, the webhook, its last deliveries, the gateway and the descriptions.

    Nothing is changed. Exit code 1 if a check fails; a warning is no failure.
    """
    from cli.arize_checks import Doctor
    from worker.settings import read_settings

    log_to_standard_error()
    settings = read_settings(os.environ)
    address = webhook_address(url, settings, required=False)
    checks = asyncio.run(Doctor(settings, address, organization).run())
    if form is Format.json:
        echo_json([one._asdict() for one in checks])
    else:
        _print(checks)
    if any(one.outcome == "fail" for one in checks):
        raise typer.Exit(FAILED)


def _print(checks: "list[Check]") -> None:
    rows: list[tuple[Cell, ...]] = []
    for one in checks:
        mark, colour = _MARKS[one.outcome]
        rows.append((Styled(mark, colour), one.check, Styled(plain(one.text), colour)))
        if one.remedy:
            rows.append(("", "", f"→ {plain(one.remedy)}"))
    print_table(("", "CHECK", "RESULT"), rows)
    failed, warned = (sum(one.outcome == outcome for one in checks) for outcome in ("fail", "warn"))
    typer.echo(f"\n{len(checks)} checks: {failed} failed, {warned} with a warning")
