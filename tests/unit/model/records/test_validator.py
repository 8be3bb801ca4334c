from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import InvalidRecords, UnreadableBody
from model.records import MAX_LISTED_PROBLEMS, RecordValidator, parse_strict_json
from model.records.fast_decoder import FastDecoder
from model.schema import Column, Schema, load_schema
from tests.conftest import ROOT, n_examples

SCHEMA = load_schema(ROOT / "schemas/cleveland.toml")
VALIDATOR = RecordValidator(SCHEMA)
FAST_DECODER = FastDecoder(SCHEMA, VALIDATOR.parsers)


def problems_of(content: Any) -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_json(json.dumps(content).encode())
    return [(p.row, p.field, p.code) for p in caught.value.problems]


def test_values_are_in_schema_order(schema: Schema, record: dict[str, Any]) -> None:
    shuffled = dict(reversed(record.items()))
    batch = VALIDATOR.validate_json(json.dumps(shuffled).encode())
    assert batch.values.dtype == np.float64
    expected = np.array([[c.example for c in schema.columns]], dtype=np.float64)
    np.testing.assert_array_equal(batch.values, expected)


def test_codes_and_aliases_give_the_same_values(record: dict[str, Any]) -> None:
    coded = {**record, "thal": 6, "sex": 0, "slope": 3}
    spelled = {**record, "thal": "fixed", "sex": " Female ", "slope": "DOWNSLOPING"}
    np.testing.assert_array_equal(
        VALIDATOR.validate_json(json.dumps([coded]).encode()).values,
        VALIDATOR.validate_json(json.dumps([spelled]).encode()).values,
    )


def test_null_means_missing_in_an_optional_column(record: dict[str, Any]) -> None:
    values = VALIDATOR.validate_json(
        json.dumps({**record, "ca": None, "chol": None}).encode()
    ).values
    assert np.isnan(values[0, [SCHEMA.column_names.index(n) for n in ("ca", "chol")]]).all()
    assert np.isnan(values).sum() == 2
    assert problems_of({**record, "age": None}) == [(0, "age", "null_not_allowed")]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 1.0])
def test_missing_values_keep_their_position_in_a_large_batch(
    record: dict[str, Any], share: float
) -> None:
    """Cover both methods of the fast decoder: packing rows, and reading single values."""
    rng = np.random.default_rng(0)
    is_missing = rng.random((1_000, len(SCHEMA.columns))) < share
    is_missing[[0, 1, -1]] = share > 0
    is_missing[:, [column.required for column in SCHEMA.columns]] = False
    rows = [
        {
            name: None if m else record[name]
            for name, m in zip(SCHEMA.column_names, row, strict=True)
        }
        for row in is_missing
    ]
    complete = np.array([[column.example for column in SCHEMA.columns]], np.float64)
    expected = np.where(is_missing, math.nan, complete)
    batch = FAST_DECODER.decode(json.dumps(rows).encode())
    assert batch is not None
    np.testing.assert_array_equal(batch.values, expected)
    np.testing.assert_array_equal(VALIDATOR.validate_records(rows), expected)


def test_a_body_without_records_is_rejected() -> None:
    bodies: tuple[Any, ...] = ([], {"instances": []})
    for content in bodies:
        assert problems_of(content) == [(None, None, "no_records")]


def test_three_forms_of_a_body(record: dict[str, Any]) -> None:
    for content, path in (
        (record, None),
        ([record, record], ""),
        ({"instances": [record, record, record]}, "/instances"),
    ):
        batch = VALIDATOR.validate_json(json.dumps(content).encode())
        assert batch.path == path
        assert len(batch.values) == (1 if path is None else len(content) + (path != "") * 2)


def test_every_problem_of_every_record_is_reported_at_once(record: dict[str, Any]) -> None:
    first = {**record, "age": 121, "cp": 9, "agee": 3}
    third = {k: v for k, v in record.items() if k != "thal"} | {"chol": "high", "sex": None}
    assert problems_of([first, record, third]) == [
        (0, "age", "out_of_range"),
        (0, "cp", "not_allowed"),
        (0, "agee", "unknown_column"),
        (2, "sex", "null_not_allowed"),
        (2, "chol", "wrong_type"),
        (2, "thal", "absent"),
    ]


