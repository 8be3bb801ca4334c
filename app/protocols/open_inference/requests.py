"""Parsing of Open Inference requests: from a body to the columns of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.protocols.open_inference.tensors import BYTES, Tensor, decode_elements
from app.web import ApiError
from model.records import (
    DUPLICATE_KEY_MESSAGE,
    ColumnValues,
    count_colons,
    duplicate_keys,
    parse_strict_json,
    printable,
)

_StructT = TypeVar("_StructT")
_Parameters = dict[str, Any] | msgspec.UnsetType | None


class RequestedOutput(msgspec.Struct, frozen=True):
    """An output that a request selects."""

    name: str
    parameters: _Parameters = msgspec.UNSET


class InferRequest(msgspec.Struct, frozen=True):
    """The JSON part of a request. Unknown keys are ignored, as the protocol requires."""

    inputs: list[Tensor]
    id: str | msgspec.UnsetType | None = msgspec.UNSET
    outputs: list[RequestedOutput] | msgspec.UnsetType | None = msgspec.UNSET
    parameters: _Parameters = msgspec.UNSET


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(body: bytes, header: str, n_columns: int) -> tuple[InferRequest, bytes]:
    """Parse the body of an inference request.

    Args:
        header: the value of ``Inference-Header-Content-Length``, the length of the JSON in bytes.
            If it is "", the whole body is JSON. If it is 0, there is no JSON, and the body is one
            FP32 matrix.
        n_columns: the number of columns of such a matrix.

    Returns:
        The request, and the bytes that follow its JSON.

    Raises:
        ApiError, UnreadableBody: the body is not a request of the protocol.
    """
    if not header:
        return _parse(body), b""
    if not (
        header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= len(body)
    ):
        raise ApiError(
            "bad_request",
            "Inference-Header-Content-Length must be the length of the JSON in bytes, and at most "
            "the length of the body",
        )
    if n_bytes := int(header):
        return _parse(body[:n_bytes]), body[n_bytes:]
    n_rows, n_left = divmod(len(body), 4 * n_columns)
    if n_left:
        raise ApiError(
            "invalid_tensor",
            f"a body without JSON must be an FP32 matrix with {n_columns} numbers per record",
        )
    size = {"binary_data_size": len(body)}
    matrix = Tensor("the body", [n_rows, n_columns], "FP32", parameters=size)
    return InferRequest([matrix], parameters={"binary_data_output": True}), body


def to_columns(
    request: InferRequest, binary: bytes, names: Sequence[str]
) -> Mapping[str, ColumnValues]:
    """Return the columns of the records, each of the same length.

    A request holds one tensor per column, of shape [n] or [n, 1]. Or it holds a single tensor whose
    name is not that of a column, of shape [n, n_columns], with the columns in schema order.

    Args:
        binary: the bytes that follow the JSON.
        names: the columns of the schema, in its order.

    Raises:
        ApiError: a tensor is inconsistent in itself or with the other tensors.
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
            tensor.reject("more than one input has this name")
        if tensor.shape[1:] not in ([], [1]):
            tensor.reject(
                f"its shape must be [N] or [N, 1], or [N, {len(names)}] for a single input whose "
                "name is not that of a column"
            )
        columns[tensor.name] = decode_elements(tensor, buffer)
        if tensor.shape[0] != first.shape[0]:
            tensor.reject(
                f"it has {tensor.shape[0]} rows, but the first input has {first.shape[0]}"
            )
    return columns


