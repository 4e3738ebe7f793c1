import pytest
from pydicom.uid import UID

from dicom_io.uids import derive_uid


def test_the_same_parts_give_the_same_uid():
    assert derive_uid("study", "1", "SR") == derive_uid("study", "1", "SR")
    assert derive_uid("a") == "2.25.269290709893687070873337820426365295693", "never to change: results are found by it"


def test_parts_do_not_run_into_one_another():
    assert len({derive_uid("ab", "c"), derive_uid("a", "bc"), derive_uid("abc"), derive_uid("abc", "")}) == 4


def test_a_derived_uid_is_a_uid():
    for number in range(200):
        uid = derive_uid("part", str(number))
        assert UID(uid).is_valid
        assert len(uid) <= 64


def test_a_part_that_could_be_mistaken_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        derive_uid("a\0b")
    with pytest.raises(ValueError, match="parts"):
        derive_uid()
