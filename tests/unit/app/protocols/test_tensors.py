from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocols.open_inference.requests import read_request, requested_outputs, to_columns
from app.protocols.open_inference.tensors import (
    DATATYPES,
    NUMBERS,
    Output,
    Tensor,
    decode_elements,
    encode_output,
    read_as_decimals,
)
from app.web import ApiError
from tests.conftest import n_examples

NAMES = ("age", "sex", "thal")


def tensor(datatype: str, shape: list[int], data: Any = msgspec.UNSET, **parameters: Any) -> Tensor:
    return Tensor("x", shape, datatype, data, parameters)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    datatype = draw(st.sampled_from([name for name in NUMBERS if name != "BOOL"]))
    dtype = NUMBERS[datatype]
    if dtype.kind == "f":
        numbers: Any = st.floats(width=16 if dtype.itemsize == 2 else 32)
    else:
        info = np.iinfo(dtype)
        numbers = st.integers(int(info.min), int(info.max))
    return datatype, np.array(draw(st.lists(numbers, max_size=5)), dtype=dtype)


@settings(max_examples=n_examples(300), deadline=None)
@given(arrays(), st.booleans(), st.booleans())
def test_numbers_in_json_and_in_bytes_are_the_same(
    typed_array: tuple[str, np.ndarray], nested: bool, flat_shape: bool
) -> None:
    datatype, array = typed_array
    n = len(array)
    column = not flat_shape or nested
    shape = [n, 1] if column else [n]
    data = array.reshape(n, 1).tolist() if nested else array.tolist()
    from_json = decode_elements(tensor(datatype, shape, data), None)
    from_bytes = decode_elements(tensor(datatype, shape), array.tobytes())
    assert isinstance(from_json, np.ndarray) and isinstance(from_bytes, np.ndarray)
    np.testing.assert_array_equal(from_json, from_bytes)


