"""``tocsin arize connect``: from an API key to a tested webhook."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arize_scope import (
    ArizeClients,
    OrganizationOption,
    ProjectOption,
    Scope,
    SpaceOption,
    arize_clients,
    find_scope,
    plain,
    read_monitors,
    webhook_address,
)
from cli.errors import FAILED
from cli.output import Format, FormatOption, echo, echo_json, print_fields
from cli.policy import PolicyOption, load, policy_path

if TYPE_CHECKING:
    from cli.arize_deliveries import Delivery
    from cli.arize_probe import Probe
    from cli.arize_webhook import Dialogue, WebhookResult
    from policy import Policy
    from worker.settings import Settings
    from worker.webhook_secret import WebhookSecrets

_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skipped": ("-", "bright_black")}


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What the command line asks for."""

    url: str
    name: str
    monitors: tuple[str, ...]
    recreate: bool
    test: bool
    trigger: str
    wait: float
    deliveries: int


@dataclass(kw_only=True)
class _Report:
    """What was found and done, for people and for programs."""

    scope: Scope
    name: str
    url: str
    webhook: "WebhookResult"
    monitors: list[dict[str, Any]]
    secret_file: str
    probes: "dict[str, Probe]" = field(default_factory=dict[str, Any])
    deliveries: "list[Delivery]" = field(default_factory=list[Any])

    def attached(self, monitor: dict[str, Any]) -> bool:
        """Whether a monitor notifies the webhook."""
        from integrations.arize.notifications import attached_webhooks

        return any(webhook_id == self.webhook.id for webhook_id, _ in attached_webhooks(monitor))


