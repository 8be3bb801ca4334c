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
READER = RecordValidator(SCHEMA)
FAST = FastDecoder(SCHEMA, READER.parsers)


def problems_of(content: Any) -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_json(json.dumps(content).encode())
    return [(p.row, p.field, p.code) for p in caught.value.problems]


def test_values_come_in_schema_order(schema: Schema, record: dict[str, Any]) -> None:
    shuffled = dict(reversed(record.items()))
    batch = READER.validate_json(json.dumps(shuffled).encode())
    assert batch.values.dtype == np.float32
    expected = np.array([[c.example for c in schema.columns]], dtype=np.float32)
    np.testing.assert_array_equal(batch.values, expected)


def test_codes_and_words_mean_the_same(record: dict[str, Any]) -> None:
    coded = {**record, "thal": 6, "sex": 0, "slope": 3}
    spelled = {**record, "thal": "fixed", "sex": " Female ", "slope": "DOWNSLOPING"}
    np.testing.assert_array_equal(
        READER.validate_json(json.dumps([coded]).encode()).values,
        READER.validate_json(json.dumps([spelled]).encode()).values,
    )


def test_null_is_missing_where_it_may_be(record: dict[str, Any]) -> None:
    values = READER.validate_json(json.dumps({**record, "ca": None, "chol": None}).encode()).values
    assert np.isnan(values[0, [SCHEMA.column_names.index(n) for n in ("ca", "chol")]]).all()
    assert np.isnan(values).sum() == 2
    assert problems_of({**record, "age": None}) == [(0, "age", "null_not_allowed")]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 1.0])
def test_what_is_missing_stays_in_its_place_among_many(
    record: dict[str, Any], share: float
) -> None:
    """The fast road packs rows, and looks at each value where too many rows lack something."""
    draw = np.random.default_rng(0)
    is_missing = draw.random((1_000, len(SCHEMA.columns))) < share
    is_missing[[0, 1, -1]] = share > 0
    is_missing[:, [column.required for column in SCHEMA.columns]] = False
    rows = [
        {
            name: None if m else record[name]
            for name, m in zip(SCHEMA.column_names, row, strict=True)
        }
        for row in is_missing
    ]
    whole = np.array([[column.example for column in SCHEMA.columns]], np.float32)
    expected = np.where(is_missing, np.float32(math.nan), whole)
    batch = FAST.decode(json.dumps(rows).encode())
    assert batch is not None
    np.testing.assert_array_equal(batch.values, expected)
    np.testing.assert_array_equal(READER.validate_records(rows), expected)


def test_no_record_at_all_is_refused() -> None:
    nothing: tuple[Any, ...] = ([], {"instances": []})
    for content in nothing:
        assert problems_of(content) == [(None, None, "no_records")]


def test_three_forms_of_a_body(record: dict[str, Any]) -> None:
    for content, path in (
        (record, None),
        ([record, record], ""),
        ({"instances": [record, record, record]}, "/instances"),
    ):
        batch = READER.validate_json(json.dumps(content).encode())
        assert batch.path == path
        assert len(batch.values) == (1 if path is None else len(content) + (path != "") * 2)


def test_every_problem_of_every_record_is_named_at_once(record: dict[str, Any]) -> None:
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


def test_a_misspelt_column_and_a_misspelt_level_are_guessed(record: dict[str, Any]) -> None:
    record["thall"] = record.pop("thal")
    record["sex"] = "femal"
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_json(json.dumps(record).encode())
    guesses = {p.field: p.did_you_mean for p in caught.value.problems}
    assert guesses == {"sex": "female", "thal": None, "thall": "thal"}


def test_a_key_that_stands_twice_is_noticed(record: dict[str, Any]) -> None:
    body = json.dumps(record)
    for twice in (body[:-1] + ', "age": 54}', "[" + body[:-1] + ', "age": 54}]'):
        with pytest.raises(InvalidRecords, match="age is given more than once"):
            READER.validate_json(twice.encode())
    with pytest.raises(InvalidRecords, match="instances is given more than once"):
        READER.validate_json(f'{{"instances": [{body}], "instances": [{body}]}}'.encode())


def test_nothing_may_stand_beside_instances(record: dict[str, Any]) -> None:
    assert problems_of({"instances": [record], "threshold": 1}) == [
        (None, "threshold", "unknown_key")
    ]


