from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.startup_errors import ConfigError
from px.logs.log import (
    MAX_FAULT_LOGS,
    PrivateLogFile,
    RequestLogger,
    close_log,
    open_log,
    redact,
    write_crash_log,
)

log = logging.getLogger("px.test")


def test_with_logging_off_no_message_is_written(tmp_path, capsys):
    assert open_log(0, verbose=False, cwd=tmp_path, port=3128) is None
    assert not log.isEnabledFor(logging.WARNING)
    log.critical("unheard")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("level", [1, 2])
def test_debug_writes_to_the_working_directory_and_overwrites_at_start(tmp_path, level):
    path = tmp_path / "debug-3128-main.log"
    for text in ("first", "second"):
        assert open_log(level, verbose=False, cwd=tmp_path, port=3128) == path
        log.debug(text)
    close_log()
    assert "second" in path.read_text()
    assert "first" not in path.read_text()


def test_uniqlog_writes_to_a_file_with_a_unique_name(tmp_path):
    path = open_log(3, verbose=False, cwd=tmp_path, port=3128)
    assert path is not None
    assert path.parent == tmp_path
    assert path.match("debug-3128-main-????????-??????-*.log")


def test_each_process_has_its_own_log_file(tmp_path):
    assert (
        open_log(2, verbose=False, cwd=tmp_path, port=1, process="worker-2")
        == tmp_path / "debug-1-worker-2.log"
    )


def test_verbose_writes_to_stdout(tmp_path, capsys):
    assert open_log(4, verbose=True, cwd=tmp_path, port=3128) is None
    log.info("hello")
    assert "px.test: hello" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_verbose_writes_to_stdout_and_to_the_file(tmp_path, capsys):
    path = open_log(2, verbose=True, cwd=tmp_path, port=3128)
    log.info("hello")
    close_log()
    assert path is not None
    assert "hello" in path.read_text()
    assert "hello" in capsys.readouterr().out


def test_verbose_without_a_stdout_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    open_log(4, verbose=True, cwd=tmp_path, port=3128)
    log.info("unheard")


@pytest.mark.shows("--log")
def test_level_five_writes_to_the_state_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "px.system.state.installation.user_state_path", lambda *_args, **_kwargs: tmp_path / "new" / "state"
    )
    assert open_log(5, verbose=False, cwd=tmp_path, port=1) == tmp_path / "new" / "state" / "debug-1-main.log"


def test_a_log_that_cannot_be_written_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        open_log(2, verbose=False, cwd=tmp_path / "none", port=1)


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")
def test_only_the_owner_can_read_the_log_and_px_follows_no_link(tmp_path):
    path = open_log(2, verbose=False, cwd=tmp_path, port=1)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "debug-2-main.log").symlink_to(victim)
    with pytest.raises(ConfigError):
        open_log(2, verbose=False, cwd=tmp_path, port=2)
    assert victim.read_text() == "precious"


def test_a_log_in_use_by_another_process_is_not_overwritten(tmp_path):
    script = (
        "import logging, sys; from pathlib import Path; from px.logs.log import open_log;"
        "open_log(2, verbose=False, cwd=Path(sys.argv[1]), port=1);"
        "logging.getLogger('px').info('first'); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline().strip() == b"ready"
        path = open_log(2, verbose=False, cwd=tmp_path, port=1)
        assert path != tmp_path / "debug-1-main.log"
        assert "first" in (tmp_path / "debug-1-main.log").read_text()
        first.communicate()


def test_a_log_is_bounded_in_size(tmp_path, monkeypatch):
    monkeypatch.setattr("px.logs.log.MAX_LOG_BYTES", 1000)
    open_log(2, verbose=False, cwd=tmp_path, port=1)
    for number in range(300):
        log.info("line %d", number)
    close_log()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["debug-1-main.log", *(f"debug-1-main.log.{n}" for n in (1, 2, 3))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert "line 299" in (tmp_path / "debug-1-main.log").read_text()


def test_a_line_has_the_id_of_its_request(tmp_path):
    path = open_log(2, verbose=False, cwd=tmp_path, port=1)
    RequestLogger(log, "c7.2").info("about %s", "it")
    log.info("about nothing")
    close_log()
    assert path is not None
    _, first, second = path.read_text().splitlines()
    assert f"[{os.getpid()}.c7.2] px.test: about it" in first
    assert f"[{os.getpid()}] px.test: about nothing" in second


# Redaction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Proxy-Authorization: Basic s3cret", "Proxy-Authorization: Basic ***"),
        ("authorization: Negotiate s3cret==\r\nHost: x", "authorization: Negotiate ***\r\nHost: x"),
        (r"b'Proxy-Authorization: NTLM s3cret=\r\nHost: x'", r"b'Proxy-Authorization: NTLM ***\r\nHost: x'"),
        (
            "[(b'Authorization', b'Basic s3cret'), (b'a', b'b')]",
            "[(b'Authorization', b'Basic ***'), (b'a', b'b')]",
        ),
        ("{'Authorization': 's3cret'}", "{'Authorization': '***'}"),
        (
            'Authorization: Digest username="a", response="s3cret"',
            'Authorization: Digest ***"a", response="s3cret"',
        ),
        ("to http://alice:s3cret@h:1/p", "to http://***@h:1/p"),
        ("to http://alice:s3@cret@h:1/p", "to http://***@h:1/p"),
        ("get http://h/@scope/pkg?a@b", "get http://h/@scope/pkg?a@b"),
        ("mail a@b", "mail a@b"),
        ("authorization failed", "authorization failed"),
    ],
)
def test_credentials_are_redacted(text, expected):
    assert redact(text) == expected


@given(st.text(max_size=40))
def test_any_text_can_be_redacted(text):
    redact(text)
    assert "s3cret" not in redact(f"{text}\nProxy-Authorization: NTLM s3cret\n")


