"""E-mail, through any SMTP server: digests, trend reports and single incidents.

Contract: RFC 5322 (the message), RFC 5321 (SMTP; the first digit of a reply says whether a retry can succeed), and the
documentation of aiosmtplib. ``Message-ID`` is derived from the idempotency key, so a repeat is the same message.
"""

import asyncio
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, cast

import aiosmtplib

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, Destination, Secrets
from integrations.base.errors import (
    IntegrationError,
    PartialDeliveryError,
    PermanentError,
    TemporaryError,
    unreachable,
)
from integrations.base.text import truncate
from integrations.email.addresses import Mailbox, read_mailbox
from integrations.email.config import EmailConfig
from integrations.email.content import EmailContent, digest_email, incident_email, note_email
from integrations.email.limits import MAX_SUBJECT
from integrations.email.server import read_server

REMEMBERED = 1_000
"""Messages whose recipients are remembered, so that a retry reaches those who do not have it."""
_REMEDY = "check the destination's smtp ({smtp}://user:password@host:port) and the server's log"
_NO_UTF8 = "the mail server does not take addresses with letters outside ASCII (SMTPUTF8)"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class EmailDestination(Destination[EmailConfig]):
    """Sends digests and incidents. The e-mails of one incident are a thread."""

    def __init__(self, name: str, config: EmailConfig, secrets: Secrets) -> None:
        self._server = read_server(secrets["smtp"])
        # Errors must not repeat the password either, which the server knows without the rest of its address.
        super().__init__(
            name, config, {**secrets, **({"password": self._server.password} if self._server.password else {})}
        )
        self._sender = read_mailbox(config.sender)
        self._recipients = tuple(dict.fromkeys(read_mailbox(text) for text in config.to))
        self._reached: OrderedDict[str, set[str]] = OrderedDict()
        """The addresses that the server accepted, by the key of the message that others have not got yet."""

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        if notification.verb in {"notify", "remind"} or notification.original_receipt is None:
            return await self._send(notification.key, incident_email(notification))
        reply_to = notification.original_receipt.id
        return await self._send(notification.key, note_email(notification), reply_to=reply_to)

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        return await self._send(digest.key, await asyncio.to_thread(digest_email, digest))

    async def _send(self, key: str, content: EmailContent, reply_to: str = "") -> Receipt:
        server = self._server
        # A password is sent unencrypted to this machine only.
        start_tls = None if server.tls or server.host in _LOCAL_HOSTS or not server.user else True
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=start_tls,
            timeout=TIMEOUT,
        )
        try:
            async with client:
                return await self._transmit(client, key, content, reply_to)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _to_error(error) from None

    async def _transmit(self, client: aiosmtplib.SMTP, key: str, content: EmailContent, reply_to: str) -> Receipt:
        """Send to everybody who does not have it yet.

        Raises:
            PartialDeliveryError: the server refuses some recipients for good, and the others have it.
            IntegrationError: nobody has it, or a retry may reach those who lack it.
        """
        takes_utf8 = client.supports_extension("smtputf8")
        if not (takes_utf8 or self._sender.local.isascii()):
            raise PermanentError(f"{_NO_UTF8}: write a from without such letters before the @")
        addressable = [one for one in self._recipients if takes_utf8 or one.local.isascii()]
        refused = {one.address: (550, _NO_UTF8) for one in self._recipients if one not in addressable}
        reached = self._reached.get(key, set[str]())
        open_recipients = [one.address for one in addressable if one.address not in reached]
        message = self._message(key, content, reply_to, addressable)
        if open_recipients:
            try:
                replies, _ = await client.send_message(message, sender=self._sender.address, recipients=open_recipients)
                refused |= {address: (reply.code, reply.message) for address, reply in replies.items()}
            except aiosmtplib.SMTPRecipientsRefused as error:
                refused |= {reply.recipient: (reply.code, reply.message) for reply in error.recipients}
        reached = {*reached, *(address for address in open_recipients if address not in refused)}
        receipt = self.receipt(key, message["Message-ID"])
        if not refused:
            self._reached.pop(key, None)
            return receipt
        self._reached[key] = reached
        while len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)
        raise _refusal(refused, receipt if reached else None)

    def _message(self, key: str, content: EmailContent, reply_to: str, recipients: Sequence[Mailbox]) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender.header
        message["To"] = tuple(one.header for one in recipients)
        message["Subject"] = truncate(content.subject, MAX_SUBJECT)
        message["Date"] = format_datetime(content.at)
        message["Message-ID"] = f"<tocsin.{hashlib.sha256(key.encode()).hexdigest()[:40]}@{self._sender.domain}>"
        if reply_to:
            message["In-Reply-To"] = message["References"] = reply_to
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
        if content.incident:
            message["X-Tocsin-Incident"] = content.incident
        message.set_content(content.text)
        message.add_alternative(content.html, subtype="html")
        html = cast("Any", message.get_payload())[1]
        for name, image in content.images.items():
            html.add_related(image, "image", "png", cid=f"<{name}>", disposition="inline", filename=f"{name}.png")
        return message


def _refusal(refused: Mapping[str, tuple[int, str]], receipt: Receipt | None) -> IntegrationError:
    """The error for recipients that the server refused. With a receipt, all others have the message."""
    texts = "; ".join(f"{address}: {code} {text}" for address, (code, text) in refused.items())[:500]
    is_temporary = any(400 <= code < 500 for code, _ in refused.values())
    if receipt is None:
        if is_temporary:
            return TemporaryError(f"the mail server accepts no recipient now: {texts}")
        return PermanentError(f"the mail server refuses every recipient: {texts}; check the destination's to")
    if is_temporary:
        return TemporaryError(f"the mail server does not accept every recipient now: {texts}")
    text = f"the mail server refuses some recipients, and the others have the e-mail: {texts}"
    return PartialDeliveryError.of(f"{text}; check the destination's to", receipt)


def _to_error(error: Exception) -> IntegrationError:
    """RFC 5321, 4.2.1: 4yz is temporary, 5yz permanent. Without a reply, the server was not reached."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        text = f"the mail server answered {error.code}: {error.message[:300]}"
        if 400 <= error.code < 500 or error.code < 200:
            return TemporaryError(text)
        return PermanentError(f"{text}; {_REMEDY.format(smtp='smtp')}")
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return PermanentError(f"the mail server offers no TLS or no login: {_REMEDY.format(smtp='smtps')}")
    if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
        return PermanentError(f"the mail server's certificate is not trusted; {_REMEDY.format(smtp='smtp')}")
    return unreachable("the mail server", error)