def test_what_is_asked_for_beside_instances(record: dict[str, Any]) -> None:
    for options in ({}, {"interval": True}, {"interval": False, "explain": True}):
        batch = READER.validate_json(json.dumps({**options, "instances": [record]}).encode())
        assert batch.interval is options.get("interval", False)
        assert batch.explain is options.get("explain", False)
    for content in (record, [record]):
        batch = READER.validate_json(json.dumps(content).encode())
        assert (batch.explain, batch.interval) == (False, False)
    assert problems_of({"instances": [record], "interval": "true", "intervals": True}) == [
        (None, "intervals", "unknown_key"),
        (None, "interval", "wrong_type"),
    ]


def test_limits_on_the_number_of_records(record: dict[str, Any]) -> None:
    reader = RecordValidator(SCHEMA, max_records=2)
    assert len(reader.validate_json(json.dumps([record] * 2).encode()).values) == 2
    with pytest.raises(InvalidRecords, match="at most 2 records"):
        reader.validate_json(json.dumps([record] * 3).encode())


def test_of_very_many_problems_all_are_counted_and_the_first_listed() -> None:
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_json(json.dumps([{}] * 1_000).encode())
    assert caught.value.n_problems == 13_000
    assert len(caught.value.problems) == MAX_LISTED_PROBLEMS


def test_a_bom_is_no_mistake(record: dict[str, Any]) -> None:
    READER.validate_json(b"\xef\xbb\xbf" + json.dumps(record).encode())


def test_names_that_are_no_valid_unicode_can_be_sent_back(record: dict[str, Any]) -> None:
    body = json.dumps(record)[:-1] + ', "\\ud800": 1}'
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_json(body.encode())
    assert (caught.value.problems[0].field or "").encode("utf-8") == b"?"


# Values of every kind that JSON can bring, right and wrong ones.
_numbers = st.one_of(
    st.integers(-10, 400), st.floats(-20, 600, width=32), st.sampled_from([math.inf, math.nan])
)
_anything = st.one_of(
    st.none(), st.booleans(), _numbers, st.sampled_from(["fixed", "Male", "no", "x", ""]),
    st.lists(st.integers(), max_size=1), st.dictionaries(st.sampled_from("ab"), st.none(), max_size=1),
)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> Any:
    content = {c.name: draw(st.sampled_from([c.example, *c.allowed])) for c in SCHEMA.columns}
    for name in draw(st.lists(st.sampled_from([*SCHEMA.column_names, "agee"]), max_size=2)):
        content[name] = draw(_anything)
    if draw(st.booleans()) and draw(st.booleans()):
        content.pop(draw(st.sampled_from(SCHEMA.column_names)))
    return content


