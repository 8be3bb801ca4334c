"""Requests of the Open Inference Protocol: from a body to the columns of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.protocols.open_inference.tensors import BYTES, Tensor, decode_elements
from app.web import ApiError
from model.records import ColumnValues, count_colons, duplicate_keys, parse_strict_json, printable

_StructT = TypeVar("_StructT")
_Parameters = dict[str, Any] | msgspec.UnsetType | None


class RequestedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: _Parameters = msgspec.UNSET


class InferRequest(msgspec.Struct, frozen=True):
    """The JSON of a request. What the protocol does not know is passed over, as it wants."""

    inputs: list[Tensor]
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    outputs: list[RequestedOutput] | msgspec.UnsetType | None = msgspec.UNSET
    parameters: _Parameters = msgspec.UNSET


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(body: bytes, header: str, n_columns: int) -> tuple[InferRequest, bytes]:
    """A request, and the bytes that follow its JSON.

    Args:
        header: ``Inference-Header-Content-Length``, how long the JSON is; "" where it is all.
            Where it is 0 there is no JSON, and the body is one FP32 matrix.

    Raises:
        ApiError, UnreadableBody: it is no such request.
    """
    if not header:
        return _parse(body), b""
    if not (
        header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= len(body)
    ):
        raise ApiError(
            "bad_request",
            "Inference-Header-Content-Length must be the length of the JSON in bytes",
        )
    if n_bytes := int(header):
        return _parse(body[:n_bytes]), body[n_bytes:]
    n_rows, rest = divmod(len(body), 4 * n_columns)
    if rest:
        raise ApiError(
            "invalid_tensor",
            f"without JSON the body must be FP32, {n_columns} numbers a record",
        )
    size = {"binary_data_size": len(body)}
    matrix = Tensor("the body", [n_rows, n_columns], "FP32", parameters=size)
    return InferRequest([matrix], parameters={"binary_data_output": True}), body


def to_columns(
    request: InferRequest, binary: bytes, names: Sequence[str]
) -> Mapping[str, ColumnValues]:
    """The columns of the records, each of the same length.

    Either one tensor a column, shape [n] or [n, 1]; or one tensor of any other name for all, shape
    [n, n_columns], with the columns in the schema's order.

    Args:
        names: the columns of the schema, in its order.

    Raises:
        ApiError: the tensors contradict themselves or each other.
    """
    tensors = request.inputs
    if not tensors:
        raise ApiError("invalid_tensor", "inputs must hold at least one tensor")
    buffers = _split_buffers(tensors, binary)
    if len(tensors) == 1 and tensors[0].name not in names:
        return _matrix_columns(tensors[0], buffers[0], names)
    first = tensors[0]
    columns: dict[str, ColumnValues] = {}
    for tensor, buffer in zip(tensors, buffers, strict=True):
        if tensor.name in columns:
            tensor.reject("there is more than one of that name")
        if tensor.shape[1:] not in ([], [1]):
            tensor.reject(
                f"its shape must be [N] or [N, 1]; a single input may be [N, {len(names)}]"
            )
        columns[tensor.name] = decode_elements(tensor, buffer)
        if tensor.shape[0] != first.shape[0]:
            tensor.reject(f"it has {tensor.shape[0]} rows, and the first input {first.shape[0]}")
    return columns


def requested_outputs(request: InferRequest, names: Sequence[str]) -> list[tuple[str, bool]]:
    """The outputs that are asked for, by name, and whether each is to be bytes.

    Where none is named all are meant, as the protocol has it; but only the first one for a client
    that says by ``"content_type": "np"`` that it reads the answer into one array.

    Raises:
        ApiError: there is no such output, or not in the form that is asked for.
    """
    parameters = request.parameters or {}
    binary = _parse_flag(parameters.get("binary_data_output", False), "binary_data_output")
    if not request.outputs:
        one = parameters.get("content_type") == "np"
        return [(name, binary) for name in (names[:1] if one else names)]
    wanted: dict[str, bool] = {}
    for output in request.outputs:
        told = output.parameters or {}
        if output.name not in names:
            known = " and ".join(names)
            why = f"there is no output {printable(output.name)}; there are {known}"
            raise ApiError("invalid_tensor", why)
        if output.name in wanted:
            raise ApiError("invalid_tensor", f"output {output.name} is asked for more than once")
        for other in ("classification", "shared_memory_region"):
            if told.get(other):
                raise ApiError("invalid_tensor", f"output {output.name}: {other} is not offered")
        wanted[output.name] = _parse_flag(told.get("binary_data", binary), "binary_data")
    return list(wanted.items())


def _matrix_columns(
    tensor: Tensor, buffer: bytes | None, names: Sequence[str]
) -> Mapping[str, ColumnValues]:
    if tensor.datatype == BYTES:
        tensor.reject("a matrix must be of numbers; words need one tensor a column")
    if tensor.shape[1:] != [len(names)]:
        tensor.reject(
            f"its shape must be [N, {len(names)}], a row for each record and its columns in the "
            "schema's order; or send one tensor a column, each under the column's name"
        )
    elements = decode_elements(tensor, buffer)
    return {name: elements[index :: len(names)] for index, name in enumerate(names)}


def _split_buffers(tensors: Sequence[Tensor], binary: bytes) -> list[bytes | None]:
    """For each tensor its bytes, which follow one another in the order of the tensors."""
    buffers: list[bytes | None] = []
    at = 0
    for tensor in tensors:
        if tensor.parameter("shared_memory_region") is not None:
            tensor.reject("shared memory is not offered")
        size = tensor.parameter("binary_data_size")
        if size is None:
            buffers.append(None)
            continue
        if type(size) is not int or size < 0:
            tensor.reject("its binary_data_size must be a number of bytes")
        buffers.append(binary[at : at + size])
        at += size
    if at != len(binary):
        raise ApiError(
            "invalid_tensor",
            f"{len(binary)} bytes follow the JSON, and the inputs' binary_data_size say {_format_size(at)}"
            "; Inference-Header-Content-Length says where the JSON ends",
        )
    return buffers


def _format_size(number: int) -> str:
    """A number that a client made up, which may have more digits than Python writes."""
    return str(number) if number < 10**18 else "more"


def _parse_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ApiError("invalid_tensor", f"{name} must be true or false")
    return value


def _parse(body: bytes) -> InferRequest:
    """The JSON of a request; what is off, and bare NaN, goes through the patient parser."""
    try:
        request = _decode(body)
        if _count_keys(request) == count_colons(body):
            return _check_id(request)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    content = parse_strict_json(body)
    _reject_repeated_keys(content)
    return _check_id(convert(InferRequest, content))


def convert(kind: type[_StructT], content: Any) -> _StructT:
    """Parsed JSON as a struct of the protocol.

    Raises:
        ApiError: it is none, by the first place where it is not; no message holds a value.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ApiError("bad_request", f"not a request of this protocol: {error}") from None
    except UnicodeEncodeError:
        raise ApiError("bad_request", "a name in it is not valid Unicode") from None


def _check_id(request: InferRequest) -> InferRequest:
    """The request, where what is sent back of it can be."""
    try:
        (request.id or "").encode()
    except UnicodeEncodeError:
        raise ApiError("bad_request", "id is not valid Unicode") from None
    return request


def _count_keys(part: msgspec.Struct) -> int:
    """The keys that a part of a request was decoded from; parameters are taken to be flat."""
    given = [value for value in msgspec.structs.astuple(part) if value is not msgspec.UNSET]
    n_keys = len(given)
    for value in given:
        if isinstance(value, dict):
            n_keys += len(value)
        elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            n_keys += sum(map(_count_keys, value))
    return n_keys


def _reject_repeated_keys(content: Any) -> None:
    """Refuse a key that stands twice, of which other decoders take the last without a word."""
    if isinstance(content, dict):
        for name in duplicate_keys(content):
            raise ApiError("bad_request", f"{printable(name)} is given more than once")
        for value in content.values():
            _reject_repeated_keys(value)
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, dict):
                _reject_repeated_keys(value)
