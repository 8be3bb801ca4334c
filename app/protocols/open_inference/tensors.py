"""Decoding and encoding of tensors of the Open Inference Protocol, in JSON and in binary form.

Numbers become an ndarray with NaN for missing, strings a list with None for missing. This module
checks that the data of a tensor match its shape, datatype and size. The validation of records
checks the values.

Sources: the Open Inference Protocol (REST), and Triton's extension for binary tensor data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np

from app.web import ApiError
from model.records import ColumnValues, printable

NUMBERS = {
    "BOOL": np.dtype("?"),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
"""The binary form of each numeric datatype: little-endian, without padding."""
BF16, BYTES = "BF16", "BYTES"
DATATYPES = (*NUMBERS, BF16, BYTES)


class Tensor(msgspec.Struct, frozen=True):
    """An input in the JSON of a request. Its data may be binary and follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: Any | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET

    def parameter(self, name: str) -> Any:
        """Return a parameter; None if it is absent."""
        return (self.parameters or {}).get(name)

    def reject(self, reason: str) -> NoReturn:
        """Reject the request because of this tensor."""
        raise ApiError("invalid_tensor", f"input {printable(self.name)}: {reason}")


class Output(NamedTuple):
    """An output of n records, shape [n, 1].

    Attributes:
        values: float32 (n,) for FP32, n strings for BYTES.
    """

    name: str
    datatype: str
    values: np.ndarray | Sequence[str]


def decode_elements(tensor: Tensor, binary: bytes | None) -> ColumnValues:
    """Return the elements of a tensor, in row-major order.

    Args:
        binary: the binary data of the tensor; None if its elements are in ``data``.

    Returns:
        Numbers as an ndarray (n,), missing as NaN. Strings, and integers with nulls among them, as
        a list, missing as None. An empty string is missing, because binary data have no null.

    Raises:
        ApiError: the data do not match the shape or the datatype. The message names the first
            invalid element.
    """
    if tensor.datatype not in DATATYPES:
        tensor.reject(f"its datatype must be one of {', '.join(DATATYPES)}")
    if not (1 <= len(tensor.shape) <= 2 and all(0 <= n < 2**31 for n in tensor.shape)):
        tensor.reject("its shape must be one or two integers from 0 to 2147483647")
    n_elements = math.prod(tensor.shape)
    if binary is not None:
        return _from_bytes(tensor, n_elements, binary)
    return _from_json(tensor, n_elements)