def test_a_misspelt_column_and_a_misspelt_level_get_a_suggestion(record: dict[str, Any]) -> None:
    record["thall"] = record.pop("thal")
    record["sex"] = "femal"
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_json(json.dumps(record).encode())
    suggestions = {p.field: p.did_you_mean for p in caught.value.problems}
    assert suggestions == {"sex": "female", "thal": None, "thall": "thal"}


def test_a_duplicate_key_is_rejected(record: dict[str, Any]) -> None:
    body = json.dumps(record)
    for duplicated in (body[:-1] + ', "age": 54}', "[" + body[:-1] + ', "age": 54}]'):
        with pytest.raises(InvalidRecords, match="age is given more than once"):
            VALIDATOR.validate_json(duplicated.encode())
    with pytest.raises(InvalidRecords, match="instances is given more than once"):
        VALIDATOR.validate_json(f'{{"instances": [{body}], "instances": [{body}]}}'.encode())


def test_an_unknown_key_next_to_instances_is_rejected(record: dict[str, Any]) -> None:
    assert problems_of({"instances": [record], "threshold": 1}) == [
        (None, "threshold", "unknown_key")
    ]


def test_options_next_to_instances(record: dict[str, Any]) -> None:
    for options in ({}, {"interval": True}, {"interval": False, "explain": True}):
        batch = VALIDATOR.validate_json(json.dumps({**options, "instances": [record]}).encode())
        assert batch.interval is options.get("interval", False)
        assert batch.explain is options.get("explain", False)
    for content in (record, [record]):
        batch = VALIDATOR.validate_json(json.dumps(content).encode())
        assert (batch.explain, batch.interval) == (False, False)
    assert problems_of({"instances": [record], "interval": "true", "intervals": True}) == [
        (None, "intervals", "unknown_key"),
        (None, "interval", "wrong_type"),
    ]


def test_limits_on_the_number_of_records(record: dict[str, Any]) -> None:
    validator = RecordValidator(SCHEMA, max_records=2)
    assert len(validator.validate_json(json.dumps([record] * 2).encode()).values) == 2
    with pytest.raises(InvalidRecords, match="at most 2 records"):
        validator.validate_json(json.dumps([record] * 3).encode())


def test_all_problems_are_counted_and_the_first_10_000_listed() -> None:
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_json(json.dumps([{}] * 1_000).encode())
    assert caught.value.n_problems == 13_000
    assert len(caught.value.problems) == MAX_LISTED_PROBLEMS


def test_a_byte_order_mark_is_accepted(record: dict[str, Any]) -> None:
    VALIDATOR.validate_json(b"\xef\xbb\xbf" + json.dumps(record).encode())


def test_names_with_invalid_unicode_are_replaced(record: dict[str, Any]) -> None:
    body = json.dumps(record)[:-1] + ', "\\ud800": 1}'
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_json(body.encode())
    assert (caught.value.problems[0].field or "").encode("utf-8") == b"?"


# Values of every JSON type, valid and invalid.
_numbers = st.one_of(
    st.integers(-10, 400), st.floats(-20, 600, width=32), st.sampled_from([math.inf, math.nan])
)
_any_json = st.one_of(
    st.none(),
    st.booleans(),
    _numbers,
    st.sampled_from(["fixed", "Male", "no", "x", ""]),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.sampled_from("ab"), st.none(), max_size=1),
)


@st.composite
def records(draw: st.DrawFn) -> Any:
    content = {c.name: draw(st.sampled_from([c.example, *c.allowed])) for c in SCHEMA.columns}
    for name in draw(st.lists(st.sampled_from([*SCHEMA.column_names, "agee"]), max_size=2)):
        content[name] = draw(_any_json)
    if draw(st.booleans()) and draw(st.booleans()):
        content.pop(draw(st.sampled_from(SCHEMA.column_names)))
    return content