def test_tracebacks_in_a_log_are_redacted_too(tmp_path):
    path = open_log(2, verbose=False, cwd=tmp_path, port=1)
    log.error("failed", exc_info=RuntimeError("at http://alice:s3cret@h:1"))
    close_log()
    assert path is not None
    assert "RuntimeError: at http://***@h:1" in path.read_text()


# Crashes


def test_a_crash_leaves_a_log_with_logging_off(tmp_path):
    open_log(0, verbose=False, cwd=tmp_path, port=1)
    path = write_crash_log(RuntimeError("at http://alice:s3cret@h:1"), tmp_path)
    assert path is not None
    assert path.match("debug-crash-*.log")
    assert " Px " in path.read_text().splitlines()[0]
    assert "RuntimeError: at http://***@h:1" in path.read_text()


def test_the_crash_log_goes_to_the_state_directory_if_the_working_directory_cannot_be_used(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("px.system.state.installation.user_state_path", lambda *_args, **_kwargs: tmp_path)
    path = write_crash_log(RuntimeError(), tmp_path / "none")
    assert path is not None
    assert path.parent == tmp_path
    monkeypatch.setattr("px.system.state.installation.user_state_path", lambda *_args, **_kwargs: path / "x")
    monkeypatch.setattr("tempfile.tempdir", str(path))  # no directory for temporary files either
    assert write_crash_log(RuntimeError(), tmp_path / "none") is None


@pytest.mark.parametrize("logger", ["px.test", "asyncio"])
@pytest.mark.parametrize(("level", "verbose"), [(0, False), (4, True)])
def test_an_error_that_px_survives_writes_a_crash_log_if_there_is_no_log_file(
    tmp_path, capsys, logger, level, verbose
):
    open_log(level, verbose=verbose, cwd=tmp_path, port=1)
    logging.getLogger(logger).error("failed", exc_info=RuntimeError("at http://alice:s3cret@h:1"))
    (path,) = tmp_path.glob("debug-crash-*.log")
    first, *rest = path.read_text().splitlines()
    assert re.fullmatch(r"[\d-]{10} [\d:]{8} Px [\d.]+, Python [\d.]+\S* on \w+", first)
    assert f"{logger}: failed" in rest[0]
    assert "RuntimeError: at http://***@h:1" in rest[-1]
    assert (
        capsys.readouterr().err == f"px: an error in Px, which continues to run; the traceback is in {path}\n"
    )


def test_text_that_cannot_be_encoded_is_logged_with_escapes(tmp_path):
    path = open_log(1, verbose=False, cwd=tmp_path, port=3128)
    logging.getLogger("px").error("b\udcf6b")
    close_log()
    crash = write_crash_log(ValueError("b\udcf6b"), tmp_path)
    for each in (path, crash):
        assert each is not None
        assert "b\\udcf6b" in each.read_text()


def test_the_number_of_crash_logs_for_errors_is_bounded(tmp_path):
    open_log(0, verbose=False, cwd=tmp_path, port=1)
    for number in range(100):
        log.error("failed", exc_info=RuntimeError(number))
    texts = [path.read_text() for path in tmp_path.glob("debug-crash-*.log")]
    assert "".join(texts).count("RuntimeError") == MAX_FAULT_LOGS


def test_an_error_that_px_survives_goes_to_the_log_file_if_there_is_one(tmp_path, capsys):
    path = open_log(2, verbose=False, cwd=tmp_path, port=1)
    logging.getLogger("asyncio").error("failed", exc_info=RuntimeError("why"))
    assert path is not None
    assert "RuntimeError: why" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().err == ""


def test_the_repr_of_the_file_handler_names_the_file(tmp_path):
    handler = PrivateLogFile(tmp_path / "a.log")
    assert "a.log" in repr(handler)
    handler.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_reported_once(tmp_path, capsys, monkeypatch):
    open_log(2, verbose=False, cwd=tmp_path, port=1)
    (handler,) = (each for each in logging.getLogger("px").handlers if isinstance(each, PrivateLogFile))
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(handler, "stream", full)
        for _ in range(3):
            logging.getLogger("px.test").debug("said")
        monkeypatch.undo()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"px: lines of the log {handler.baseFilename} are lost: ")
    logging.getLogger("px.test").debug("there is room again")
    assert "there is room again" in Path(handler.baseFilename).read_text()


def test_what_a_client_says_adds_no_line_and_commands_no_terminal(tmp_path, capsys):
    path = open_log(2, verbose=True, cwd=tmp_path, port=3128)
    assert path is not None
    log.warning(
        "no address: %s",
        "x\n2026-01-01 00:00:00.000 CRITICAL px: pay\x1b]0;t\x07\x9b",
        extra={"hint": "a\rb"},
    )
    close_log()
    shown = r"no address: x\n2026-01-01 00:00:00.000 CRITICAL px: pay\x1b]0;t\x07\x9b a\rb"
    assert path.read_text("utf-8").splitlines()[1].endswith(shown)
    assert capsys.readouterr().out.split("\n")[1].endswith(shown)


@pytest.mark.parametrize("is_crash", [True, False])
def test_a_traceback_keeps_its_lines_but_commands_no_terminal(tmp_path, is_crash):
    path = open_log(2, verbose=False, cwd=tmp_path, port=3128)
    assert path is not None
    try:
        b"x".decode("a\x1b[2Jb")
    except LookupError as error:
        if is_crash:
            write_crash_log(error, tmp_path)
        else:
            log.exception("failed")
    close_log()
    _, _, first, *_, last = path.read_text("utf-8").strip().split("\n")
    assert first == "Traceback (most recent call last):"
    assert last == r"LookupError: unknown encoding: a\x1b[2Jb"
