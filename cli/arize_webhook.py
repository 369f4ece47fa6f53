"""The webhook of Arize that posts to Tocsin: found, or created with HMAC, and its signing secret kept."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from alerts.values import moment
from cli.arize_scope import plain
from cli.errors import exit_with_error

if TYPE_CHECKING:
    from integrations.arize.tenant_api import Named, TenantApi
    from worker.webhook_secret import WebhookSecrets

MARK = "managed-by: tocsin"
"""In the description of a webhook that `tocsin arize connect` created."""
TEST_MARK = "managed-by: tocsin test"
_CREATION = timedelta(minutes=5)
"""Between the note that a webhook is being created and its creation, by Arize's clock."""
_DESCRIPTION = f"Sends alerts to Tocsin. {MARK}"
Attached = Callable[[str], Awaitable[Sequence[str]]]
"""Reads the names of the monitors that notify a webhook, given its id."""
Action = Literal["found", "created", "recreated", "moved", "planned"]


@dataclass(frozen=True)
class Dialogue:
    """How a command talks: what it says, and whether it may change something."""

    say: Callable[[str], None]
    confirm: Callable[[str], bool]
    """Asks about a change, such as ``create the webhook``. False in a dry run, which only says it."""
    dry_run: bool = False
    yes: bool = False


@dataclass(frozen=True)
class Wanted:
    """The webhook that is asked for."""

    organization: "Named"
    name: str
    url: str
    recreate: bool = False


@dataclass(frozen=True)
class WebhookResult:
    """The webhook, if there is one, and its signing secret, if it is known here."""

    webhook: dict[str, Any] | None
    action: Action
    secret: str = ""

    @property
    def id(self) -> str:
        return str((self.webhook or {}).get("id") or "")


@dataclass(frozen=True)
class _Found:
    """What the organization has: a webhook with HMAC at the address, one of Tocsin's elsewhere, others."""

    signed: dict[str, Any] | None
    moved: dict[str, Any] | None
    bearer: tuple[dict[str, Any], ...]
    same_name: dict[str, Any] | None


