"""A real SMTP server (aiosmtpd). It keeps the messages that it accepts, and refuses them by script."""

from collections import deque
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast
from urllib.parse import quote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

from tests.ports import unused_port


class _Handler:
    def __init__(self, mailbox: "Mailbox") -> None:
        self._mailbox = mailbox

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._mailbox.asked.append(address)
        if self._mailbox.busy.pop(address, 0):
            return f"450 4.2.0 <{address}>: greylisted, try again"
        if address in self._mailbox.unknown:
            return f"550 5.1.1 <{address}>: no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = cast("bytes", envelope.content)
        box = self._mailbox
        answer = box.answers.popleft() if box.answers else box.always or box.choose(content.decode("utf-8", "replace"))
        if not answer or answer == "drop after":
            message = cast("EmailMessage", message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
            self._mailbox.messages.append(message)
            self._mailbox.senders.append(envelope.mail_from or "")
            self._mailbox.recipients.append(list(envelope.rcpt_tos))
            self._mailbox.raw.append(content)
        if answer.startswith("drop"):
            server.transport.abort()
            return "421 gone"
        return answer or "250 OK"


class Mailbox:
    """Use it as a context manager."""

    def __init__(self, password: str = "", *, smtputf8: bool = True) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.raw: list[bytes] = []
        self.answers: deque[str] = deque()
        """Replies to the next messages: an SMTP line, ``drop`` the connection, or ``drop after`` accepting the message.
        An empty reply accepts it."""
        self.always = ""
        self.choose: Callable[[str], str] = lambda content: ""
        """The reply to a message by its content, if none is scripted."""
        self.unknown: set[str] = set()
        self.busy: dict[str, int] = {}
        """Recipients that are refused once, for now."""
        self.asked: list[str] = []
        """Every recipient of an envelope."""
        self.senders: list[str] = []
        self._password = password
        self.port = unused_port()
        self._controller = Controller(
            _Handler(self),
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._check,
            auth_required=bool(password),
            auth_require_tls=False,
            enable_SMTPUTF8=smtputf8,
        )

    @property
    def url(self) -> str:
        login = f"bot%40example.com:{quote(self._password, safe='')}@" if self._password else ""
        return f"smtp://{login}127.0.0.1:{self.port}"

    @property
    def distinct_messages(self) -> list[EmailMessage]:
        """The messages that a mail reader shows: a second one with the same Message-ID is the same message."""
        return list({str(one["Message-ID"]): one for one in self.messages}.values())

    def _check(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password.decode() == self._password, handled=False)

    def __enter__(self) -> "Mailbox":
        self._controller.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._controller.stop()