def connect(
    organization: OrganizationOption = "",
    space: SpaceOption = None,
    project: ProjectOption = None,
    monitor: Annotated[
        list[str] | None,
        typer.Option("--monitor", help="The name or id of a monitor, repeatable; all by default.", show_default=False),
    ] = None,
    url: Annotated[
        str, typer.Option(help="The webhook's address; TOCSIN_PUBLIC_URL with /webhooks/arize.", show_default=False)
    ] = "",
    name: Annotated[str, typer.Option(help="The webhook's name in Arize.")] = "tocsin",
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Delete the webhook and create it again, for a new secret.")
    ] = False,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test the signature and the address.")] = True,
    trigger: Annotated[
        str, typer.Option(help="Let Arize evaluate this monitor now. It may notify people.", show_default=False)
    ] = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the delivery of --trigger.")] = 60.0,
    deliveries: Annotated[int, typer.Option(min=0, max=100, help="How many deliveries to show.")] = 3,
    secret_file: Annotated[
        Path | None,
        typer.Option(help="Keep the secret in this file, for a gateway elsewhere.", show_default=False),
    ] = None,
    print_secret: Annotated[bool, typer.Option("--print-secret", help="Also print the signing secret.")] = False,
    file: PolicyOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before changes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Create or find the webhook in Arize, keep its secret, test it, and show what Tocsin makes of deliveries.

    It asks before each change, and may be run again at any time. Exit code 1 if a test fails.
    """
    from cli.arize_webhook import Dialogue
    from worker.settings import read_settings
    from worker.webhook_secret import WebhookSecrets

    settings = read_settings(os.environ)
    options = _Options(
        url=webhook_address(url, settings),
        name=name,
        monitors=tuple(monitor or ()),
        recreate=recreate,
        test=test,
        trigger=trigger,
        wait=wait,
        deliveries=deliveries,
    )
    say = _say(form)
    dialogue = Dialogue(say, _confirm(say, yes=yes, dry_run=dry_run), dry_run, yes)
    command = _Connect(options, dialogue, WebhookSecrets(settings, secret_file), load(policy_path(file)))
    report = asyncio.run(command.run(settings, organization, space or [], project or []))
    _finish(report, form, secret=report.webhook.secret if print_secret else "")
    declined = report.webhook.webhook is None and not dry_run
    if declined or any(one.outcome == "fail" for one in report.probes.values()):
        raise typer.Exit(FAILED)


def _say(form: Format) -> Callable[[str], None]:
    return lambda text: typer.echo(text, err=True) if form is Format.json else echo(text)


def _confirm(say: Callable[[str], None], *, yes: bool, dry_run: bool) -> Callable[[str], bool]:
    def confirm(action: str) -> bool:
        if dry_run:
            say(f"Would {action}.")
            return False
        if yes:
            say(f"{action[:1].upper()}{action[1:]} …")
            return True
        return typer.confirm(f"{action[:1].upper()}{action[1:]}?", err=True)

    return confirm


@dataclass(frozen=True)
class _Connect:
    """The steps of the command, in their order."""

    options: _Options
    dialogue: "Dialogue"
    secrets: "WebhookSecrets"
    policy: "Policy"

    async def run(
        self, settings: "Settings", organization: str, spaces: Sequence[str], projects: Sequence[str]
    ) -> _Report:
        from cli.arize_deliveries import read_deliveries

        async with arize_clients(settings) as clients:
            scope = await find_scope(clients, organization, spaces, projects, one=True)
            monitors = await read_monitors(clients, scope)
            chosen = _chosen_monitors(monitors, self.options.monitors)
            triggered = _chosen_monitors(monitors, (self.options.trigger,))[0] if self.options.trigger else None
            webhook = await self._webhook(clients, scope)
            report = _Report(
                scope=scope,
                name=self.options.name,
                url=self.options.url,
                webhook=webhook,
                monitors=chosen,
                secret_file=str(self.secrets.file),
            )
            await self._test(clients, report, settings)
            if triggered is not None and webhook.id:
                await self._trigger(clients, report, triggered)
            if webhook.id and self.options.deliveries:
                report.deliveries = await read_deliveries(clients, webhook.id, self.policy, self.options.deliveries)
            return report

    async def _webhook(self, clients: ArizeClients, scope: Scope) -> "WebhookResult":
        from cli.arize_webhook import Wanted, WebhookSetup
        from integrations.arize.notifications import attached_webhooks

        organization = scope.organizations[0]

        async def attached(webhook_id: str) -> list[str]:
            # Deleting a webhook concerns every monitor of the organization, also outside the chosen spaces.
            spaces = tuple(await clients.tenant.spaces(organization.id))
            monitors = await read_monitors(clients, Scope(scope.organizations, spaces, ()))
            found = [one for one in monitors if webhook_id in {identifier for identifier, _ in attached_webhooks(one)}]
            return [str(one.get("name")) for one in found]

        wanted = Wanted(organization, self.options.name, self.options.url, self.options.recreate)
        return await WebhookSetup(clients.tenant, self.secrets, self.dialogue).ensure(wanted, attached)

    async def _test(self, clients: ArizeClients, report: _Report, settings: "Settings") -> None:
        from cli.arize_probe import Probe, check_reachability, check_signature, stale_tests
        from integrations.arize.notifications import WEBHOOK_PATH
        from worker.bootstrap import gateway_url

        if not self.options.test:
            return
        webhook = report.webhook
        if webhook.secret and not self.dialogue.dry_run and not self.secrets.elsewhere:
            urls = list(dict.fromkeys([self.options.url, f"{gateway_url(settings)}{WEBHOOK_PATH}"]))
            report.probes["signature"] = await check_signature(urls, webhook.secret)
        elif webhook.id:
            why = "the secret is for a gateway elsewhere" if webhook.secret else "its secret is not known here"
            report.probes["signature"] = Probe("skipped", f"the signature was not tested: {why}")
        organization = report.scope.organizations[0]
        left = stale_tests(await clients.tenant.webhooks(organization.id), datetime.now(UTC))
        cleaning = f", and delete {len(left)} that an interrupted run has left" if left else ""
        action = (
            "let Arize test the address through a temporary webhook with BEARER, since it tests no webhook with HMAC"
        )
        if (webhook.id or self.dialogue.dry_run) and self.dialogue.confirm(action + cleaning):
            for one in left:
                await clients.tenant.delete_webhook(one)
            report.probes["address"] = await check_reachability(
                clients.tenant, organization, self.options.name, self.options.url
            )

    async def _trigger(self, clients: ArizeClients, report: _Report, monitor: dict[str, Any]) -> None:
        from cli.arize_probe import Probe, trigger

        name = plain(str(monitor.get("name")))
        if not report.attached(monitor):
            text = f"{name} was not evaluated, since it does not notify the webhook yet: {plain(_url(monitor))}"
            report.probes["trigger"] = Probe("fail", text)
        elif self.dialogue.confirm(f"evaluate the monitor {name} now, which notifies everybody if it triggers"):
            report.probes["trigger"] = await trigger(clients, report.webhook.id, monitor, self.options.wait)


def _chosen_monitors(monitors: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The monitors of the names or ids; all without any. Ends the command if one is unknown."""
    from cli.arize_scope import chosen
    from integrations.arize.tenant_api import Named

    if not names:
        return list(monitors)
    known = [Named(str(one.get("id")), str(one.get("name") or "")) for one in monitors]
    wanted = {chosen("monitor", name, known).id for name in names}
    return [one for one in monitors if str(one.get("id")) in wanted]