class WebhookSetup:
    """Finds or creates the webhook. It may be run again after any interruption."""

    def __init__(self, api: "TenantApi", secrets: "WebhookSecrets", dialogue: Dialogue) -> None:
        self._api, self._secrets, self._dialogue = api, secrets, dialogue

    async def ensure(self, wanted: Wanted, attached: Attached) -> WebhookResult:
        """The webhook that posts to the address with HMAC.

        Args:
            wanted: The webhook.
            attached: Which monitors notify it, if it must be deleted.
        """
        webhooks = await self._api.webhooks(wanted.organization.id)
        found = self._find(webhooks, wanted)
        for one in found.bearer:
            self._dialogue.say(
                f"The webhook {_shown(one)} posts to this address, too, with BEARER. A monitor should notify one of "
                "both: prefer HMAC, which signs the body."
            )
        if found.signed is not None:
            return await self._found(found.signed, wanted, attached)
        if found.moved is not None:
            return await self._move(found.moved, wanted)
        if found.same_name is not None:
            place, kind = plain(str(found.same_name.get("url"))), found.same_name.get("auth_type")
            exit_with_error(
                f"the organization has a webhook {wanted.name!r} that posts to {place} with {kind}: choose another one "
                "with --name"
            )
        return await self._create(wanted, "created")

    def _find(self, webhooks: Sequence[dict[str, Any]], wanted: Wanted) -> _Found:
        here = [one for one in webhooks if _same(str(one.get("url")), wanted.url) and not is_test(one)]
        signed = [one for one in here if one.get("auth_type") == "HMAC_SHA256"]
        # Of several, the one whose secret is known, then Tocsin's own, then the one with the name.
        signed.sort(key=lambda one: (not self._secret(one), not _is_ours(one), one.get("name") != wanted.name))
        moved = [one for one in webhooks if _is_ours(one) and one.get("auth_type") == "HMAC_SHA256" and one not in here]
        return _Found(
            signed=signed[0] if signed else None,
            moved=next((one for one in moved if one.get("name") == wanted.name), None),
            bearer=tuple(one for one in here if one.get("auth_type") != "HMAC_SHA256"),
            same_name=next((one for one in webhooks if one.get("name") == wanted.name), None),
        )

    def _secret(self, webhook: dict[str, Any]) -> str:
        return self._secrets.find(str(webhook.get("signing_secret_hint") or ""))

    async def _found(self, webhook: dict[str, Any], wanted: Wanted, attached: Attached) -> WebhookResult:
        secret = self._secret(webhook)
        if secret and not wanted.recreate:
            self._dialogue.say(f"The webhook {_shown(webhook)} exists, and its signing secret is known here.")
            self._secrets.end()
            return WebhookResult(webhook, "found", secret)
        names = await attached(str(webhook.get("id")))
        if not secret:
            self._dialogue.say(self._why_unknown(webhook, wanted))
        if not self._may_recreate(webhook, wanted, names):
            return WebhookResult(webhook, "planned" if self._dialogue.dry_run else "found")
        self._secrets.check_writable()
        await self._api.delete_webhook(str(webhook.get("id")))
        return await self._create(
            Wanted(wanted.organization, str(webhook.get("name")), wanted.url), "recreated", secret
        )

    def _why_unknown(self, webhook: dict[str, Any], wanted: Wanted) -> str:
        if self._interrupted(webhook, wanted):
            at = plain(str(self._secrets.pending().get("at")))
            return (
                f"An earlier run created the webhook {_shown(webhook)} at {at}, and ended before its secret was kept. "
                "Arize shows a secret once, so the webhook must be deleted and created again."
            )
        hint = plain(str(webhook.get("signing_secret_hint") or "unknown"))
        return (
            f"The webhook {_shown(webhook)} exists, and its signing secret ({hint}) is neither in ARIZE_WEBHOOK_SECRET "
            f"nor in {self._secrets.file}. If a gateway elsewhere has it, all is well. Arize does not show it again."
        )

    def _interrupted(self, webhook: dict[str, Any], wanted: Wanted) -> bool:
        """Whether a run of this machine created the webhook, and ended before it kept the secret."""
        pending = self._secrets.pending()
        began, created = moment(pending.get("at")), moment(webhook.get("created_at"))
        if began is None or created is None or abs(created - began) > _CREATION:
            return False  # somebody else created it
        return pending.get("organization") == wanted.organization.id and _same(str(pending.get("url")), wanted.url)

    def _may_recreate(self, webhook: dict[str, Any], wanted: Wanted, attached: Sequence[str]) -> bool:
        """Whether to delete the webhook and create it again, which detaches it from every monitor."""
        if attached:
            lost = f"{len(attached)} monitor{'s' if len(attached) > 1 else ''} must then be attached again by hand"
        else:
            lost = "no monitor notifies it yet"
        dialogue = self._dialogue
        if dialogue.yes and not (wanted.recreate or (self._interrupted(webhook, wanted) and not attached)):
            dialogue.say(f"It is left as it is. To delete and create it again, add --recreate; {lost}.")
            return False
        return dialogue.confirm(f"delete the webhook {_shown(webhook)} and create it again ({lost})")

    async def _move(self, webhook: dict[str, Any], wanted: Wanted) -> WebhookResult:
        before = plain(str(webhook.get("url")))
        if not self._dialogue.confirm(f"let the webhook {_shown(webhook)} post to {wanted.url} instead of {before}"):
            return WebhookResult(webhook, "planned" if self._dialogue.dry_run else "found", self._secret(webhook))
        await self._api.move_webhook(str(webhook.get("id")), wanted.url)
        return WebhookResult({**webhook, "url": wanted.url}, "moved", self._secret(webhook))

    async def _create(self, wanted: Wanted, action: Action, invalid: str = "") -> WebhookResult:
        """Create the webhook, and keep its secret before anything else happens."""
        organization = plain(wanted.organization.name)
        text = f"create the webhook {wanted.name!r} in {organization}, with HMAC, posting to {wanted.url}"
        if action == "created" and not self._dialogue.confirm(text):
            return WebhookResult(None, "planned")
        self._secrets.check_writable()
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._secrets.begin({"organization": wanted.organization.id, "name": wanted.name, "url": wanted.url, "at": at})
        webhook, secret = await self._api.create_webhook(wanted.organization.id, wanted.name, wanted.url, _DESCRIPTION)
        try:
            self._secrets.keep(secret, {invalid})
        except OSError as error:
            await self._api.delete_webhook(str(webhook["id"]))
            self._secrets.end()
            exit_with_error(
                f"{self._secrets.file}: {error.strerror}: the secret could not be kept: the webhook was deleted again"
            )
        self._secrets.end()
        self._dialogue.say(f"Created the webhook {_shown(webhook)}. Its signing secret is in {self._secrets.file}")
        if self._secrets.unread:
            self._dialogue.say(
                "ARIZE_WEBHOOK_SECRET is set, so the gateway does not read that file: set ARIZE_WEBHOOK_SECRET_FILE "
                "for it, too, and start it again."
            )
        return WebhookResult(webhook, action, secret)


def _shown(webhook: dict[str, Any]) -> str:
    return plain(f"{webhook.get('name')} ({webhook.get('id')})")


def _same(url: str, other: str) -> bool:
    return url.rstrip("/") == other.rstrip("/")


def is_test(webhook: dict[str, Any]) -> bool:
    return TEST_MARK in str(webhook.get("description") or "")


def _is_ours(webhook: dict[str, Any]) -> bool:
    return MARK in str(webhook.get("description") or "") and not is_test(webhook)