def requested_outputs(request: InferRequest, names: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the name of each requested output, and whether it is requested in binary form.

    A request that selects no outputs gets all of them, as the protocol requires. With
    ``"content_type": "np"`` it gets only the first one, because such a client decodes the response
    into one array.

    Args:
        names: the outputs of the model.

    Raises:
        ApiError: an output does not exist, is selected twice or is not available in that form.
    """
    parameters = request.parameters or {}
    binary = _parse_flag(parameters.get("binary_data_output", False), "binary_data_output")
    if not request.outputs:
        single_output = parameters.get("content_type") == "np"
        return [(name, binary) for name in (names[:1] if single_output else names)]
    binary_by_name: dict[str, bool] = {}
    for output in request.outputs:
        output_parameters = output.parameters or {}
        if output.name not in names:
            outputs = " and ".join(names)
            message = f"unknown output {printable(output.name)}; the outputs are {outputs}"
            raise ApiError("invalid_tensor", message)
        if output.name in binary_by_name:
            raise ApiError("invalid_tensor", f"output {output.name} is requested more than once")
        for option in ("classification", "shared_memory_region"):
            if output_parameters.get(option):
                message = f"output {output.name}: {option} is not supported"
                raise ApiError("invalid_tensor", message)
        binary_by_name[output.name] = _parse_flag(
            output_parameters.get("binary_data", binary), "binary_data"
        )
    return list(binary_by_name.items())


def _matrix_columns(
    tensor: Tensor, buffer: bytes | None, names: Sequence[str]
) -> Mapping[str, ColumnValues]:
    if tensor.datatype == BYTES:
        tensor.reject("a matrix must be numeric; send one tensor per column for text")
    if tensor.shape[1:] != [len(names)]:
        tensor.reject(
            f"its shape must be [N, {len(names)}], with one row per record and the columns in "
            "schema order; or send one tensor per column, named after the column"
        )
    elements = decode_elements(tensor, buffer)
    return {name: elements[index :: len(names)] for index, name in enumerate(names)}


def _split_buffers(tensors: Sequence[Tensor], binary: bytes) -> list[bytes | None]:
    """Return the binary data of each tensor, None if it has none.

    The data follow the JSON in the order of the tensors.
    """
    buffers: list[bytes | None] = []
    position = 0
    for tensor in tensors:
        if tensor.parameter("shared_memory_region") is not None:
            tensor.reject("shared memory is not supported")
        size = tensor.parameter("binary_data_size")
        if size is None:
            buffers.append(None)
            continue
        if type(size) is not int or size < 0:
            tensor.reject("its binary_data_size must be a number of bytes, 0 or more")
        buffers.append(binary[position : position + size])
        position += size
    if position != len(binary):
        raise ApiError(
            "invalid_tensor",
            f"{len(binary)} bytes follow the JSON, but the binary_data_size values of the inputs "
            f"add up to {_format_size(position)}; check them and Inference-Header-Content-Length",
        )
    return buffers


def _format_size(number: int) -> str:
    """Return a client's number as text; "more" from 10**18.

    Python raises ValueError for an integer of more than 4300 digits.
    """
    return str(number) if number < 10**18 else "more"


def _parse_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ApiError("invalid_tensor", f"{name} must be true or false")
    return value


def _parse(body: bytes) -> InferRequest:
    """Parse the JSON of a request.

    The fast decoder rejects NaN and does not notice duplicate keys. If it fails, or if the number
    of keys differs from the number of colons, the strict parser reads the body instead.
    """
    try:
        request = _decode(body)
        if _count_keys(request) == count_colons(body):
            return _check_id(request)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    content = parse_strict_json(body)
    _check_duplicate_keys(content)
    return _check_id(convert(InferRequest, content))


def convert(kind: type[_StructT], content: Any) -> _StructT:
    """Convert parsed JSON to a struct of the protocol.

    Raises:
        ApiError: the JSON does not match the struct. The message names the first location that
            does not match, and never a value.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ApiError(
            "bad_request", f"the body is not a request of this protocol: {error}"
        ) from None
    except UnicodeEncodeError:
        raise ApiError("bad_request", "a name in the body is not valid Unicode") from None


def _check_id(request: InferRequest) -> InferRequest:
    """Return the request if its id, which the response repeats, can be encoded."""
    try:
        (request.id or "").encode()
    except UnicodeEncodeError:
        raise ApiError("bad_request", "id is not valid Unicode") from None
    return request


def _count_keys(part: msgspec.Struct) -> int:
    """Return the number of JSON keys of a part of a request, without those nested in parameters."""
    values = [value for value in msgspec.structs.astuple(part) if value is not msgspec.UNSET]
    n_keys = len(values)
    for value in values:
        if isinstance(value, dict):
            n_keys += len(value)
        elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            n_keys += sum(map(_count_keys, value))
    return n_keys


def _check_duplicate_keys(content: Any) -> None:
    """Reject duplicate keys, of which other decoders silently take the last."""
    if isinstance(content, dict):
        for name in duplicate_keys(content):
            raise ApiError("bad_request", f"{printable(name)} {DUPLICATE_KEY_MESSAGE}")
        for value in content.values():
            _check_duplicate_keys(value)
    elif isinstance(content, list):
        for value in content:
            if isinstance(value, dict):
                _check_duplicate_keys(value)
