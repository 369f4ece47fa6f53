"""Encryption at rest, of Temporal's histories and of the spool.

AES-256-GCM. The first key encrypts and every key decrypts, so a key can be rotated without a gap: data that was
encrypted with an old key stays readable as long as the setting names that key.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from alerts import TocsinError

SETTING = "TOCSIN_ENCRYPTION_KEY"
ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class EncryptionError(TocsinError):
    """A key is not valid, or no key decrypts the data. The text names the key by its id, and never shows it."""

    code = "encryption_failed"


class Keyring:
    """The keys by their ids. A key's id is the beginning of its hash: it identifies the key and does not reveal it."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.current = key_id(keys[0]) if keys else ""
        self.seed = hashlib.sha256(b"".join(keys[:1])).digest()
        """For deriving other secrets of the gateway."""

    @classmethod
    def read(cls, values: Iterable[str]) -> "Keyring":
        """From base64 of 32 bytes each, as ``openssl rand -base64 32`` prints them.

        Raises:
            EncryptionError: a key has another form; the text has its number.
        """
        keys: list[bytes] = []
        for number, value in enumerate(values, 1):
            try:
                key = base64.b64decode(value, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != _KEY_BYTES:
                raise EncryptionError(
                    f"{SETTING}: key {number} is not base64 of {_KEY_BYTES} bytes; "
                    "create one with `openssl rand -base64 32`"
                )
            keys.append(key)
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._ciphers)

    def seal(self, plain: bytes) -> bytes:
        """Nonce and ciphertext, with the current key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, plain, self.current.encode())

    def open(self, sealed: bytes, key: str) -> bytes:
        """Decrypt data that ``seal`` encrypted.

        Args:
            sealed: nonce and ciphertext.
            key: the id of the key.

        Raises:
            EncryptionError: the key is not among the keys, or the data was changed.
        """
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise EncryptionError(f"this was encrypted with the key {key!r}, which {SETTING} does not name")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], key.encode())
        except InvalidTag:
            raise EncryptionError(f"this was not encrypted with the key {key!r}, or was changed afterwards") from None


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits."""
    return hashlib.sha256(b"tocsin key id" + key).hexdigest()[:8]


class EncryptionCodec(PayloadCodec):
    """Encrypts each payload with its metadata. Payloads that are not encrypted are decoded unchanged."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={"encoding": ENCODING, KEY_ID: self._keys.current.encode()},
                data=self._keys.seal(payload.SerializeToString()),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises EncryptionError."""
        return [self._decoded(payload) for payload in payloads]

    def _decoded(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload  # written before encryption was turned on
        key = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
        return Payload.FromString(self._keys.open(payload.data, key))


def data_converter(keys: Keyring) -> DataConverter:
    """The converter of everything that is sent to Temporal: JSON by Pydantic, encrypted if there is a key.

    Failures are encrypted too: their messages and stack traces may quote an alert or a vendor's answer.
    """
    if not keys:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
