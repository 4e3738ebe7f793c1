"""Each received file has its SHA-256 in its row, calculated while it came."""

from __future__ import annotations

from hashlib import sha256


def test_the_digest_of_a_received_file_is_that_of_the_file_in_the_archive(listening_node, mammogram):
    listening_node.store(mammogram())
    listening_node.store(mammogram("1.2.3.2", seed=1))
    listening_node.store(mammogram(PatientName="Other^Name"))  # a corrected header: the next version of its file
    instances = listening_node.instances()
    assert [instance.path.endswith("_2.dcm") for instance in instances] == [True, False]
    for instance in instances:
        kept = (listening_node.data_dir / instance.path).read_bytes()
        assert instance.sha256 == sha256(kept).hexdigest()
