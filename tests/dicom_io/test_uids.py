from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from dicom_io.uids import derive_uid

PARTS = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1, max_size=4)


def test_the_same_parts_give_the_same_uid():
    assert derive_uid("study", "1", "SR") == derive_uid("study", "1", "SR")
    assert derive_uid("a") == "2.25.112927029548403571515229035385721341625", "never to change: results are found by it"


def test_parts_with_the_same_concatenation_give_different_uids():
    assert len({derive_uid("ab", "c"), derive_uid("a", "bc"), derive_uid("abc"), derive_uid("abc", "")}) == 4


@settings(max_examples=200)
@given(PARTS)
def test_a_derived_uid_is_a_uuid_of_a_known_version_and_variant(parts: list[str]):
    uid = derive_uid(*parts)
    assert UID(uid).is_valid
    uuid = UUID(int=int(uid.removeprefix("2.25.")))
    assert (uuid.version, uuid.variant) == (5, RFC_4122)


def test_an_ambiguous_part_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        derive_uid("a\0b")
    with pytest.raises(ValueError, match="parts"):
        derive_uid()