def _url(monitor: dict[str, Any]) -> str:
    return str(monitor.get("uri") or f"monitor {monitor.get('id')}")


def _finish(report: _Report, form: Format, secret: str) -> None:
    if form is Format.json:
        echo_json(_json(report, secret))
        return
    _print(report)
    if secret:
        typer.echo(f"\nSigning secret: {secret}")


def _print(report: _Report) -> None:
    from cli.arize_deliveries import print_deliveries

    scope, webhook = report.scope, report.webhook
    typer.echo()
    print_fields(
        [
            ("Organization", plain(str(scope.organizations[0]))),
            ("Spaces", plain(", ".join(map(str, scope.spaces)))),
            ("Projects", plain(", ".join(one.name for one in scope.projects))),
            ("Webhook", f"{webhook.action} {webhook.id}" if webhook.id else "none"),
            ("Address", report.url),
        ]
    )
    if report.probes:
        typer.echo()
    for one in report.probes.values():
        mark, colour = _MARKS[one.outcome]
        echo(f"{mark} {plain(one.text)}", colour)
    _print_clicks(report)
    if report.deliveries:
        echo("\nDeliveries", bold=True)
        print_deliveries(report.deliveries)
    elif webhook.id:
        typer.echo("\nArize has delivered nothing to this webhook yet.")


def _print_clicks(report: _Report) -> None:
    """What no API of Arize can do: attach the webhook to each monitor, and switch notifications on."""
    name = plain(str((report.webhook.webhook or {}).get("name") or report.name))
    clicks = _clicks(report)
    attached = sum(report.attached(one) for one in report.monitors)
    typer.echo(f"\nThe webhook is attached to {attached} of {len(report.monitors)} monitors.")
    if not clicks:
        return
    echo(
        "No API of Arize attaches a webhook, so these clicks are left: open the page of each monitor, edit it, choose "
        f"the webhook {name!r} under its notifications, and save."
    )
    for monitor, steps in clicks:
        echo(f"  {plain(str(monitor.get('name')))}: {' and '.join(steps)}", "yellow")
        typer.echo(f"    {plain(_url(monitor))}")


def _clicks(report: _Report) -> list[tuple[dict[str, Any], list[str]]]:
    """The monitors that need a person, and what is to be done."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for monitor in report.monitors:
        steps = [] if report.attached(monitor) else ["attach the webhook"]
        steps += ["switch its notifications on"] if monitor.get("notifications_enabled") is False else []
        if steps:
            found.append((monitor, steps))
    return found


def _json(report: _Report, secret: str) -> dict[str, Any]:
    from cli.arize_deliveries import deliveries_json

    clicks = {str(monitor.get("id")): steps for monitor, steps in _clicks(report)}
    webhook = report.webhook
    return {
        "organization": {"id": report.scope.organizations[0].id, "name": report.scope.organizations[0].name},
        "spaces": [{"id": one.id, "name": one.name} for one in report.scope.spaces],
        "projects": [{"id": one.id, "name": one.name} for one in report.scope.projects],
        "webhook": {
            "id": webhook.id,
            "name": (webhook.webhook or {}).get("name"),
            "url": (webhook.webhook or {}).get("url"),
            "action": webhook.action,
            "secret_known": bool(webhook.secret),
            "secret_file": report.secret_file,
            **({"signing_secret": secret} if secret else {}),
        },
        "tests": {name: {"outcome": one.outcome, "text": one.text} for name, one in report.probes.items()},
        "monitors": [
            {
                "id": str(one.get("id")),
                "name": one.get("name"),
                "url": _url(one),
                "attached": report.attached(one),
                "left": clicks.get(str(one.get("id")), []),
            }
            for one in report.monitors
        ],
        "deliveries": deliveries_json(report.deliveries),
    }
