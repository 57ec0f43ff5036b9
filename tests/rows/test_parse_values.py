"""Text as numbers, truth and times: one by one and in columns the same."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.rows.parse.convert import boolean, convert, datetime_us, finite, integer, iso8601_us
from collector.rows.parse.times import time_reader

ONE = {"int64": integer, "float64": finite, "bool": boolean, "timestamp": iso8601_us}

EARLY = datetime(1000, 1, 1)  # noqa: DTZ001 - what hypothesis asks for
pieces = st.text(alphabet="0123456789-+.eExXnaif TZ:_, ", max_size=12)
usual = {
    "int64": st.integers(-(1 << 65), 1 << 65).map(str)
    | st.sampled_from(["0x1F", "+5", "007", "1_0", "٣", "1.0"]),
    "float64": st.floats().map(str)
    | st.integers().map(str)
    | st.sampled_from(["nan", "inf", "1e999", ".5", "5.", "0x1p3", "1d"]),
    "bool": st.sampled_from(["true", "TRUE", "False", "0", "1", "yes", "t"]),
    "timestamp": st.datetimes().map(datetime.isoformat)
    | st.datetimes(timezones=st.sampled_from([UTC])).map(datetime.isoformat)
    | st.datetimes(EARLY.replace(year=1950), EARLY.replace(year=2100)).map(
        lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z"
    )
    | st.sampled_from(
        [
            "2026-11-22",
            "2026-11-22T10:11:12,5Z",
            "2026-11-22T10:11:12.1234567Z",
            "2026-11-22 10:11:12+0130",
            "2026-02-30",
            "2026-11-22T24:00:00Z",
            "2026-11-22T23:59:60Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "1969-12-31T23:59:59.999999999Z",
            "20261122T101112Z",
            "2026-11-22T10",
        ]
    ),
}


def one(text, what):
    """The value of a text, and whether it could not be converted."""
    if text in (None, "", "-"):
        return None, False
    try:
        return what(text), False
    except (ValueError, OverflowError):
        return None, True


def microseconds(column):
    return column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()


@pytest.mark.parametrize("kind", list(ONE))
@given(st.data())
@hypothesis_settings(max_examples=250, deadline=None)
def test_a_column_is_converted_as_its_values_are(kind, data):
    """Whatever else stands in the column."""
    texts = data.draw(st.lists(usual[kind] | pieces | st.none(), max_size=5))
    values, failed = convert(pa.array(texts, pa.string()), kind)
    wanted = [one(text, ONE[kind]) for text in texts]
    assert list(map(repr, microseconds(values))) == [repr(value) for value, _ in wanted]
    assert failed.tolist() == [fails for _, fails in wanted]


@pytest.mark.parametrize("kind", list(ONE))
@given(st.data())
@hypothesis_settings(max_examples=250, deadline=None)
def test_a_column_of_one_value_is_converted_as_it_is(kind, data):
    """Arrow converts columns that have nothing odd: it agrees with what decides otherwise."""
    text = data.draw(usual[kind] | pieces)
    values, failed = convert(pa.array([text], pa.string()), kind)
    wanted, fails = one(text, ONE[kind])
    assert (repr(microseconds(values)[0]), failed.tolist()) == (repr(wanted), [fails])


FORMATS = [
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y%m%d",
    "%d.%m.%Y %H:%M",
    "%b %d %Y %I:%M %p",
    "%Y-%m-%dT%H:%M:%S%%",
    "%y %d %m",
]


def strptime_us(how):
    return lambda text: datetime_us(datetime.strptime(text, how))  # noqa: DTZ007 - as the contract says: UTC


@pytest.mark.parametrize("how", FORMATS)
@given(st.data())
@hypothesis_settings(max_examples=120, deadline=None)
def test_times_are_what_strptime_makes_of_them(how, data):
    """Columns as matrices of digits; what looks different one by one; what stands there again, as before."""
    good = st.datetimes(EARLY, timezones=st.just(UTC)).map(lambda at: at.strftime(how))
    bent = good.flatmap(
        lambda text: st.tuples(
            st.just(text), st.integers(0, max(0, len(text) - 1)), st.sampled_from("0x9 -+é")
        )
    ).map(lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + 1 :])
    drawn = data.draw(st.lists(good | bent | st.sampled_from(["", "-", "x", None]), max_size=6))
    texts = [text for text in drawn for _ in range(data.draw(st.integers(1, 3)))]
    values, failed = time_reader(how)(pa.array(texts, pa.string()))
    wanted = [one(text, strptime_us(how)) for text in texts]
    assert microseconds(values) == [value for value, _ in wanted]
    assert failed.tolist() == [fails for _, fails in wanted]


def test_fractions_within_one_second():
    """Each row has its own, and its own faults, however often the second stands there."""
    how = "%Y-%m-%d %H:%M:%S.%f"
    fractions = ["000", "999", "x00", "001", "00 ", "500"]
    texts = [f"2026-11-23 10:20:{second}.{each}" for second in ("30", "31", "6x") for each in fractions]
    values, failed = time_reader(how)(pa.array(texts))
    wanted = [one(text, strptime_us(how)) for text in texts]
    assert microseconds(values) == [value for value, _ in wanted]
    assert failed.tolist() == [fails for _, fails in wanted]


@pytest.mark.parametrize("offset", ["+0000", "-0130", "+2359", "+2400", "Z", "+01:00"])
def test_offsets_are_taken_off(offset):
    """Also those that are written in another way than the rest of the column."""
    how = "%d/%b/%Y:%H:%M:%S %z"
    texts = [f"29/Feb/2024:23:59:58 {zone}" for zone in ("+0000", offset)]
    values, failed = time_reader(how)(pa.array(texts))
    wanted = [one(text, strptime_us(how)) for text in texts]
    assert (microseconds(values), failed.tolist()) == ([v for v, _ in wanted], [f for _, f in wanted])


def test_every_day_is_the_right_one():
    """Leap years and ends of months, over four centuries."""
    days = [datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=n) for n in range(0, 150_000, 7)]
    values, failed = time_reader("%Y-%m-%d")(pa.array([f"{day:%Y-%m-%d}" for day in days]))
    assert values.to_pylist() == days
    assert not failed.any()


@pytest.mark.parametrize(
    ("how", "value", "wanted_us"),
    [
        ("epoch", "1700000000", 1_700_000_000_000_000),
        ("epoch", "1700000000.123456", 1_700_000_000_123_456),
        ("epoch", 1700000000.5, 1_700_000_000_500_000),
        ("epoch", "-1.5", -1_500_000),
        ("epoch_ms", "1700000000123", 1_700_000_000_123_000),
        ("epoch_ms", 1700000000123, 1_700_000_000_123_000),
        ("epoch_us", "1700000000123456", 1_700_000_000_123_456),
        ("epoch_ns", "1700000000123456789", 1_700_000_000_123_456),
        ("epoch_ns", -1, -1),
        ("epoch", "99999999999999", None),
        ("epoch", -(1 << 62), None),
        ("epoch", float("inf"), None),
        ("epoch", "then", None),
    ],
)
def test_seconds_since_the_epoch(how, value, wanted_us):
    """As text and as numbers; what is no time in the years 1 to 9999 is a fault."""
    for column in ([value], [value, None]):
        values, failed = time_reader(how)(pa.array(column))
        assert microseconds(values)[0] == wanted_us
        assert failed.tolist()[0] == (wanted_us is None)
    mixed = time_reader(how)(pa.array([str(value), "-", "0.5" if how == "epoch" else "5"]))
    assert microseconds(mixed[0])[1] is None
    assert not mixed[1][1:].any()
