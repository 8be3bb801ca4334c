"""Requests of the Open Inference Protocol: from a body to the columns of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.protocols.open_inference.tensors import BYTES, Tensor, elements_of
from app.web import Refused
from model.records import ColumnValues, count_colons, duplicate_keys, parse_strict_json, printable

_Kind = TypeVar("_Kind")
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
        Refused, UnreadableBody: it is no such request.
    """
    if not header:
        return _parse(body), b""
    if not (
        header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= len(body)
    ):
        raise Refused(
            "bad_request",
            "Inference-Header-Content-Length must be the length of the JSON in bytes",
        )
    if n_bytes := int(header):
        return _parse(body[:n_bytes]), body[n_bytes:]
    n_rows, rest = divmod(len(body), 4 * n_columns)
    if rest:
        raise Refused(
            "invalid_tensor",
            f"without JSON the body must be FP32, {n_columns} numbers a record",
        )
    size = {"binary_data_size": len(body)}
    matrix = Tensor("the body", [n_rows, n_columns], "FP32", parameters=size)
    return InferRequest([matrix], parameters={"binary_data_output": True}), body


def columns_of(request: InferRequest, binary: bytes, names: Sequence[str]) -> Mapping[str, ColumnValues]:
    """The columns of the records, each of the same length.

    Either one tensor a column, shape [n] or [n, 1]; or one tensor of any other name for all, shape
    [n, n_columns], with the columns in the schema's order.

    Args:
        names: the columns of the schema, in its order.

    Raises:
        Refused: the tensors contradict themselves or each other.
    """
    tensors = request.inputs
    if not tensors:
        raise Refused("invalid_tensor", "inputs must hold at least one tensor")
    buffers = _buffers(tensors, binary)
    if len(tensors) == 1 and tensors[0].name not in names:
        return _columns_of_matrix(tensors[0], buffers[0], names)
    first = tensors[0]
    columns: dict[str, ColumnValues] = {}
    for tensor, buffer in zip(tensors, buffers, strict=True):
        if tensor.name in columns:
            tensor.refuse("there is more than one of that name")
        if tensor.shape[1:] not in ([], [1]):
            tensor.refuse(
                f"its shape must be [N] or [N, 1]; a single input may be [N, {len(names)}]"
            )
        columns[tensor.name] = elements_of(tensor, buffer)
        if tensor.shape[0] != first.shape[0]:
            tensor.refuse(f"it has {tensor.shape[0]} rows, and the first input {first.shape[0]}")
    return columns


def wanted_outputs(request: InferRequest, names: Sequence[str]) -> list[tuple[str, bool]]:
    """The outputs that are asked for, by name, and whether each is to be bytes.

    Where none is named all are meant, as the protocol has it; but only the first one for a client
    that says by ``"content_type": "np"`` that it reads the answer into one array.

    Raises:
        Refused: there is no such output, or not in the form that is asked for.
    """
    parameters = request.parameters or {}
    binary = _flag(parameters.get("binary_data_output", False), "binary_data_output")
    if not request.outputs:
        one = parameters.get("content_type") == "np"
        return [(name, binary) for name in (names[:1] if one else names)]
    wanted: dict[str, bool] = {}
    for output in request.outputs:
        told = output.parameters or {}
        if output.name not in names:
            known = " and ".join(names)
            why = f"there is no output {printable(output.name)}; there are {known}"
            raise Refused("invalid_tensor", why)
        if output.name in wanted:
            raise Refused("invalid_tensor", f"output {output.name} is asked for more than once")
        for other in ("classification", "shared_memory_region"):
            if told.get(other):
                raise Refused("invalid_tensor", f"output {output.name}: {other} is not offered")
        wanted[output.name] = _flag(told.get("binary_data", binary), "binary_data")
    return list(wanted.items())


def _columns_of_matrix(
    tensor: Tensor, buffer: bytes | None, names: Sequence[str]
) -> Mapping[str, ColumnValues]:
    if tensor.datatype == BYTES:
        tensor.refuse("a matrix must be of numbers; words need one tensor a column")
    if tensor.shape[1:] != [len(names)]:
        tensor.refuse(
            f"its shape must be [N, {len(names)}], a row for each record and its columns in the "
            "schema's order; or send one tensor a column, each under the column's name"
        )
    elements = elements_of(tensor, buffer)
    return {name: elements[index :: len(names)] for index, name in enumerate(names)}


def _buffers(tensors: Sequence[Tensor], binary: bytes) -> list[bytes | None]:
    """For each tensor its bytes, which follow one another in the order of the tensors."""
    buffers: list[bytes | None] = []
    at = 0
    for tensor in tensors:
        if tensor.parameter("shared_memory_region") is not None:
            tensor.refuse("shared memory is not offered")
        size = tensor.parameter("binary_data_size")
        if size is None:
            buffers.append(None)
            continue
        if type(size) is not int or size < 0:
            tensor.refuse("its binary_data_size must be a number of bytes")
        buffers.append(binary[at : at + size])
        at += size
    if at != len(binary):
        raise Refused(
            "invalid_tensor",
            f"{len(binary)} bytes follow the JSON, and the inputs' binary_data_size say {_shown(at)}"
            "; Inference-Header-Content-Length says where the JSON ends",
        )
    return buffers


def _shown(number: int) -> str:
    """A number that a client made up, which may have more digits than Python writes."""
    return str(number) if number < 10**18 else "more"


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Refused("invalid_tensor", f"{name} must be true or false")
    return value


def _parse(body: bytes) -> InferRequest:
    """The JSON of a request; what is off, and bare NaN, goes through the patient parser."""
    try:
        request = _decode(body)
        if _n_keys(request) == count_colons(body):
            return _checked(request)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    content = parse_strict_json(body)
    _refuse_repeated(content)
    return _checked(as_this(InferRequest, content))


def as_this(kind: type[_Kind], content: Any) -> _Kind:
    """Parsed JSON as a struct of the protocol.

    Raises:
        Refused: it is none, by the first place where it is not; no message holds a value.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise Refused("bad_request", f"not a request of this protocol: {error}") from None
    except UnicodeEncodeError:
        raise Refused("bad_request", "a name in it is not valid Unicode") from None


def _checked(request: InferRequest) -> InferRequest:
    """The request, where what is sent back of it can be."""
    try:
        (request.id or "").encode()
    except UnicodeEncodeError:
        raise Refused("bad_request", "id is not valid Unicode") from None
    return request


def _n_keys(part: msgspec.Struct) -> int:
    """The keys that a part of a request was decoded from; parameters are taken to be flat."""
    given = [value for value in msgspec.structs.astuple(part) if value is not msgspec.UNSET]
    n_keys = len(given)
    for value in given:
        if isinstance(value, dict):
            n_keys += len(value)
        elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            n_keys += sum(map(_n_keys, value))
    return n_keys


def _refuse_repeated(content: Any) -> None:
    """Refuse a key that stands twice, of which other decoders take the last without a word."""
    if isinstance(content, dict):
        for name in duplicate_keys(content):
            raise Refused("bad_request", f"{printable(name)} is given more than once")
        for value in content.values():
            _refuse_repeated(value)
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, dict):
                _refuse_repeated(value)