def encode_output(output: Output, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """Return an output in the JSON of a response, and the binary data that follow the JSON.

    The parameters of strings have ``"content_type": "str"``; without it some clients show bytes.
    """
    content: dict[str, Any] = {
        "name": output.name,
        "shape": [len(output.values), 1],
        "datatype": output.datatype,
    }
    if output.datatype == BYTES:
        content["parameters"] = {"content_type": "str"}
    if not binary:
        values = output.values
        # As float64, a float32 is written with the same digits as in /predict.
        elements = values.astype(np.float64).tolist() if isinstance(values, np.ndarray) else values
        return {**content, "data": elements}, b""
    data = _to_bytes(output.values)
    return {**content, "parameters": {"binary_data_size": len(data)}}, data


def _to_bytes(values: np.ndarray | Sequence[str]) -> bytes:
    if isinstance(values, np.ndarray):
        return values.astype("<f4").tobytes()
    encoded = {text: text.encode() for text in set(values)}
    elements = {text: len(data).to_bytes(4, "little") + data for text, data in encoded.items()}
    return b"".join(map(elements.__getitem__, values))


def _from_json(tensor: Tensor, n_elements: int) -> ColumnValues:
    elements = tensor.data
    if not isinstance(elements, list):
        tensor.reject("it must have its elements as a list under data, or as binary data")
    if elements and isinstance(elements[0], list):
        lengths = {len(row) if isinstance(row, list) else -1 for row in elements}
        if [len(elements), *lengths] != tensor.shape:
            tensor.reject("the nesting of its data does not match its shape")
        elements = list(chain.from_iterable(elements))
    if len(elements) != n_elements:
        tensor.reject(
            f"its shape requires {n_elements} elements, but its data hold {len(elements)}"
        )
    if tensor.datatype == BYTES:
        return _decode_strings(tensor, elements)
    types = set(map(type, elements))
    if tensor.datatype == "BOOL":
        if not types <= {bool, type(None)}:
            _reject_first(tensor, elements, (bool, type(None)), "true or false")
        return elements
    if tensor.datatype in ("FP16", "FP32", "FP64", BF16):
        if not types <= {int, float, type(None)}:
            _reject_first(tensor, elements, (int, float, type(None)), "a number or null")
        numbers = _floats(elements)
        return read_as_decimals(numbers) if tensor.datatype == "FP32" else numbers
    if not types <= {int, type(None)}:
        _reject_first(tensor, elements, (int, type(None)), "an integer or null")
    try:
        numbers = np.array([x or 0 for x in elements], dtype=NUMBERS[tensor.datatype])
    except OverflowError:
        _reject_range(tensor, elements)
    return elements if type(None) in types else numbers


def _floats(elements: list[Any]) -> np.ndarray:
    """Return numbers as float64 (n,), null as NaN and an integer beyond ±1.8e308 as ±infinity.

    The validation of records rejects an infinity, with its row and column.
    """
    try:
        return np.array(elements, dtype=np.float64)
    except OverflowError:
        return np.array([_float(element) for element in elements])


def _float(element: float | None) -> float:
    if element is None:
        return math.nan
    try:
        return float(element)
    except OverflowError:
        return math.inf if element > 0 else -math.inf


def _decode_strings(tensor: Tensor, elements: list[Any]) -> list[Any]:
    if not set(map(type, elements)) <= {str, type(None)}:
        _reject_first(tensor, elements, (str, type(None)), "a string or null")
    if tensor.parameter("content_type") != "pd_json":
        return [text or None for text in elements]
    # MLServer's pandas codec writes a column with values other than strings as JSON texts.
    values = []
    for index, text in enumerate(elements):
        try:
            values.append(msgspec.json.decode(text) if text else None)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            tensor.reject(f"element {index} is not JSON, as the content type pd_json requires")
    return values


def _reject_first(
    tensor: Tensor, elements: list[Any], allowed: tuple[type, ...], expected: str
) -> NoReturn:
    invalid = [index for index, element in enumerate(elements) if type(element) not in allowed]
    more = f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""
    tensor.reject(f"element {invalid[0]} is not {expected}, as {tensor.datatype} requires{more}")


def _reject_range(tensor: Tensor, elements: list[int | None]) -> NoReturn:
    info = np.iinfo(NUMBERS[tensor.datatype])
    invalid = [i for i, x in enumerate(elements) if not int(info.min) <= (x or 0) <= int(info.max)]
    more = f" (and {len(invalid) - 1} more)" if len(invalid) > 1 else ""
    tensor.reject(f"element {invalid[0]} is outside the range of {tensor.datatype}{more}")


def _from_bytes(tensor: Tensor, n_elements: int, data: bytes) -> ColumnValues:
    if tensor.data is not msgspec.UNSET:
        tensor.reject("it has data both in the JSON and in binary form; send only one of the two")
    if tensor.datatype == BYTES:
        return _decode_strings(tensor, _split_strings(tensor, n_elements, data))
    dtype = NUMBERS.get(tensor.datatype, np.dtype("<u2"))
    if len(data) != n_elements * dtype.itemsize:
        tensor.reject(
            f"its shape and datatype require {n_elements * dtype.itemsize} bytes, "
            f"but its binary data hold {len(data)}"
        )
    if tensor.datatype == "BOOL":
        return np.frombuffer(data, np.uint8) != 0
    numbers = np.frombuffer(data, dtype)
    if tensor.datatype == BF16:  # the upper 16 bits of a float32
        return (numbers.astype("<u4") << 16).view("<f4")
    return read_as_decimals(numbers) if tensor.datatype == "FP32" else numbers


def read_as_decimals(numbers: np.ndarray) -> np.ndarray:
    """Return numbers in single precision as the decimal numbers of 6 or 7 digits they stand for.

    So 2.3 in single precision gets the same answer as 2.3 in JSON, and not that of
    2.299999952316284. A number that stands for no such decimal number, or that single precision
    cannot represent, keeps its value.

    Args:
        numbers: float32 or float64 (n,).

    Returns:
        float64 (n,).

    >>> read_as_decimals(np.array([2.3, 1 / 3], np.float32)).tolist()
    [2.3, 0.3333333432674408]
    """
    result = exact = numbers.astype(np.float64)
    with np.errstate(all="ignore"):
        single = exact.astype(np.float32)
        exponents = np.floor(np.log10(np.abs(exact)))
        for n_digits in (7, 6):
            powers = exponents - (n_digits - 1)
            units = 10.0 ** np.abs(powers)
            decimals = np.where(
                powers > 0, np.rint(exact / units) * units, np.rint(exact * units) / units
            )
            stands_for = (single == exact) & (decimals.astype(np.float32) == single)
            result = np.where(stands_for, decimals, result)
    return result


def _split_strings(tensor: Tensor, n_elements: int, data: bytes) -> list[Any]:
    """Split ``length, bytes, length, bytes, …`` into strings; each length is a uint32."""
    strings: list[Any] = []
    position = 0
    while position < len(data) and len(strings) <= n_elements:
        start = position + 4
        end = start + int.from_bytes(data[position:start], "little")
        if start > len(data) or end > len(data):
            tensor.reject(f"its binary data end inside element {len(strings)}")
        try:
            strings.append(data[start:end].decode())
        except UnicodeDecodeError:
            tensor.reject(f"element {len(strings)} is not UTF-8")
        position = end
    if len(strings) != n_elements or position != len(data):
        tensor.reject(
            f"its shape requires {n_elements} elements, but its binary data hold another number"
        )
    return strings