@settings(max_examples=n_examples(300), deadline=None)
@given(st.lists(records(), min_size=1, max_size=3))
def test_the_fast_decoder_agrees_with_the_full_validator(content: list[Any]) -> None:
    body = json.dumps(content).encode()
    decoded = FAST_DECODER.decode(body)
    try:
        validated = VALIDATOR.values(content)
    except InvalidRecords:
        assert decoded is None, "the fast decoder accepted an invalid record"
        assert FAST_DECODER.decode_records(content) is None
    else:
        np.testing.assert_array_equal(VALIDATOR.validate_json(body).values, validated)
        np.testing.assert_array_equal(VALIDATOR.validate_records(content), validated)
        if decoded is not None:
            np.testing.assert_array_equal(decoded.values, validated)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Draw JSON that serialisers do not write: escaped and duplicate names, unusual spaces."""
    members = []
    for column in SCHEMA.columns:
        name = column.name
        if draw(st.integers(0, 9)) == 0:
            name = "".join(f"\\u{ord(letter):04x}" for letter in name)
        value = draw(st.sampled_from([column.example, *column.allowed]))
        members.append(f'"{name}"{draw(st.sampled_from(["", " "]))}: {json.dumps(value)}')
    for duplicate in draw(st.lists(st.sampled_from(members), max_size=2)):
        if draw(st.booleans()):
            members.append(duplicate)
    return ("{" + draw(st.sampled_from([",", " , ", ",\n"])).join(members) + "}").encode()


@settings(max_examples=n_examples(200), deadline=None)
@given(texts())
def test_the_fast_decoder_rejects_every_duplicate_key(body: bytes) -> None:
    names = [name for name, _ in json.loads(body, object_pairs_hook=list)]
    if len(set(names)) == len(names):
        assert VALIDATOR.validate_json(body).values.shape == (1, 13)
    else:
        with pytest.raises(InvalidRecords, match="is given more than once"):
            VALIDATOR.validate_json(body)


OPTION_KEYS = ['"explain"', '"interval"', '"inter\\u0076al"', '"parameters"', '"intervals"']
OPTION_VALUES = ["true", "false", "true", "false", "1", "null", '"true"', "{}"]
OPTIONS = st.lists(
    st.tuples(st.sampled_from(OPTION_KEYS), st.sampled_from(OPTION_VALUES)), max_size=3
)


@settings(max_examples=n_examples(300), deadline=None)
@given(texts(), st.integers(1, 2), OPTIONS, st.integers(0, 3))
def test_the_fast_decoder_agrees_on_the_keys_next_to_instances(
    record: bytes, n: int, options: list[tuple[str, str]], index: int
) -> None:
    """Any keys, any number of times, in any order."""
    members = [f"{name}: {value}" for name, value in options]
    instances = b'"instances": [' + b", ".join([record] * n) + b"]"
    members.insert(index, instances.decode())
    body = ("{" + ", ".join(members) + "}").encode()
    decoded = FAST_DECODER.decode(body)
    try:
        validated = VALIDATOR.validate_content(parse_strict_json(body), "parameters")
    except InvalidRecords as error:
        assert decoded is None, "the fast decoder accepted an invalid body"
        with pytest.raises(InvalidRecords) as caught:
            VALIDATOR.validate_json(body, ignored_key="parameters")
        assert caught.value.problems == error.problems
    else:
        for batch in filter(
            None, (decoded, VALIDATOR.validate_json(body, ignored_key="parameters"))
        ):
            assert (batch.explain, batch.interval) == (validated.explain, validated.interval)
            np.testing.assert_array_equal(batch.values, validated.values)


@pytest.mark.parametrize("unit", ['\\"', "[", '"', '"a":1,', "{}", "[]", "\\", ","])
def test_a_hostile_body_of_a_megabyte_takes_linear_time(unit: str) -> None:
    """With quadratic time this test would take more than an hour."""
    for start in ("", '"', "[", "{"):
        with pytest.raises((UnreadableBody, InvalidRecords)):
            VALIDATOR.validate_json((start + unit * (1_000_000 // len(unit))).encode())


def test_an_invalid_word_is_not_kept_in_memory(record: dict[str, Any]) -> None:
    """A cache of suggestions would keep words of clients and grow without limit."""
    import tracemalloc

    def send(number: int) -> None:
        with pytest.raises(InvalidRecords):
            VALIDATOR.validate_json(json.dumps({**record, "thal": f"{number}" * 200_000}).encode())

    send(0)
    tracemalloc.start()
    for number in range(1, 6):
        send(number)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory < 200_000


def test_valid_records_are_decoded_by_the_fast_decoder(record: dict[str, Any]) -> None:
    instances = {"instances": [{**record, "thal": "fixed", "ca": None}]}
    both = {"interval": True, "explain": False}
    for content in (
        *(record, [record] * 3, instances),
        *({**instances, "interval": True}, {**instances, **both}, {**both, **instances}),
    ):
        assert FAST_DECODER.decode(json.dumps(content).encode()) is not None
    assert FAST_DECODER.decode_records([{**record, "thal": "fixed", "ca": None}]) is not None


@pytest.mark.parametrize("value", [math.nan, 1.0000000001, 2.5, 10**30, True])
def test_an_invalid_level_is_always_rejected(record: dict[str, Any], value: Any) -> None:
    """Alone, next to a missing value, and in a batch that is read column by column."""
    for batch in ([1], [1, 1], [1, None, 1]):
        for index in range(len(batch)):
            rows = [{**record, "fbs": fbs} for fbs in batch]
            rows[index]["fbs"] = value
            assert FAST_DECODER.decode_records(rows) is None


@settings(max_examples=n_examples(300), deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_give_a_known_error(body: bytes) -> None:
    with pytest.raises((UnreadableBody, InvalidRecords)):
        VALIDATOR.validate_json(body)


def test_messages_contain_no_values(record: dict[str, Any]) -> None:
    marked = {
        **record,
        "age": 8151815.25,
        "thal": "MARKED-WORD",
        "chol": "MARKED-TOO",
        "ca": [8151815.25],
    }
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_json(json.dumps(marked).encode())
    text = str(caught.value) + " ".join(str(p) for p in caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "MARKED" not in text and "8151815" not in text


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """Draw columns as the protocols decode them: valid, except for at most two of any type."""
    n = draw(st.integers(1, 3))
    invalid = draw(st.lists(st.sampled_from(SCHEMA.column_names), max_size=2))
    return {c.name: draw(column_of(c, n, valid=c.name not in invalid)) for c in SCHEMA.columns}


@st.composite
def column_of(draw: st.DrawFn, column: Column, n: int, *, valid: bool) -> Any:
    codes = [column.example, column.minimum, column.maximum, *column.codes]
    numbers = [number for number in codes if number is not None]
    words: list[str | None] = [word for word in column.allowed if isinstance(word, str)]
    if not valid:
        numbers += [math.nan, math.inf, -math.inf, 0.5, -1, 1e9, 2**60, 5e-324, 77]
        kind = draw(st.sampled_from(["d", "f", "e", "q", "Q", "b", "B", "?", "list"]))
    else:
        numbers += [] if column.required else [math.nan]
        words += [] if column.required else [None]
        kind = draw(st.sampled_from(["d", "f", "list"] if column.levels and words else ["d", "f"]))
    if kind == "list":
        picked: Any = st.sampled_from(words) if valid else _any_json
        return draw(st.lists(picked, min_size=n, max_size=n))
    values = np.array(draw(st.lists(st.sampled_from(numbers), min_size=n, max_size=n)), dtype="d")
    if np.dtype(kind).kind in "iu":
        info = np.iinfo(kind)
        values = np.clip(np.nan_to_num(values), float(info.min), float(info.max) / 2)
    with np.errstate(over="ignore"):
        return values.astype(kind)


@settings(max_examples=n_examples(500), deadline=None)
@given(columns())
def test_columns_follow_the_rules_of_records(content: dict[str, Any]) -> None:
    """NaN means missing in an array and is an error in a list, which has None for missing."""
    listed = [
        [None if math.isnan(v) else v for v in c.tolist()] if isinstance(c, np.ndarray) else c
        for c in content.values()
    ]
    rows = [dict(zip(content, row, strict=True)) for row in zip(*listed, strict=True)]
    decoded = FAST_DECODER.decode_columns(content)
    try:
        validated = VALIDATOR.values(rows)
    except InvalidRecords as error:
        assert decoded is None, "the fast decoder accepted invalid columns"
        with pytest.raises(InvalidRecords) as caught:
            VALIDATOR.validate_columns(content)
        assert caught.value.problems == error.problems
    else:
        np.testing.assert_array_equal(VALIDATOR.validate_columns(content), validated)
        if decoded is not None:
            np.testing.assert_array_equal(decoded, validated)


@pytest.mark.parametrize("kind", ["d", "f", "q", "h"])
def test_valid_columns_are_decoded_by_the_fast_decoder(kind: str) -> None:
    content: dict[str, Any] = {
        c.name: np.array([c.example] * 2).astype(kind) for c in SCHEMA.columns
    }
    content["thal"] = ["fixed", None]
    values = FAST_DECODER.decode_columns(content)
    assert values is not None and values.flags.c_contiguous and values.dtype == np.float64
    if kind == "d":
        content["ca"] = np.array([1, math.nan])
        assert FAST_DECODER.decode_columns(content) is not None


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("age", np.array([math.nan]), "null_not_allowed"),
        ("sex", np.array([math.nan], dtype="f"), "null_not_allowed"),
        ("cp", [None], "null_not_allowed"),
        ("fbs", [True], "wrong_type"),
        ("fbs", np.array([True]), "wrong_type"),
        ("slope", np.array([1.5]), "not_allowed"),
        ("chol", np.array([-math.inf]), "not_finite"),
        ("chol", [10**400], "not_finite"),
        ("chol", [-(10**400)], "not_finite"),
        ("slope", [10**400], "not_allowed"),
        ("chol", ["246"], "wrong_type"),
    ],
)
def test_invalid_column_values(name: str, values: Any, code: str) -> None:
    content: dict[str, Any] = {c.name: np.array([c.example]) for c in SCHEMA.columns}
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_columns({**content, name: values})
    assert [(p.row, p.field, p.code) for p in caught.value.problems] == [(0, name, code)]


def test_an_integer_is_not_rounded_into_the_range() -> None:
    column = msgspec.structs.replace(SCHEMA.columns[0], maximum=2.0**60)
    schema = msgspec.structs.replace(SCHEMA, columns=(column, *SCHEMA.columns[1:]))
    content = {c.name: np.array([int(c.example)]) for c in SCHEMA.columns}
    with pytest.raises(InvalidRecords, match="must be between"):
        RecordValidator(schema).validate_columns({**content, "age": np.array([2**60 + 1])})


def test_absent_and_unknown_columns_are_reported_once() -> None:
    content: dict[str, Any] = {c.name: np.full(1000, c.example) for c in SCHEMA.columns}
    content["thall"] = content.pop("thal")
    with pytest.raises(InvalidRecords) as caught:
        VALIDATOR.validate_columns(content)
    assert [(p.row, p.field, p.code, p.did_you_mean) for p in caught.value.problems] == [
        (None, "thal", "absent", None),
        (None, "thall", "unknown_column", "thal"),
    ]


def test_limits_on_the_number_of_records_in_columns() -> None:
    validator = RecordValidator(SCHEMA, max_records=2)
    for n, message in ((0, "at least one"), (3, "at most 2 records")):
        with pytest.raises(InvalidRecords, match=message):
            validator.validate_columns({c.name: np.full(n, c.example) for c in SCHEMA.columns})