@settings(max_examples=n_examples(300), deadline=None)
@given(st.lists(records(), min_size=1, max_size=3))
def test_the_fast_road_never_disagrees_with_the_patient_one(content: list[Any]) -> None:
    body = json.dumps(content).encode()
    fast = FAST.decode(body)
    try:
        patient = READER.values(content)
    except InvalidRecords:
        assert fast is None, "the fast road took a record that the rules refuse"
        assert FAST.decode_records(content) is None
    else:
        np.testing.assert_array_equal(READER.validate_json(body).values, patient)
        np.testing.assert_array_equal(READER.validate_records(content), patient)
        if fast is not None:
            np.testing.assert_array_equal(fast.values, patient)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON as no serialiser writes it: escaped names, names that stand twice, odd spaces."""
    members = []
    for column in SCHEMA.columns:
        name = column.name
        if draw(st.integers(0, 9)) == 0:
            name = "".join(f"\\u{ord(letter):04x}" for letter in name)
        value = draw(st.sampled_from([column.example, *column.allowed]))
        members.append(f'"{name}"{draw(st.sampled_from(["", " "]))}: {json.dumps(value)}')
    for again in draw(st.lists(st.sampled_from(members), max_size=2)):
        if draw(st.booleans()):
            members.append(again)
    return ("{" + draw(st.sampled_from([",", " , ", ",\n"])).join(members) + "}").encode()


@settings(max_examples=n_examples(200), deadline=None)
@given(texts())
def test_the_fast_road_notices_every_key_that_stands_twice(body: bytes) -> None:
    names = [name for name, _ in json.loads(body, object_pairs_hook=list)]
    if len(set(names)) == len(names):
        assert READER.validate_json(body).values.shape == (1, 13)
    else:
        with pytest.raises(InvalidRecords, match="is given more than once"):
            READER.validate_json(body)


OPTIONS = st.lists(
    st.tuples(
        st.sampled_from(['"explain"', '"interval"', '"inter\\u0076al"', '"parameters"', '"intervals"']),
        st.sampled_from(["true", "false", "true", "false", "1", "null", '"true"', "{}"]),
    ),
    max_size=3,
)  # fmt: skip


@settings(max_examples=n_examples(300), deadline=None)
@given(texts(), st.integers(1, 2), OPTIONS, st.integers(0, 3))
def test_both_roads_read_the_same_beside_instances(
    record: bytes, n: int, options: list[tuple[str, str]], place: int
) -> None:
    """Whichever stands there, how often, and in what order."""
    members = [f"{name}: {value}" for name, value in options]
    instances = b'"instances": [' + b", ".join([record] * n) + b"]"
    members.insert(place, instances.decode())
    body = ("{" + ", ".join(members) + "}").encode()
    fast = FAST.decode(body)
    try:
        patient = READER.read_content(parse_strict_json(body), "parameters")
    except InvalidRecords as error:
        assert fast is None, "the fast road took what the rules refuse"
        with pytest.raises(InvalidRecords) as caught:
            READER.validate_json(body, ignored_key="parameters")
        assert caught.value.problems == error.problems
    else:
        for batch in filter(None, (fast, READER.validate_json(body, ignored_key="parameters"))):
            assert (batch.explain, batch.interval) == (patient.explain, patient.interval)
            np.testing.assert_array_equal(batch.values, patient.values)


@pytest.mark.parametrize("unit", ['\\"', "[", '"', '"a":1,', "{}", "[]", "\\", ","])
def test_a_hostile_body_of_a_megabyte_ends(unit: str) -> None:
    """Whatever grows with the square of the length would not end within the hour."""
    for start in ("", '"', "[", "{"):
        with pytest.raises((UnreadableBody, InvalidRecords)):
            READER.validate_json((start + unit * (1_000_000 // len(unit))).encode())


def test_nothing_of_a_wrong_word_is_kept(record: dict[str, Any]) -> None:
    """A cache of guesses would keep what clients sent, and grow by as much."""
    import tracemalloc

    def ask(number: int) -> None:
        with pytest.raises(InvalidRecords):
            READER.validate_json(json.dumps({**record, "thal": f"{number}" * 200_000}).encode())

    ask(0)
    tracemalloc.start()
    for number in range(1, 6):
        ask(number)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 200_000


def test_faultless_records_take_the_fast_road(record: dict[str, Any]) -> None:
    instances = {"instances": [{**record, "thal": "fixed", "ca": None}]}
    both = {"interval": True, "explain": False}
    for content in (
        *(record, [record] * 3, instances),
        *({**instances, "interval": True}, {**instances, **both}, {**both, **instances}),
    ):
        assert FAST.decode(json.dumps(content).encode()) is not None
    assert FAST.decode_records([{**record, "thal": "fixed", "ca": None}]) is not None


@pytest.mark.parametrize("value", [math.nan, 1.0000000001, 2.5, 10**30, True])
def test_a_level_that_is_none_never_passes(record: dict[str, Any], value: Any) -> None:
    """Not beside a missing one either, nor in a batch that is read column by column."""
    for batch in ([1], [1, 1], [1, None, 1]):
        for number in range(len(batch)):
            rows = [{**record, "fbs": fbs} for fbs in batch]
            rows[number]["fbs"] = value
            assert FAST.decode_records(rows) is None


@settings(max_examples=n_examples(300), deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with pytest.raises((UnreadableBody, InvalidRecords)):
        READER.validate_json(body)


def test_no_message_holds_a_value(record: dict[str, Any]) -> None:
    marked = {
        **record,
        "age": 8151815.25,
        "thal": "MARKED-WORD",
        "chol": "MARKED-TOO",
        "ca": [8151815.25],
    }
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_json(json.dumps(marked).encode())
    told = str(caught.value) + " ".join(str(p) for p in caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "MARKED" not in told and "8151815" not in told


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """Columns as protocols bring them, right ones but for one or two of any kind."""
    n = draw(st.integers(1, 3))
    wrong = draw(st.lists(st.sampled_from(SCHEMA.column_names), max_size=2))
    return {c.name: draw(column_of(c, n, right=c.name not in wrong)) for c in SCHEMA.columns}


@st.composite
def column_of(draw: st.DrawFn, column: Column, n: int, *, right: bool) -> Any:
    codes = [column.example, column.minimum, column.maximum, *column.codes]
    numbers = [number for number in codes if number is not None]
    words: list[str | None] = [word for word in column.allowed if isinstance(word, str)]
    if not right:
        numbers += [math.nan, math.inf, -math.inf, 0.5, -1, 1e9, 2**60, 5e-324, 77]
        kind = draw(st.sampled_from(["d", "f", "e", "q", "Q", "b", "B", "?", "list"]))
    else:
        numbers += [] if column.required else [math.nan]
        words += [] if column.required else [None]
        kind = draw(st.sampled_from(["d", "f", "list"] if column.levels and words else ["d", "f"]))
    if kind == "list":
        picked: Any = st.sampled_from(words) if right else _anything
        return draw(st.lists(picked, min_size=n, max_size=n))
    given = np.array(draw(st.lists(st.sampled_from(numbers), min_size=n, max_size=n)), dtype="d")
    if np.dtype(kind).kind in "iu":
        info = np.iinfo(kind)
        given = np.clip(np.nan_to_num(given), float(info.min), float(info.max) / 2)
    with np.errstate(over="ignore"):
        return given.astype(kind)


@settings(max_examples=n_examples(500), deadline=None)
@given(columns())
def test_columns_are_read_by_the_rules_of_records(content: dict[str, Any]) -> None:
    """NaN is missing in an array, which has nothing else for it, and a mistake in a list."""
    listed = [
        [None if math.isnan(v) else v for v in c.tolist()] if isinstance(c, np.ndarray) else c
        for c in content.values()
    ]
    rows = [dict(zip(content, row, strict=True)) for row in zip(*listed, strict=True)]
    fast = FAST.decode_columns(content)
    try:
        patient = READER.values(rows)
    except InvalidRecords as error:
        assert fast is None, "the fast road took columns that the rules refuse"
        with pytest.raises(InvalidRecords) as caught:
            READER.validate_columns(content)
        assert caught.value.problems == error.problems
    else:
        np.testing.assert_array_equal(READER.validate_columns(content), patient)
        if fast is not None:
            np.testing.assert_array_equal(fast, patient)


@pytest.mark.parametrize("kind", ["d", "f", "q", "h"])
def test_faultless_columns_take_the_fast_road(kind: str) -> None:
    content: dict[str, Any] = {
        c.name: np.array([c.example] * 2).astype(kind) for c in SCHEMA.columns
    }
    content["thal"] = ["fixed", None]
    values = FAST.decode_columns(content)
    assert values is not None and values.flags.c_contiguous and values.dtype == np.float32
    if kind == "d":
        content["ca"] = np.array([1, math.nan])
        assert FAST.decode_columns(content) is not None


@pytest.mark.parametrize(
    ("name", "given", "code"),
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
def test_what_a_column_may_not_hold(name: str, given: Any, code: str) -> None:
    content: dict[str, Any] = {c.name: np.array([c.example]) for c in SCHEMA.columns}
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_columns({**content, name: given})
    assert [(p.row, p.field, p.code) for p in caught.value.problems] == [(0, name, code)]


def test_an_integer_that_no_float_holds_is_not_rounded_into_the_range() -> None:
    column = msgspec.structs.replace(SCHEMA.columns[0], maximum=2.0**60)
    schema = msgspec.structs.replace(SCHEMA, columns=(column, *SCHEMA.columns[1:]))
    content = {c.name: np.array([int(c.example)]) for c in SCHEMA.columns}
    with pytest.raises(InvalidRecords, match="must be between"):
        RecordValidator(schema).validate_columns({**content, "age": np.array([2**60 + 1])})


def test_absent_and_unknown_columns_are_named_once() -> None:
    content: dict[str, Any] = {c.name: np.full(1000, c.example) for c in SCHEMA.columns}
    content["thall"] = content.pop("thal")
    with pytest.raises(InvalidRecords) as caught:
        READER.validate_columns(content)
    assert [(p.row, p.field, p.code, p.did_you_mean) for p in caught.value.problems] == [
        (None, "thal", "absent", None),
        (None, "thall", "unknown_column", "thal"),
    ]


def test_limits_on_the_number_of_records_in_columns() -> None:
    reader = RecordValidator(SCHEMA, max_records=2)
    for n, message in ((0, "at least one"), (3, "at most 2 records")):
        with pytest.raises(InvalidRecords, match=message):
            reader.validate_columns({c.name: np.full(n, c.example) for c in SCHEMA.columns})
