"""`mammo-node birads`: a table is imported row by row, and all assessments are listed, also those not used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from assessing import ALGORITHM, LEFT, assessments, finding, item, oru, report_on, side_and_category
from pydicom import dcmread
from road import Road
from typer.testing import CliRunner
from typer.testing import Result as Ran

from models.types.birads import Category
from node.assessments.csv_rows import NoTable
from node.assessments.from_csv import read_table
from node.assessments.hl7.intake import Hl7Intake
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.states import StudyState

HEADER = "study_instance_uid,accession_number,laterality,category,assessed_at\n"
Command = Callable[..., Ran]


@pytest.fixture
def birads(road: Road, tmp_path: Path) -> Command:
    """`mammo-node birads …` on the queue of the road."""
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n')

    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(build(), ["birads", *map(str, arguments), "--config", str(config)])

    return run


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "birads.csv", encoding: str = "utf-8") -> Path:
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def test_a_table_is_entered_and_a_reported_study_is_reported_again(
    road: Road, birads: Command, table: Callable[..., Path], mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files)
    uid = dcmread(mammogram_study.files[0], stop_before_pixels=True).StudyInstanceUID
    ran = birads(
        "import",
        table(f"{HEADER}{uid},,L,4A,2026-01-01T12:00+00:00\n{uid},,both,2,\n1.2.99,,,0,2026-03-01T12:00+00:00\n"),
    )
    assert ran.exit_code == 0, ran.output
    assert "4 assessments entered, 1 of them waiting for their study; 0 known before" in ran.output
    assert side_and_category(assessments(road)) == [("L", "4A"), ("L", "2"), ("R", "2"), (None, "0")]
    assert (road.study().state, road.study().revision) == (StudyState.CLOSED, 2)


def test_the_same_table_again_adds_nothing_and_a_changed_row_counts(
    road: Road, birads: Command, table: Callable[..., Path]
) -> None:
    for category, entered in (("4", 1), ("4", 0), ("2", 1), ("4", 1)):
        printed = json.loads(birads("import", table(f"{HEADER}1.2.3,,L,{category},\n"), "--json").output)
        assert printed == {"entered": entered, "waiting": entered, "known": 1 - entered, "bad": {}}
    assert json.loads(birads("import", table(f"{HEADER}1.2.3,,L,4,\n", "copy.csv"), "--json").output)["entered"] == 0
    assert side_and_category(assessments(road)) == [("L", "4"), ("L", "2"), ("L", "4")]


def test_contradictory_rows_are_named_and_not_entered(table: Callable[..., Path]) -> None:
    rows = [
        "1.2,,L,2,",
        "1.2,,R,4,",
        "1.2,,both,4,",
        "1.2,,L,2,",
        "1.3,,,2,2026-01-01T12:00",
        "1.3,,,4,2026-01-02T12:00",
    ]
    read = read_table(table(HEADER + "\n".join(rows)))
    assert [(row.line, row.why[:23]) for row in read.bad_rows] == [
        (2, "it contradicts line 4: "), (4, "it contradicts line 2: "), (5, "it contradicts line 4: "),
    ]  # fmt: skip
    assert [assessment.category for assessment in read.assessments] == ["4", "2", "4"]


def test_tabs_are_recognised_and_a_nul_invalidates_only_its_row(table: Callable[..., Path]) -> None:
    with pytest.raises(NoTable, match="commas or semicolons"):
        read_table(table(HEADER.replace(",", "\t")))
    read = read_table(table(f"{HEADER}1.2,,L\0,2,\n1.2,,R,1,\n"))
    assert [(row.line, "NUL" in row.why) for row in read.bad_rows] == [(2, True)]
    assert [assessment.laterality for assessment in read.assessments] == ["R"]


def test_invalid_rows_are_named_with_cause_and_cure_and_the_valid_ones_are_entered(
    road: Road, birads: Command, table: Callable[..., Path]
) -> None:
    rows = [
        "1.2.3,,L,4A,",
        ",,L,2,",
        "1.2.3,,up,2,",
        "1.2.3,,R,7,",
        "1.2.3,,R,2-3,",
        "1.2.3,,R,1,yesterday",
        "1.2.3,,R",
    ]
    ran = birads("import", table(HEADER + "\n".join(rows) + "\n\n1.2.4,,R,1,\n"))
    assert ran.exit_code == 1
    assert side_and_category(assessments(road)) == [("L", "4A"), ("R", "1")]
    for line, cause, cure in (
        (3, "names no study", "give study_instance_uid or accession_number"),
        (4, "laterality is not known", "give L, R, both"),
        (5, "not one of BI-RADS", "give 0, 1, 2"),
        (6, "not one of BI-RADS", "give 0, 1, 2"),
        (7, "assessed_at is no moment", "2026-01-31T14:05"),
        (8, "it has 3 cells, the first line 5", "quote"),
    ):
        (reported,) = [
            splitline for splitline in ran.output.splitlines() if splitline.startswith(f"not imported: line {line}:")
        ]
        assert cause in reported
        assert cure in reported
    assert "2 assessments entered" in ran.output
    assert "6 lines not imported" in ran.output


def test_semicolons_and_a_byte_order_mark_of_excel_are_read(table: Callable[..., Path]) -> None:
    found = read_table(table("Accession_Number;Laterality;Category\nA1;links;BI-RADS 4a\n", encoding="utf-8-sig"))
    assert [
        (assessment.accession_number, assessment.laterality, assessment.category) for assessment in found.assessments
    ] == [("A1", "L", "4A")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no category"),
        ("accession_number,category\nA1,2\n", "no laterality"),
        ("laterality,category\nL,2\n", "neither study_instance_uid nor accession_number"),
        ("accession_number,laterality,category,asessed_at\n", "'asessed_at'"),
        ("accession_number,laterality,category,category\n", "twice"),
    ],
)
def test_a_file_of_other_columns_is_refused(birads: Command, table: Callable[..., Path], text: str, why: str) -> None:
    with pytest.raises(NoTable, match=why):
        read_table(table(text))


def test_a_file_that_is_missing_or_not_text_is_reported(table: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(NoTable, match="cannot be read"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(NoTable, match="UTF-8"):
        read_table(table("accession_number,laterality,category\nÄ1,L,2\n", encoding="latin-1"))


def test_the_list_shows_used_waiting_and_refused_assessments(
    road: Road, intake: Hl7Intake, birads: Command, mammogram_study: DemoStudy
) -> None:
    image = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    road.receive(mammogram_study.files[0])
    road.receive(report_on(image, finding(Category.TWO, LEFT)))
    road.receive(report_on(image, finding(Category.FIVE, LEFT, item(ALGORITHM, "Another AI"))))
    for number, category in enumerate("34"):
        block = oru(f"BI-RADS {category} left", study=image.StudyInstanceUID, patient="", control_id=str(number))
        assert b"MSA|AA" in intake.answer(block, "127.0.0.1")
    intake.answer(oru("BI-RADS 2", study="1.2.99").replace(b"|P1|", b"|P2|"), "127.0.0.1")
    intake.answer(oru("BI-RADS 2-3").replace(b"|P1|", b"|P3|"), "127.0.0.1")
    lines = birads("list").output.splitlines()
    assert lines[0] == "4 assessments, 1 unmatched"
    assert [line.partition(", received")[0] for line in lines[1:4]] == [
        "study 1  left 2 by SR",
        "study 1  left 3 by HL7",
        "study 1  left 4 by HL7",
    ]
    assert [line.endswith("(a later assessment counts)") for line in lines[1:4]] == [True, True, False]
    assert lines[4].startswith("unmatched  exam 2 by HL7")
    assert lines[4].endswith("for 1.2.99: no image of the study that it names has come")
    assert lines[5].startswith("study 1  not used: instance 3: ")
    assert "HL7 message refused" in lines[6]
    assert len(lines) == 7
    assert len(json.loads(birads("list", "--unmatched", "--json").output)["assessments"]) == 1
