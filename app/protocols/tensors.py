"""Tensors of the Open Inference Protocol: their elements in JSON and in bytes, in and out.

Numbers become an ndarray with NaN for missing, words a list with None for missing; what they may
be is decided where every record is validated. Here is only decided whether a tensor is what it
says itself: its shape, its datatype, its size.

Sources: the Open Inference Protocol (REST), and Triton's extension for binary tensor data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np

from app.errors import Refused
from model.faultless import Given
from model.records import printable

NUMBERS = {
    "BOOL": np.dtype("?"),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
"""How each datatype lies in bytes: little-endian, without padding."""
BF16, BYTES = "BF16", "BYTES"
DATATYPES = (*NUMBERS, BF16, BYTES)


class Tensor(msgspec.Struct, frozen=True):
    """An input as it stands in the JSON of a request; the data may follow it as bytes."""

    name: str
    shape: list[int]
    datatype: str
    data: Any | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET

    def parameter(self, name: str) -> Any:
        """A parameter; None where it is absent."""
        return (self.parameters or {}).get(name)

    def refuse(self, why: str) -> NoReturn:
        """Refuse the request because of this tensor."""
        raise Refused("invalid_tensor", f"input {printable(self.name)}: {why}")


class Output(NamedTuple):
    """An output of n records, shape [n, 1].

    Attributes:
        values: float32 (n,) for FP32, words for BYTES.
    """

    name: str
    datatype: str
    values: np.ndarray | Sequence[str]


def elements_of(tensor: Tensor, binary: bytes | None) -> Given:
    """The elements of a tensor, row after row.

    Args:
        binary: its bytes, where it has any; otherwise they are in its ``data``.

    Returns:
        ndarray (n,) of numbers, missing as NaN; a list where there are words, or nulls between
        integers. An empty word is missing, because bytes know no null.

    Raises:
        Refused: it is not what it says, by the first element that is not.
    """
    if tensor.datatype not in DATATYPES:
        tensor.refuse(f"its datatype must be one of {', '.join(DATATYPES)}")
    if not (1 <= len(tensor.shape) <= 2 and all(0 <= n < 2**31 for n in tensor.shape)):
        tensor.refuse("its shape must be one or two numbers, from 0 to 2147483647")
    n_elements = math.prod(tensor.shape)
    if binary is not None:
        return _from_bytes(tensor, n_elements, binary)
    return _from_json(tensor, n_elements)


def written(output: Output, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """An output as it stands in the JSON of an answer, and the bytes that follow the JSON.

    Words say of themselves that they are text, for clients that would show bytes otherwise.
    """
    told: dict[str, Any] = {
        "name": output.name,
        "shape": [len(output.values), 1],
        "datatype": output.datatype,
    }
    if output.datatype == BYTES:
        told["parameters"] = {"content_type": "str"}
    if not binary:
        values = output.values
        # float64 has the digits with which /predict writes a float32.
        exact = values.astype(np.float64).tolist() if isinstance(values, np.ndarray) else values
        return {**told, "data": exact}, b""
    data = _as_bytes(output.values)
    return {**told, "parameters": {"binary_data_size": len(data)}}, data


def _as_bytes(values: np.ndarray | Sequence[str]) -> bytes:
    if isinstance(values, np.ndarray):
        return values.astype("<f4").tobytes()
    packed = {word: word.encode() for word in set(values)}
    packed = {word: len(data).to_bytes(4, "little") + data for word, data in packed.items()}
    return b"".join(map(packed.__getitem__, values))


def _from_json(tensor: Tensor, n_elements: int) -> Given:
    elements = tensor.data
    if not isinstance(elements, list):
        tensor.refuse("it needs its elements as a list under data, or as binary data")
    if elements and isinstance(elements[0], list):
        lengths = {len(row) if isinstance(row, list) else -1 for row in elements}
        if [len(elements), *lengths] != tensor.shape:
            tensor.refuse("its data are not nested as its shape says")
        elements = list(chain.from_iterable(elements))
    if len(elements) != n_elements:
        tensor.refuse(f"its shape says {n_elements} elements, and its data hold {len(elements)}")
    if tensor.datatype == BYTES:
        return _words(tensor, elements)
    kinds = set(map(type, elements))
    if tensor.datatype == "BOOL":
        if not kinds <= {bool, type(None)}:
            _refuse_first(tensor, elements, (bool, type(None)), "true or false")
        return elements
    if tensor.datatype in ("FP16", "FP32", "FP64", BF16):
        if not kinds <= {int, float, type(None)}:
            _refuse_first(tensor, elements, (int, float, type(None)), "a number or null")
        return _floats(elements)
    if not kinds <= {int, type(None)}:
        _refuse_first(tensor, elements, (int, type(None)), "a whole number or null")
    try:
        numbers = np.array([x or 0 for x in elements], dtype=NUMBERS[tensor.datatype])
    except OverflowError:
        _refuse_range(tensor, elements)
    return elements if type(None) in kinds else numbers


def _floats(elements: list[Any]) -> np.ndarray:
    """Numbers as float64 (n,), null as NaN, and an integer past 1.8e308 as infinity.

    An infinity is refused later, with its row and column, as everywhere else.
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


