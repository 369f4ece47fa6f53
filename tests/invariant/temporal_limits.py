"""The limits of sizes that Temporal's server keeps, as ``temporal`` keeps them without one.

Source: docs.temporal.io/cloud/limits, and ``limit.blobSize.error`` and ``limit.saSizeOfValueLimit`` of the server's
dynamic configuration.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

from temporalio.api.common.v1 import Payload
from temporalio.common import SearchAttributePair
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadConverter
from temporalio.service import RPCError, RPCStatusCode

BLOB_BYTES = 2 * 1024 * 1024
MESSAGE_BYTES = 4 * 1024 * 1024
SEARCH_ATTRIBUTE_BYTES = 2048
MEMO_BYTES = 40 * 1024
CONVERTER: PayloadConverter = pydantic_data_converter.payload_converter


def refuse(message: str, status: RPCStatusCode = RPCStatusCode.INVALID_ARGUMENT) -> NoReturn:
    raise RPCError(message, status, b"")


def check_message(payloads: Sequence[Payload]) -> None:
    """Raises RPCError for an input that the server, or gRPC, refuses."""
    if (size := sum(one.ByteSize() for one in payloads)) > MESSAGE_BYTES:
        refuse(f"grpc: received message larger than max ({size} vs. {MESSAGE_BYTES})", RPCStatusCode.RESOURCE_EXHAUSTED)
    if size > BLOB_BYTES:
        refuse("Blob data size exceeds limit.")


def check_attributes(pairs: Sequence[SearchAttributePair[Any]]) -> None:
    """Raises RPCError for a value that the server refuses. It counts a text as JSON in ASCII."""
    for pair in pairs:
        size = (
            CONVERTER.to_payload(pair.value).ByteSize() if not isinstance(pair.value, str) else _json_size(pair.value)
        )
        if size > SEARCH_ATTRIBUTE_BYTES:
            refuse(f"search attribute {pair.key.name} value size {size} exceeds size limit {SEARCH_ATTRIBUTE_BYTES}")


def _json_size(text: str) -> int:
    return len(PayloadConverter.default.to_payload(text).data)
