"""`mammo-node birads stats`: models against radiologists, and both against pathology, in the node's archive."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from assessed_archive import AssessedStudy, L, R, archive, as_table, forty
from pydicom import dcmread
from road import Road
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, precision_score, recall_score, roc_auc_score
from sqlalchemy import select
from typer.testing import CliRunner
from typer.testing import Result as Ran

from models.types.birads import Category
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from node.agreement.pathology import outcome
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.states import StudyState
from node.store.tables import Instance, ReceivedAssessment
from node.store.unread import Unread

pytestmark = pytest.mark.slow

Command = Callable[..., Ran]
ONE, TWO, FOUR, SIX = (Category(entry) for entry in "1246")


@pytest.fixture
def stats(tmp_path: Path) -> Command:
    """`mammo-node birads stats` on the archive in `tmp_path`."""
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n')

    def run(*arguments: object) -> Ran:
        return CliRunner().invoke(build(), ["birads", "stats", *map(str, arguments), "--config", str(config)])

    return run


def printed(ran: Ran) -> dict[str, Any]:
    assert ran.exit_code == 0, ran.output
    values: dict[str, Any] = json.loads(ran.stdout)
    return values


def pathology(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pathology.csv"
    path.write_text(text)
    return path


def rows_of(values: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in values["tables"][table]["ours"]}


@pytest.fixture(scope="module")
def on_forty_studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The command on forty studies with pathology, and its output file."""
    data_dir = tmp_path_factory.mktemp("archive")
    studies, malignant = forty()
    archive(data_dir, studies)
    config, table = data_dir / "node.toml", data_dir / "pathology.csv"
    config.write_text(f'data_dir = "{data_dir}"\n')
    table.write_text(as_table(malignant))
    arguments = ["birads", "stats", "--pathology", str(table), "--out", str(data_dir / "out"), "--config", str(config)]
    return CliRunner().invoke(build(), arguments), data_dir / "out"


def breasts_of_forty() -> list[tuple[float, Category, bool]]:
    studies, malignant = forty()
    return [
        (study.scores[side], study.categories[side], malignant[number, side])
        for number, study in enumerate(studies, start=1)
        for side in (L, R)
    ]


def suspicious(categories: Sequence[Category]) -> list[bool]:
    return [category in ("0", "4", "4A", "4B", "4C", "5") for category in categories]


def test_the_statistics_of_an_archive_equal_those_of_scikit_learn(on_forty_studies: tuple[Ran, Path]) -> None:
    ran, out = on_forty_studies
    assert ran.exit_code == 0, ran.output
    values = json.loads((out / "stats.json").read_text())
    scores, categories, malignant = zip(*breasts_of_forty(), strict=True)
    models, radiologists = [score > 0.02 for score in scores], suspicious(categories)
    agreement = rows_of(values, "agreement")["all"]
    assert (agreement["patients"], agreement["breasts"]) == (36, 80)
    kappa = agreement["Cohen's kappa"]
    assert kappa["value"] == pytest.approx(cohen_kappa_score(models, radiologists))
    assert kappa["low"] < kappa["value"] < kappa["high"]
    decisions = rows_of(values, "decisions")
    for name, called in (("models", models), ("radiologists", radiologists)):
        assert decisions[name]["malignant"] == sum(malignant)
        assert decisions[name]["accuracy"]["value"] == pytest.approx(accuracy_score(malignant, called))
        assert decisions[name]["F1"]["value"] == pytest.approx(f1_score(malignant, called))
        assert decisions[name]["precision"]["value"] == pytest.approx(precision_score(malignant, called))
        assert decisions[name]["recall"]["value"] == pytest.approx(recall_score(malignant, called))
    area = rows_of(values, "area")["the models' probability"]
    assert area["AUC"]["value"] == pytest.approx(roc_auc_score(malignant, scores))
    printed = {row["name"]: row for row in values["tables"]["decisions"]["printed"]}
    assert printed["BI-RADS > 3"]["recall"] == 0.69