def test_bf16_is_the_upper_half_of_a_float32() -> None:
    numbers = np.array([1.0, -2.5, math.nan, 145.0], dtype="<f4")
    halves = (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    np.testing.assert_array_equal(decode_elements(tensor("BF16", [4]), halves), numbers)


def test_null_is_missing_in_every_datatype() -> None:
    np.testing.assert_array_equal(
        decode_elements(tensor("FP32", [2], [None, 1]), None), [math.nan, 1]
    )
    assert decode_elements(tensor("INT8", [2], [None, 1]), None) == [None, 1]
    assert decode_elements(tensor("BYTES", [3], [None, "a", ""]), None) == [None, "a", None]
    assert decode_elements(tensor("BOOL", [2], [None, True]), None) == [None, True]


@given(st.lists(st.text(max_size=5), max_size=5))
def test_words_in_json_and_in_bytes_are_the_same(words: list[str]) -> None:
    data = b"".join(struct.pack("<I", len(w.encode())) + w.encode() for w in words)
    expected = [word or None for word in words]
    assert decode_elements(tensor("BYTES", [len(words)], words), None) == expected
    assert decode_elements(tensor("BYTES", [len(words), 1]), data) == expected


def test_a_column_of_words_and_codes_as_mlserver_encodes_it() -> None:
    column = tensor("BYTES", [4, 1], ['"fixed"', "null", "3", "[1]"], content_type="pd_json")
    assert decode_elements(column, None) == ["fixed", None, 3, [1]]
    for broken in ("{", "[" * 5_000, "NaN"):
        with pytest.raises(ApiError, match="element 0 is not JSON"):
            decode_elements(tensor("BYTES", [1], [broken], content_type="pd_json"), None)


@pytest.mark.parametrize(
    ("input_tensor", "binary", "message"),
    [
        (tensor("FP8", [1], [1]), None, "datatype must be one of BOOL, "),
        (tensor("fp32", [1], [1]), None, "datatype must be one of BOOL, "),
        (tensor("FP32", [], [1]), None, "one or two integers"),
        (tensor("FP32", [1, 1, 1], [1]), None, "one or two integers"),
        (tensor("FP32", [-1], [1]), None, "one or two integers"),
        (tensor("FP32", [10**300, 0], []), None, "one or two integers"),
        (tensor("FP32", [2], [1]), None, "requires 2 elements, but its data hold 1"),
        (tensor("FP32", [1]), None, "as a list under data"),
        (tensor("FP32", [1], 1), None, "as a list under data"),
        (tensor("FP32", [1], "1"), None, "as a list under data"),
        (
            tensor("FP32", [2, 3], [[1, 2], [3, 4], [5, 6]]),
            None,
            "nesting of its data does not match its shape",
        ),
        (
            tensor("FP32", [2, 2], [[1, 2], [3]]),
            None,
            "nesting of its data does not match its shape",
        ),
        (tensor("FP32", [2, 2], [[1, 2], 3]), None, "nesting of its data does not match its shape"),
        (tensor("FP32", [2], [1, [2]]), None, "element 1 is not a number"),
        (
            tensor("FP32", [3], [1, "8151815", True]),
            None,
            r"element 1 is not a number.*\(and 1 more\)",
        ),
        (tensor("INT8", [2], [1, 2.5]), None, "element 1 is not an integer"),
        (tensor("INT8", [1], [True]), None, "element 0 is not an integer"),
        (tensor("INT8", [1], [128]), None, "element 0 is outside the range of INT8"),
        (tensor("UINT64", [2], [None, -1]), None, "element 1 is outside the range of UINT64"),
        (tensor("BOOL", [1], [1]), None, "element 0 is not true or false"),
        (tensor("BYTES", [1], [1]), None, "element 0 is not a string"),
        (tensor("FP32", [1], [1.0]), b"1234", "both in the JSON and in binary form"),
        (tensor("FP32", [2]), b"1234", "require 8 bytes, but its binary data hold 4"),
        (tensor("BF16", [2]), b"1", "require 4 bytes, but its binary data hold 1"),
        (tensor("BYTES", [1]), b"\1\0\0", "end inside element 0"),
        (tensor("BYTES", [2]), b"\1\0\0\0a\2\0\0\0b", "end inside element 1"),
        (tensor("BYTES", [1]), b"\xff\xff\xff\xffa", "end inside element 0"),
        (tensor("BYTES", [2]), b"\1\0\0\0a", "hold another number"),
        (tensor("BYTES", [0]), b"\1\0\0\0a", "hold another number"),
        (tensor("BYTES", [1]), b"\1\0\0\0\xff", "element 0 is not UTF-8"),
    ],
)
def test_an_inconsistent_tensor_is_rejected(
    input_tensor: Tensor, binary: bytes | None, message: str
) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        decode_elements(input_tensor, binary)
    assert caught.value.code == "invalid_tensor" and "8151815" not in str(caught.value)
    assert str(caught.value).startswith("input x: ")


@settings(max_examples=n_examples(500), deadline=None)
@given(
    st.sampled_from([*DATATYPES, "FP8", ""]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.one_of(
        st.just(msgspec.UNSET),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=1)
            ),
        ),
    ),
    st.none() | st.binary(max_size=30),
)
def test_any_tensor_is_decoded_or_rejected(
    datatype: str, shape: list[int], data: Any, binary: bytes | None
) -> None:
    try:
        elements = decode_elements(tensor(datatype, shape, data), binary)
    except ApiError:
        return
    assert len(elements) == math.prod(shape)


