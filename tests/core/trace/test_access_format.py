"""The access log as JSON, and in the Combined Log Format."""

from __future__ import annotations

import json
import re

import pytest

from px.config.options import OPTIONS
from px.core.trace.access_format import FORMATS
from px.core.trace.access_record import COLUMNS, AccessRecord, format_record

TIME = "2026-03-02T08:59:01.842+0100"
#: Of a program that reads the format; from the documentation of Apache's mod_log_config.
COMBINED = re.compile(
    r"(?P<client>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<request>[^"]*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"\n'
)


def full_record() -> AccessRecord:
    return AccessRecord(
        id="c2.1",
        client="127.0.0.1",
        user='CORP\\älice "x',
        method="GET",
        target="http://www.example.com/",
        status=200,
        up=135,
        down=88212,
        seconds=0.1179,
        first_seconds=0.0969,
        route="http://second:8080",
        login="ntlm",
        challenges=2,
        is_kept=False,
    )


def test_each_value_of_the_option_is_a_format():
    (option,) = (option for option in OPTIONS if option.name == "accesslog_format")
    assert [option.parse(name) for name in FORMATS] == list(FORMATS)
    assert FORMATS["px"].format_line is format_record


def test_json_has_the_names_of_the_columns_and_the_values_of_the_record():
    line = FORMATS["json"].format_line(full_record(), TIME, 4711)
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": TIME,
        "client": "127.0.0.1",
        "user": 'CORP\\älice "x',
        "method": "GET",
        "target": "http://www.example.com/",
        "status": 200,
        "up": 135,
        "down": 88212,
        "ms": 117.9,
        "first_ms": 96.9,
        "route": "http://second:8080",
        "login": "ntlm",
        "407s": 2,
        "connection": "new",
        "end": "ok",
        "id": "4711.c2.1",
    }


def test_json_has_null_for_what_is_not_there():
    values = json.loads(FORMATS["json"].format_line(AccessRecord(), TIME, 4711))
    assert list(values) == COLUMNS.split(" ")
    numbers = {"up": 0, "down": 0, "ms": 0.0, "407s": 0}
    assert values == dict.fromkeys(values) | numbers | {"time": TIME, "end": "ok"}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (
            full_record(),
            {
                "client": "127.0.0.1",
                "user": "CORP%5Cälice%20%22x",
                "time": "02/Mar/2026:08:59:01 +0100",
                "request": "GET http://www.example.com/ HTTP/1.1",
                "status": "200",
                "bytes": "88212",
            },
        ),
        (AccessRecord(), {"client": "-", "user": "-", "request": "-", "status": "-", "bytes": "0"}),
        (AccessRecord(method="GET", target='/"\n'), {"request": "GET /%22%0A HTTP/1.1"}),
    ],
    ids=["full", "empty", "odd"],
)
def test_the_combined_format_is_what_other_programs_read(record, found):
    line = COMBINED.fullmatch(FORMATS["combined"].format_line(record, TIME, 4711))
    assert line is not None
    assert line.groupdict().items() >= {**found, "referer": "-", "agent": "-"}.items()