def test_every_breast_is_once_in_the_matrix_and_every_discordant_one_in_the_list(
    on_forty_studies: tuple[Ran, Path],
) -> None:
    _, out = on_forty_studies
    _, *rows = csv.reader(io.StringIO((out / "confusion.csv").read_text()))
    assert sum(int(cell) for row in rows for cell in row[1:]) == 80
    listed = list(csv.DictReader(io.StringIO((out / "discordant.csv").read_text())))
    scores, categories, _ = zip(*breasts_of_forty(), strict=True)
    differing = sum((score > 0.02) != theirs for score, theirs in zip(scores, suspicious(categories), strict=True))
    assert len(listed) == differing > 0
    assert listed[0]["study_instance_uid"] == f"1.2.{listed[0]['study']}"
    assert {row["agreement"] for row in listed} == {"AI alone recalls", "radiologist alone recalls"}
    assert [row["agreement"] for row in listed] == sorted((row["agreement"] for row in listed), reverse=True)


def test_the_output_states_the_rule_and_contains_no_patient_and_no_uid(on_forty_studies: tuple[Ran, Path]) -> None:
    ran, out = on_forty_studies
    assert "category above 3 or 0; 6, known cancer, is left out" in ran.stdout
    assert "Research use only" in ran.stdout
    assert "80 read by test 1, prevalence 0.5" in ran.stdout
    assert "theirs: BI-RADS > 3" in ran.stdout
    assert "1.2." not in ran.stdout
    files = sorted(out.iterdir())
    assert [file.name for file in files] == [
        "confusion.csv",
        "confusion.svg",
        "discordant.csv",
        "reliability.svg",
        "roc.svg",
        "stats.json",
    ]
    assert not any("P36" in file.read_text() or "A40" in file.read_text() for file in files)


