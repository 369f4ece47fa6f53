"""E-mail, through any SMTP server: digests, trend reports and single incidents.

Contract: RFC 5322 (the message), RFC 5321 (SMTP; the first digit of a reply says whether a retry can succeed), and the
documentation of aiosmtplib. ``Message-ID`` is derived from the idempotency key, so a repeat is the same message.
"""

import hashlib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
import structlog

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import TIMEOUT, Destination
from integrations.base.errors import IntegrationError, PermanentError, TemporaryError, unreachable
from integrations.email.config import EmailConfig
from integrations.email.content import EmailContent, digest_email, incident_email, note_email

MAX_SUBJECT = 200  # characters, our own limit
_REMEDY = "check the destination's smtp ({smtp}://user:password@host:port) and the server's log"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_log = structlog.get_logger()


class EmailDestination(Destination[EmailConfig]):
    """Sends digests and incidents. The e-mails of one incident are a thread."""

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        if notification.verb in {"notify", "remind"} or notification.original_receipt is None:
            return await self._send(notification.key, incident_email(notification))
        reply_to = notification.original_receipt.id
        return await self._send(notification.key, note_email(notification), reply_to=reply_to)

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        return await self._send(digest.key, digest_email(digest))

    async def _send(self, key: str, content: EmailContent, reply_to: str = "") -> Receipt:
        message = self._message(key, content, reply_to)
        server = self._server()
        host = server.hostname or "localhost"
        uses_tls = server.scheme == "smtps"
        try:
            refused, _ = await aiosmtplib.send(
                message,
                hostname=host,
                port=server.port or (465 if uses_tls else 587),
                username=unquote(server.username) if server.username else None,
                password=unquote(server.password) if server.password else None,
                use_tls=uses_tls,
                # A password is sent unencrypted to this machine only.
                start_tls=None if uses_tls or host in _LOCAL_HOSTS or not server.username else True,
                timeout=TIMEOUT,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _to_error(error) from None
        for address, reply in refused.items():
            # The other recipients have it: a retry would send it to them twice.
            _log.warning("recipient_refused", destination=self.name, recipient=address, code=reply.code)
        return self.receipt(key, message["Message-ID"])

    def _server(self) -> SplitResult:
        url = urlsplit(self.secrets["smtp"])
        if url.scheme not in {"smtp", "smtps"} or not url.hostname:
            raise PermanentError(
                "the destination's smtp must be smtp://user:password@host:port, or the same with smtps"
            )
        return url

    def _message(self, key: str, content: EmailContent, reply_to: str) -> EmailMessage:
        config = self.config
        domain = parseaddr(config.sender)[1].rpartition("@")[2]
        message = EmailMessage()
        message["From"] = config.sender
        message["To"] = ", ".join(config.to)
        message["Subject"] = content.subject[:MAX_SUBJECT]
        message["Date"] = format_datetime(content.at)
        message["Message-ID"] = f"<tocsin.{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"
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


def _to_error(error: Exception) -> IntegrationError:
    """RFC 5321, 4.2.1: 4yz is temporary, 5yz permanent. Without a reply, the server was not reached."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [reply.code for reply in error.recipients]
        replies = "; ".join(f"{reply.code} {reply.message}" for reply in error.recipients)[:300]
        if any(400 <= code < 500 for code in codes):
            return TemporaryError(f"the mail server accepts no recipient now: {replies}")
        return PermanentError(f"the mail server refuses every recipient: {replies}; check the destination's to")
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