def _words(tensor: Tensor, elements: list[Any]) -> list[Any]:
    if not set(map(type, elements)) <= {str, type(None)}:
        _refuse_first(tensor, elements, (str, type(None)), "a string or null")
    if tensor.parameter("content_type") != "pd_json":
        return [word or None for word in elements]
    # MLServer's codec for frames writes a column that holds more than strings in this way.
    read = []
    for index, word in enumerate(elements):
        try:
            read.append(msgspec.json.decode(word) if word else None)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            tensor.refuse(f"element {index} is not JSON, as pd_json says")
    return read


def _refuse_first(
    tensor: Tensor, elements: list[Any], right: tuple[type, ...], expected: str
) -> NoReturn:
    wrong = [index for index, element in enumerate(elements) if type(element) not in right]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    tensor.refuse(f"element {wrong[0]} is not {expected}, as {tensor.datatype} says{more}")


def _refuse_range(tensor: Tensor, elements: list[int | None]) -> NoReturn:
    info = np.iinfo(NUMBERS[tensor.datatype])
    wrong = [i for i, x in enumerate(elements) if not int(info.min) <= (x or 0) <= int(info.max)]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    tensor.refuse(f"element {wrong[0]} is outside the range of {tensor.datatype}{more}")


def _from_bytes(tensor: Tensor, n_elements: int, data: bytes) -> Given:
    if tensor.data is not msgspec.UNSET:
        tensor.refuse("it has data both in the JSON and as bytes")
    if tensor.datatype == BYTES:
        return _words(tensor, _split_words(tensor, n_elements, data))
    dtype = NUMBERS.get(tensor.datatype, np.dtype("<u2"))
    if len(data) != n_elements * dtype.itemsize:
        tensor.refuse(
            f"its shape and datatype say {n_elements * dtype.itemsize} bytes, "
            f"and binary_data_size {len(data)}"
        )
    if tensor.datatype == "BOOL":
        return np.frombuffer(data, np.uint8) != 0
    numbers = np.frombuffer(data, dtype)
    if tensor.datatype == BF16:  # the upper half of a float32
        return (numbers.astype("<u4") << 16).view("<f4")
    return numbers


def _split_words(tensor: Tensor, n_elements: int, data: bytes) -> list[Any]:
    """Words from ``length, bytes, length, bytes, …``, each length an unsigned 32-bit number."""
    words: list[Any] = []
    at = 0
    while at < len(data) and len(words) <= n_elements:
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            tensor.refuse(f"its bytes end inside element {len(words)}")
        try:
            words.append(data[at + 4 : end].decode())
        except UnicodeDecodeError:
            tensor.refuse(f"element {len(words)} is not UTF-8")
        at = end
    if len(words) != n_elements or at != len(data):
        tensor.refuse(f"its shape says {n_elements} elements, and its bytes hold another number")
    return words