def test_a_received_and_reported_study_is_in_the_statistics(
    road: Road, stats: Command, tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(*mammogram_study.files)
    uid = dcmread(mammogram_study.files[0], stop_before_pixels=True).StudyInstanceUID
    categories = tmp_path / "categories.csv"
    categories.write_text(f"study_instance_uid,laterality,category\n{uid},L,2\n{uid},R,1\n1.2.99,R,4\n")
    config = ["--config", str(tmp_path / "node.toml")]
    assert CliRunner().invoke(build(), ["birads", "import", str(categories), *config]).exit_code == 0
    road.report()
    values = printed(stats("--json"))
    assert list(values["tables"]) == ["confusion", "agreement"]
    assert values["left_out"] == {"categories that wait for their study (`mammo-node birads list --unmatched`)": 1}
    (discordant,) = values["discordant"]
    assert (discordant["laterality"], discordant["implied"], discordant["assigned"]) == ("L", "4C", "2")
    assert discordant["agreement"] == "AI alone recalls"
    assert discordant["study_instance_uid"] == uid


def test_assessments_that_are_not_compared_are_counted_by_reason(stats: Command, tmp_path: Path) -> None:
    archive(
        tmp_path,
        [
            AssessedStudy({L: 0.9, R: 0.001}, {L: SIX, R: ONE}),
            AssessedStudy({L: 0.9}, {L: FOUR}, calibrated=False, bundle=BundleId("other", "1")),
            AssessedStudy({L: 0.9}, {L: FOUR, R: TWO}),
            AssessedStudy({L: 0.9, R: 0.1}, {None: FOUR}),
            AssessedStudy({L: 0.9, R: 0.1}, {L: FOUR}),
            AssessedStudy({L: 0.9}, {L: FOUR}, state=StudyState.QUARANTINED),
            AssessedStudy({L: 0.9}),
        ],
    )
    (tmp_path / "1.2.5.1.npz").unlink()
    ran = stats()
    assert ran.exit_code == 0, ran.output
    for line in (
        "reported studies without a radiologist's category",
        "studies with a category or a pathology that are not reported (`mammo-node status` says why)",
        "breasts of category 6, known cancer",
        "breasts whose score is not calibrated and implies no category",
        "breasts of which no image was read",
        "studies with a category of the exam and of no breast (`--level exam` compares it)",
        "studies whose reading is damaged or gone from the data folder",
    ):
        assert f"left out: {line}: 1\n" in ran.stdout
    assert "the figures mix them" in ran.stdout


def test_exams_are_compared_by_their_own_category_or_the_most_suspicious_of_all_their_breasts(
    stats: Command, tmp_path: Path
) -> None:
    archive(
        tmp_path,
        [
            AssessedStudy({L: 0.9, R: 0.001}, {None: TWO}),
            AssessedStudy({L: 0.9, R: 0.001}, {L: ONE, R: Category.ZERO}),
            AssessedStudy({L: 0.9, R: 0.001}, {L: ONE}),
        ],
    )
    table = "study_instance_uid,pathology\n1.2.1,malignant\n1.2.2,BENIGN_WITHOUT_CALLBACK\n"
    values = printed(stats("--json", "--level", "exam", "--pathology", pathology(tmp_path, table)))
    (discordant,) = values["discordant"]
    assert (discordant["study"], discordant["laterality"], discordant["pathology"]) == (1, None, "malignant")
    assert rows_of(values, "agreement")["all"]["exams"] == 2
    assert rows_of(values, "decisions")["models"]["precision"]["value"] == 0.5
    assert values["left_out"] == {"studies with a category of one breast only, of two that were read": 1}


def test_a_breast_that_is_not_above_the_threshold_is_not_compared_while_an_image_of_it_is_unread(
    stats: Command, tmp_path: Path
) -> None:
    sessions = archive(tmp_path, [AssessedStudy({L: 0.001, R: 0.9}, {L: FOUR, R: TWO}, views=("CC", "MLO"))])
    with sessions.begin() as session:
        for image in session.scalars(select(Instance).where(Instance.view == "MLO")):
            image.reading = image.masks_path = None
            image.leave_unread(Unread.UNREADABLE, "Damaged.")
    values = printed(stats("--json"))
    assert [(row["laterality"], row["agreement"]) for row in values["discordant"]] == [("R", "AI alone recalls")]
    assert values["left_out"] == {"breasts of which nothing negative is stated, because not all of it was read": 1}


def test_the_later_of_two_categories_of_a_breast_counts(stats: Command, tmp_path: Path) -> None:
    sessions = archive(tmp_path, [AssessedStudy({L: 0.9}, {L: TWO})])
    assert len(printed(stats("--json"))["discordant"]) == 1
    with sessions.begin() as session:
        session.add(
            ReceivedAssessment(
                study_id=1, laterality="L", category="5", source="HL7", document="", received_at=1e9, why=""
            )
        )
    assert printed(stats("--json"))["discordant"] == []


def test_scores_without_calibration_have_an_area_under_the_curve_and_no_category(
    stats: Command, tmp_path: Path
) -> None:
    archive(
        tmp_path, [AssessedStudy({L: 0.05 * n}, {L: FOUR if n % 2 else TWO}, calibrated=False) for n in range(1, 13)]
    )
    rows = (f"A{n},L,{'malignant' if n > 7 else 'benign'}" for n in range(1, 13))
    table = "\n".join(("accession_number,laterality,pathology", *rows))
    values = printed(stats("--json", "--pathology", pathology(tmp_path, table)))
    assert rows_of(values, "area")["the models' score"]["AUC"]["value"] == 1
    assert "imply no category" in rows_of(values, "decisions")["models"]["recall"]["not_measured"]
    assert "value" in rows_of(values, "decisions")["radiologists"]["recall"]
    assert values["discordant"] == []


@pytest.mark.parametrize("studies", [[], [AssessedStudy({L: 0.9})]], ids=["empty", "no category"])
def test_an_archive_without_categories_reports_how_to_enter_them(
    stats: Command, tmp_path: Path, studies: list[AssessedStudy]
) -> None:
    archive(tmp_path, studies)
    ran = stats()
    assert ran.exit_code == 0
    assert "Nothing to compare: no reported study has a radiologist's category." in ran.stdout
    assert "nan" not in (ran.stdout + stats("--json").stdout).lower()


def test_a_single_patient_or_category_gives_a_sentence_instead_of_figures(stats: Command, tmp_path: Path) -> None:
    archive(tmp_path, [AssessedStudy({L: 0.001}, {L: ONE})])
    ran = stats()
    assert "recall every breast, or none" in ran.stdout
    assert "fewer than 5 patients" in ran.stdout
    assert "nan" not in ran.stdout.lower()


def test_invalid_rows_of_pathology_are_named_and_the_others_used(stats: Command, tmp_path: Path) -> None:
    archive(tmp_path, [AssessedStudy({L: 0.9}, {L: FOUR}), AssessedStudy({L: 0.001}, {L: ONE})])
    table = "accession_number;laterality;pathology\nA1;L;malignant\nA2;L;maybe\nA2;up;benign\n;L;benign\nA9;L;benign\n"
    ran = stats("--json", "--pathology", pathology(tmp_path, table))
    assert ran.exit_code == 1
    assert "line 3: its pathology is not known: give benign or malignant" in ran.stderr
    assert json.loads(ran.stdout)["bad_rows"] == {
        "3": "its pathology is not known: give benign or malignant",
        "4": "its laterality is not known: give L, R, both, or nothing for the exam",
        "5": "it names no study: give study_instance_uid or accession_number",
    }
    assert json.loads(ran.stdout)["left_out"] == {"rows of pathology about studies that are not here": 1}


def test_a_row_with_an_accession_number_of_two_studies_is_invalid(stats: Command, tmp_path: Path) -> None:
    sessions = archive(tmp_path, [AssessedStudy({L: 0.9}), AssessedStudy({L: 0.001})])
    with sessions.begin() as session:
        session.get_one(Instance, 2).accession_number = "A1"
    ran = stats("--pathology", pathology(tmp_path, "accession_number,pathology\nA1,benign\n"))
    assert ran.exit_code == 1
    assert "line 2: its accession number belongs to 2 studies: give study_instance_uid" in ran.stderr


def test_a_table_of_other_columns_and_two_output_formats_at_once_are_refused(stats: Command, tmp_path: Path) -> None:
    archive(tmp_path, [])
    refused = stats("--pathology", pathology(tmp_path, "patient,outcome\n"))
    assert "which is no column" in str(refused.exception)
    assert "give one of them" in str(stats("--json", "--csv").exception)


@pytest.mark.parametrize(
    ("stated", "left", "exam"),
    [
        ({L: False}, False, None),
        ({L: False, R: False}, False, False),
        ({L: False, R: True}, False, True),
        ({R: True}, None, True),
        ({None: True}, None, True),
        ({None: False}, False, False),
        ({}, None, None),
    ],
)
def test_the_pathology_of_an_exam_applies_to_its_breasts_only_if_it_is_benign(
    stated: dict[Laterality | None, bool], left: bool | None, exam: bool | None
) -> None:
    assert outcome(stated, L, (L, R)) is left
    assert outcome(stated, None, (L, R)) is exam


def test_the_discordant_list_as_csv_names_the_studies(stats: Command, tmp_path: Path) -> None:
    archive(tmp_path, [AssessedStudy({L: 0.9, R: 0.001}, {L: TWO, R: ONE})])
    (row,) = csv.DictReader(io.StringIO(stats("--csv").stdout))
    assert row == {
        "study": "1",
        "study_instance_uid": "1.2.1",
        "laterality": "L",
        "implied": "4C",
        "assigned": "2",
        "agreement": "AI alone recalls",
        "probability": "0.9",
        "pathology": "",
    }
