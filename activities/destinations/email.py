"""E-mail, through any SMTP server: digests and trend reports above all, and single incidents too.

Contract: RFC 5322 (the message), RFC 5321 (SMTP; the first digit of an answer says whether trying again can help), and
aiosmtplib's own documentation. A message's ``Message-ID`` is made from its key, so a repeated one is the same message.
"""

import hashlib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Annotated, Any, ClassVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
import structlog
from pydantic import ConfigDict, Field
from temporalio.exceptions import ApplicationError

from activities.contracts import Delivery, DigestIssue, Receipt
from activities.destinations.base import TIMEOUT, Destination, Secrets
from activities.destinations.email_letters import Letter, digest_letter, incident_letter, note_letter
from activities.failures import permanent, temporary
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

MAX_SUBJECT = 200  # characters, ours
_ADDRESS = r'^([^<>@\r\n"]{1,100}<[^@\s<>",;]{1,64}@[^@\s<>",;]{1,190}>|[^@\s<>",;]{1,64}@[^@\s<>",;]{1,190})$'
_REMEDY = "check the destination's smtp ({smtp}://user:password@host:port) and the server's log"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_log = structlog.get_logger()

Address = Annotated[str, Field(pattern=_ADDRESS)]


class EmailConfig(DestinationConfig):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    kind: ClassVar[Kind] = "post"

    smtp: SecretSetting = Field(
        description="The server: smtp://user:password@host:587 (STARTTLS), or smtps://…:465 (TLS from the start)."
    )
    sender: Address = Field(alias="from", description="Whom it is from: an address, or Name <address>.")
    to: tuple[Address, ...] = Field(min_length=1, max_length=50, description="Who gets it.")

    def where(self) -> str:
        return ", ".join(self.to)


class EmailDestination(Destination):
    type_name = "email"
    config = EmailConfig

    def __init__(self, name: str, config: EmailConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._config = config

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        if delivery.verb in {"notify", "remind"} or delivery.first is None:
            return await self._send(delivery.key, incident_letter(delivery))
        return await self._send(delivery.key, note_letter(delivery), answers=delivery.first.id)

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        return await self._send(issue.key, digest_letter(issue))

    async def _send(self, key: str, letter: Letter, answers: str = "") -> Receipt:
        message = self._message(key, letter, answers)
        server = self._server()
        host = server.hostname or "localhost"
        secured = server.scheme == "smtps"
        try:
            refused, _ = await aiosmtplib.send(
                message,
                hostname=host,
                port=server.port or (465 if secured else 587),
                username=unquote(server.username) if server.username else None,
                password=unquote(server.password) if server.password else None,
                use_tls=secured,
                # A password goes nowhere unencrypted, but to this machine itself.
                start_tls=None if secured or host in _LOCAL or not server.username else True,
                timeout=TIMEOUT,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _sorted(error) from None
        for address, answer in refused.items():
            # The others have it: sending it once more would give it to them twice.
            _log.warning("a recipient was refused", destination=self.name, recipient=address, code=answer.code)
        return self.receipt(key, message["Message-ID"])

    def _server(self) -> SplitResult:
        address = urlsplit(self.secrets["smtp"])
        if address.scheme not in {"smtp", "smtps"} or not address.hostname:
            raise permanent("the destination's smtp is no smtp://user:password@host:port, nor smtps://")
        return address

    def _message(self, key: str, letter: Letter, answers: str) -> EmailMessage:
        config = self._config
        domain = parseaddr(config.sender)[1].rpartition("@")[2]
        message = EmailMessage()
        message["From"] = config.sender
        message["To"] = ", ".join(config.to)
        message["Subject"] = letter.subject[:MAX_SUBJECT]
        message["Date"] = format_datetime(letter.at)
        message["Message-ID"] = f"<tocsin.{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"
        if answers:
            message["In-Reply-To"] = message["References"] = answers
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        if letter.incident:
            message["X-Tocsin-Incident"] = letter.incident
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        html = cast("Any", message.get_payload())[1]
        for name, picture in letter.pictures.items():
            html.add_related(picture, "image", "png", cid=f"<{name}>", disposition="inline", filename=f"{name}.png")
        return message


def _sorted(error: Exception) -> ApplicationError:
    """RFC 5321, 4.2.1: 4yz may pass, 5yz stays. Without an answer the server was not reached, or went away."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [one.code for one in error.recipients]
        told = "; ".join(f"{one.code} {one.message}" for one in error.recipients)[:300]
        if any(400 <= code < 500 for code in codes):
            return temporary(f"the mail server takes no recipient now: {told}")
        return permanent(f"the mail server refuses every recipient: {told}; check the destination's to")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        told = f"the mail server answered {error.code}: {error.message[:300]}"
        if 400 <= error.code < 500 or error.code < 200:
            return temporary(told)
        return permanent(f"{told}; {_REMEDY.format(smtp='smtp')}")
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return permanent(f"the mail server offers no TLS or no login: {_REMEDY.format(smtp='smtps')}")
    if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
        return permanent(f"the mail server's certificate is not to be trusted; {_REMEDY.format(smtp='smtp')}")
    return temporary(f"the mail server could not be reached: {type(error).__name__}")
