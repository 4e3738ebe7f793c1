"""Logs contain no UIDs of patients, from any package."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest

from config.settings import SettingsError, load
from node.logs import JsonLines, Lines, place_of, without_uids

UID = "1.3.6.1.4.1.9590.100.1.2.100131208110604806117271735422083351547"


def record(message: str, *, fault: bool = False) -> logging.LogRecord:
    try:
        raise ValueError(f"no such instance {UID}")
    except ValueError:
        exc_info = sys.exc_info() if fault else None
    return logging.LogRecord("node.test", logging.INFO, __file__, 1, message, None, exc_info)


def test_a_line_is_json_with_the_time_in_utc():
    event = json.loads(JsonLines().format(record("image read")))
    assert (event["level"], event["logger"], event["message"]) == ("INFO", "node.test", "image read")
    assert event["time"].endswith("Z")


def test_uids_are_removed_from_messages_and_an_error_is_logged_with_its_place():
    for formatter in (JsonLines(), Lines()):
        line = formatter.format(record(f"stored {UID}", fault=True))
        assert UID not in line
        assert line.count("(uid)") == 1
        assert "ValueError" in line


NAME = "DOE^JANE"
PROGRAM = f"""
import sys, threading, warnings
from node.logs import set_up_logging
set_up_logging("DEBUG")
import pydicom, pynetdicom, logging, asyncio  # each sets the levels of its loggers as it is imported
from pydicom import Dataset
made = Dataset()
made.PatientBirthDate = "{NAME}"  # pydicom warns, and quotes the value
warnings.warn("{NAME}")
for name in ("pydicom", "pynetdicom", "pynetdicom.acse", "asyncio", "urllib3", "somebody.else"):
    logging.getLogger(name).setLevel("DEBUG")
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("%s", "{NAME}")
try:
    raise ValueError("{NAME}")
except ValueError:
    logging.getLogger("pynetdicom.events").exception("{NAME} of {UID}")
logging.getLogger("pynetdicom.transport").error("{NAME}")  # a connection that fails: the node says it itself
def fails():
    raise ValueError("{NAME}")
thread = threading.Thread(target=fails, name="{NAME}")
thread.start()
thread.join()
class Fails:
    def __del__(self):
        raise ValueError("{NAME}")
Fails()
logging.getLogger("node.test").warning("study 7")
"""


def test_logs_of_other_packages_and_failing_threads_contain_no_names():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in ran.stderr.splitlines()]
    assert NAME not in ran.stderr
    assert "JANE" not in ran.stdout
    assert [(event["level"], event["message"].partition(":")[0]) for event in events] == [
        ("ERROR", "an error in <string>.py"),
        ("ERROR", "a thread ended with an exception"),
        ("ERROR", "an exception could not be raised"),
        ("WARNING", "study 7"),
    ]


def test_uids_of_the_standard_and_addresses_are_kept():
    text = "1.2.840.10008.5.1.4.1.1.1.2 from 192.0.2.10:104"
    assert without_uids(text) == text


@pytest.mark.parametrize(
    "uid", ["2.25.330121863123847239845512345678901234567", "2.25.123456789", "2.25.123456789.4", UID]
)
def test_uids_made_of_a_uuid_are_removed(uid):
    assert without_uids(f"study {uid}.") == "study (uid)."


def test_an_address_that_begins_like_a_uid_is_kept():
    assert without_uids("from 2.25.130.7:104") == "from 2.25.130.7:104"


def test_the_place_of_an_error_is_logged_without_its_message(tmp_path):
    (tmp_path / "DOE^JANE").mkdir()
    with pytest.raises(SettingsError, match="JANE") as caught:
        load(tmp_path / "DOE^JANE")
    assert re.fullmatch(r"SettingsError at config/settings\.py:\d+", place_of(caught.value))


def test_an_error_without_a_line_of_the_node_is_logged_by_its_type_alone():
    assert place_of(KeyError("DOE^JANE")) == "KeyError"