def test_outputs_in_json_and_in_bytes() -> None:
    floats = Output("probability", "FP32", np.array([0.1, 0.7], dtype=np.float32))
    output, data = encode_output(floats, binary=False)
    assert (output["data"], data) == ([0.10000000149011612, 0.699999988079071], b"")
    output, data = encode_output(floats, binary=True)
    assert output["parameters"] == {"binary_data_size": 8} and "data" not in output
    np.testing.assert_array_equal(np.frombuffer(data, "<f4"), floats.values)
    output, data = encode_output(Output("label", "BYTES", ["ä", "b", "ä"]), binary=True)
    assert data == b"\2\0\0\0\xc3\xa4\1\0\0\0b\2\0\0\0\xc3\xa4"
    assert output["shape"] == [3, 1] and output["parameters"]["binary_data_size"] == len(data)


def body(**content: Any) -> bytes:
    return msgspec.json.encode(content)


COLUMN = {"name": "age", "shape": [1], "datatype": "FP32", "data": [63]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (body(), "missing required field `inputs`"),
        (b"[]", "Expected `object`"),
        (body(inputs={}), "Expected `array`"),
        (body(inputs=[{**COLUMN, "shape": [1.5]}]), r"Expected `int`.*\$.inputs\[0\].shape\[0\]"),
        (body(inputs=[{**COLUMN, "name": 1}]), "Expected `str`"),
        (body(inputs=[COLUMN], id=8151815), "Expected `str"),
        (b'{"inputs": [], "id": "\\ud800"}', "id is not valid Unicode"),
        (b'{"inputs": [], "inputs": []}', "inputs is given more than once"),
        (
            b'{"inputs": [{"name": "age", "shape": [1], "datatype": "FP32", '
            b'"data": [1], "data": [2]}]}',
            "data is given more than once",
        ),
        (b'{"inputs": [], "parameters": {"a": 1, "a": 2}}', "a is given more than once"),
    ],
)
def test_json_that_is_not_a_request(content: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        read_request(content, "", 3)
    assert "8151815" not in str(caught.value)


def test_unknown_members_are_ignored() -> None:
    content = body(
        model_name="x", inputs=[{**COLUMN, "more": {"a": 1}}], parameters={"priority": 1}
    )
    request, rest = read_request(content, "", 3)
    assert request.inputs[0].data == [63] and rest == b""
    request, _ = read_request(body(id="urn:a:b", inputs=[COLUMN], outputs=None), "", 3)
    assert request.id == "urn:a:b"


@pytest.mark.parametrize("header", ["-1", "1e3", "²", "9" * 5_000, "1000", " 5", "x"])
def test_an_invalid_length_of_the_json(header: str) -> None:
    with pytest.raises(ApiError, match="must be the length of the JSON"):
        read_request(body(inputs=[COLUMN]), header, 3)


def test_without_json_the_body_is_one_matrix() -> None:
    matrix = np.arange(6, dtype="<f4").reshape(2, 3)
    columns = to_columns(*read_request(matrix.tobytes(), "0", 3), NAMES)
    np.testing.assert_array_equal(np.array(list(columns.values())).T, matrix)
    with pytest.raises(ApiError, match="3 numbers per record"):
        read_request(b"12345", "0", 3)


@pytest.mark.parametrize(
    ("inputs", "rest", "message"),
    [
        ([], b"", "at least one tensor"),
        ([COLUMN, COLUMN], b"", "more than one input has this name"),
        ([{**COLUMN, "shape": [1, 3], "data": [1, 2, 3]}], b"", r"must be \[N\] or \[N, 1\]"),
        ([{**COLUMN, "name": "x"}], b"", r"must be \[N, 3\]"),
        ([{**COLUMN, "name": "x", "shape": [3], "data": [1, 2, 3]}], b"", r"must be \[N, 3\]"),
        ([{**COLUMN, "name": "x", "datatype": "BYTES"}], b"", "must be numeric"),
        (
            [COLUMN, {**COLUMN, "name": "sex", "shape": [2], "data": [1, 2]}],
            b"",
            "input sex: it has 2 rows, but the first input has 1",
        ),
        (
            [COLUMN],
            b"rest",
            "4 bytes follow the JSON, but the binary_data_size values of the inputs add up to 0",
        ),
        ([{**COLUMN, "parameters": {"binary_data_size": 8}}], b"1234", "add up to 8"),
        ([{**COLUMN, "parameters": {"binary_data_size": 10**25}}], b"1234", "add up to more"),
        ([{**COLUMN, "parameters": {"binary_data_size": -4}}], b"", "must be a number of bytes"),
        ([{**COLUMN, "parameters": {"binary_data_size": True}}], b"", "must be a number of bytes"),
        ([{**COLUMN, "parameters": {"shared_memory_region": "r"}}], b"", "shared memory is not"),
    ],
)
def test_inputs_that_contradict_each_other(inputs: Any, rest: bytes, message: str) -> None:
    head = json_part(inputs)
    with pytest.raises(ApiError, match=message):
        to_columns(*read_request(head + rest, str(len(head)), 3), NAMES)


def json_part(inputs: Any) -> bytes:
    """Return the JSON part. Numbers can have any size, which msgspec does not encode."""
    import json

    return json.dumps({"inputs": inputs}).encode()


def test_buffers_follow_in_the_order_of_the_inputs_that_have_one() -> None:
    inputs = [
        {"name": "thal", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
        COLUMN,
        {
            "name": "sex",
            "shape": [1, 1],
            "datatype": "INT16",
            "parameters": {"binary_data_size": 2},
        },
    ]
    head = json_part(inputs)
    rest = b"\1\0\0\0f" + b"\1\0"
    columns = to_columns(*read_request(head + rest, str(len(head)), 3), NAMES)
    assert {name: list(column) for name, column in columns.items()} == {
        "thal": ["f"],
        "age": [63.0],
        "sex": [1],
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [("p", False), ("l", False)]),
        ({"outputs": []}, [("p", False), ("l", False)]),
        ({"parameters": {"binary_data_output": True}}, [("p", True), ("l", True)]),
        ({"parameters": {"content_type": "np"}}, [("p", False)]),
        (
            {"outputs": [{"name": "l"}, {"name": "p", "parameters": {"binary_data": True}}]},
            [("l", False), ("p", True)],
        ),
        (
            {
                "outputs": [{"name": "l", "parameters": {"binary_data": False}}],
                "parameters": {"binary_data_output": True},
            },
            [("l", False)],
        ),
    ],
)
def test_requested_outputs(more: Any, expected: list[tuple[str, bool]]) -> None:
    request, _ = read_request(body(inputs=[COLUMN], **more), "", 3)
    assert requested_outputs(request, ("p", "l")) == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"outputs": [{"name": "q"}]}, "unknown output q; the outputs are p and l"),
        ({"outputs": [{"name": "p"}, {"name": "p"}]}, "p is requested more than once"),
        (
            {"outputs": [{"name": "p", "parameters": {"classification": 2}}]},
            "classification is not",
        ),
        ({"outputs": [{"name": "p", "parameters": {"binary_data": 1}}]}, "must be true or false"),
        ({"parameters": {"binary_data_output": "yes"}}, "must be true or false"),
    ],
)
def test_invalid_output_requests(more: Any, message: str) -> None:
    request, _ = read_request(body(inputs=[COLUMN], **more), "", 3)
    with pytest.raises(ApiError, match=message):
        requested_outputs(request, ("p", "l"))


@given(st.floats(width=32))
def test_single_precision_keeps_its_value_or_stands_for_a_decimal_number(number: float) -> None:
    single = np.array([number], np.float32)
    (widened,) = read_as_decimals(single).tolist()
    np.testing.assert_array_equal(np.float32(widened), single[0])


@given(st.integers(-999_999, 999_999), st.integers(-20, 20))
def test_six_digits_in_single_precision_are_read_as_the_decimal_number(
    digits: int, exponent: int
) -> None:
    number = float(f"{digits}e{exponent}")
    widened = read_as_decimals(np.array([number], np.float32))
    assert widened.tolist() == [number]
