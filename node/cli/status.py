"""`mammo-node status`: shows the queue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from models.types.words import counted
from node.cli.terminal.moments import local_minute, local_time, local_zone
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, Since, Until, open_queue, seconds
from node.cli.terminal.study_lines import study_lines
from node.store.states import StudyState
from node.store.urgency import Urgency

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from config.settings import Settings
    from node.audit.refused_callers import RefusedCallerView
    from node.intake.limited_senders import LimitedSenderView
    from node.intake.refused_classes import RefusedClassView
    from node.intake.refused_instances import RefusedInstancesView
    from node.operations.cluster import ActorsView
    from node.operations.machine import CheckResult
    from node.operations.status import StudyCounts, StudyView
    from node.operations.studies import StudyPage

NEWEST = 20
SHOWN_CLASSES = 5


def status(
    study: Annotated[
        str | None, typer.Argument(help="Only this study, in full: its number, or its Study Instance UID.")
    ] = None,
    accession: Annotated[
        str | None, typer.Option("--accession", help="Only studies with this accession number, in full.")
    ] = None,
    state: Annotated[StudyState | None, typer.Option("--state", help="Only studies in this state.")] = None,
    sender: Annotated[str | None, typer.Option("--sender", help="Only studies from this calling AE title.")] = None,
    since: Since = None,
    until: Until = None,
    problems: Annotated[bool, typer.Option("--problems", help="Only studies that need a person.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help=f"All studies, not only the newest {NEWEST} and the unfinished ones.")
    ] = False,
    before: Annotated[
        int | None, typer.Option("--before", help="Only studies with a smaller number: the next page of a list.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the queue: one line for each study, or all that is known of one.

    For the administrator of this machine: no names are shown, and UIDs only of studies that are asked for. The number
    before each study is its id, for `status`, `retry` and `reread`. Faults of the machine are listed first. The command
    changes nothing and can run while another process writes to the queue.
    """
    from config.settings import load
    from node.audit.refused_callers import refused_callers
    from node.delivery.orphaned import orphaned
    from node.intake.limited_senders import limited_senders
    from node.intake.refused_classes import refused_classes
    from node.intake.refused_instances import refused_instances
    from node.operations.cluster import view_actors
    from node.operations.machine import faults
    from node.operations.sending import sending_words
    from node.operations.status import count_studies
    from node.operations.studies import StudyFilter, find_studies
    from node.store.database import read_only
    from node.store.events import left_behind

    settings = load(config)
    wanted = StudyFilter(state, sender, since=seconds(since), until=seconds(until), problems=problems)
    if wanted == StudyFilter() and not everything and study is None and accession is None:
        wanted = StudyFilter(unfinished_or_newest=NEWEST)
    with read_only(open_queue(settings)) as session:
        found = find_studies(session, replace(wanted, ids=_named(session, study, accession)), before)
        around = Around(
            faults(settings),
            count_studies(session),
            orphaned(session, [destination.name for destination in settings.destinations]),
            left_behind(session, [webhook.name for webhook in settings.webhooks]),
            refused_classes(session),
            limited_senders(session),
            refused_callers(session, time.time()),
            refused_instances(session),
            sending_words(session, settings, time.time()),
            _retention(session, settings),
            [] if settings.reads_here else view_actors(session),
        )
    if as_json:
        values = {
            "faults": [asdict(fault) for fault in around.faults],
            "refused_classes": [asdict(refusal) for refusal in around.refused_classes],
            "limited_senders": [asdict(limited) for limited in around.limited_senders],
            "refused_callers": [asdict(caller) for caller in around.refused_callers],
            "refused_instances": [asdict(refused) for refused in around.refused_instances],
            "stranded": around.stranded,
            "stranded_notices": around.stranded_notices,
            "sending": around.sending,
            "retention": around.retention,
            "actors": [asdict(view) for view in around.actors],
            **asdict(around.counts),
            "older": found.older,
            "studies": [asdict(view) for view in reversed(found.studies)],
        }
        typer.echo(json.dumps(values, indent=2))
        return
    in_full = study is not None or accession is not None
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in _beside(around):
        console.print(line)
    for line in _in_full(found) if in_full else _table(found):
        console.print(line if in_full or not console.is_terminal else line[: console.width])
    for line in () if in_full else _refused(around.refused_classes):
        console.print(line)


@dataclass(frozen=True)
class Around:
    """What `status` says beside the studies that are asked for."""

    faults: Sequence[CheckResult]
    counts: StudyCounts
    stranded: Mapping[str, int]
    stranded_notices: Mapping[str, int]
    refused_classes: Sequence[RefusedClassView]
    limited_senders: Sequence[LimitedSenderView]
    refused_callers: Sequence[RefusedCallerView]
    refused_instances: Sequence[RefusedInstancesView]
    sending: Mapping[str, str]
    retention: Mapping[str, str]
    actors: Sequence[ActorsView]


def _retention(session: Session, settings: Settings) -> dict[str, str]:
    if not settings.retention.is_on:
        return {}
    from node.retention.plan import retention_words  # imports pydicom

    return retention_words(session, settings, time.time())


def _named(session: Session, study: str | None, accession: str | None) -> tuple[int, ...] | None:
    from node.operations.studies import find_study, with_accession_number

    if study is not None and accession is not None:
        raise typer.BadParameter("Give a study or --accession, not both.")
    if accession is not None:
        return with_accession_number(session, accession)
    return None if study is None else (find_study(session, study),)


def _beside(around: Around) -> Iterator[str]:
    from node.delivery.orphaned import waiting_for
    from node.store.events import notices_wait

    for fault in around.faults:
        yield f"FAULT of this machine, {fault.about}: {fault.says}"
    for pool in around.actors:
        yield f"Ray, {pool.worker}: {pool.words}" if not pool.fault else f"FAULT of the Ray cluster: {pool.fault}"
    yield f"Studies: {', '.join(f'{count} {state}' for state, count in around.counts.counts.items())}"
    if around.counts.nothing_read:
        yield f"Nothing was read of {counted(around.counts.nothing_read, 'reported study', 'reported studies')}"
    unreported = {urgency: count for urgency, count in around.counts.unreported.items() if count}
    if unreported.keys() - {Urgency.ROUTINE}:
        yield "Not reported yet: " + ", ".join(f"{count} {urgency}" for urgency, count in unreported.items())
    for limited in around.limited_senders:
        yield (
            f"{limited.calling_ae_title} was refused {counted(limited.times, 'time')} by its {limited.limit}, "
            f"last {local_time(limited.last_at)}"
        )
    for caller in around.refused_callers:
        times = f"{counted(caller.times, 'time')} in 7 days, last {local_time(caller.last_at)}"
        yield f"{caller.address} was refused {times}: {caller.says}"
    for refused in around.refused_instances:
        yield (
            f"{refused.calling_ae_title}: {counted(refused.times, 'instance')} refused with {refused.status} "
            f"({refused.meaning}), last {local_time(refused.last_at)}"
        )
    for name, words in around.sending.items():
        yield f"{name}: {words}"
    for setting, words in around.retention.items():
        yield f"Retention, {setting}: {words}"
    for name, count in around.stranded.items():
        yield (
            f"{waiting_for(name, count)}, which is no longer in the settings: "
            f"`mammo-node deliveries move {name} TO` or `deliveries drop {name}`"
        )
    for name, count in around.stranded_notices.items():
        yield f"{notices_wait(name, count)}, which is no longer in the settings: `mammo-node webhooks drop {name}`"


def _refused(refused: Sequence[RefusedClassView]) -> Iterator[str]:
    if refused:
        yield ""
    for sender in dict.fromkeys(refusal.calling_ae_title for refusal in refused):
        of_sender = (refusal for refusal in refused if refusal.calling_ae_title == sender)
        names = [f"{refusal.sop_class} ({counted(refusal.times, 'time')})" for refusal in of_sender]
        more = f" and {len(names) - SHOWN_CLASSES} more (--json names all)" if len(names) > SHOWN_CLASSES else ""
        yield f"{sender} proposes SOP classes that this node does not accept: {', '.join(names[:SHOWN_CLASSES])}{more}"


def _in_full(found: StudyPage) -> Iterator[str]:
    for study in reversed(found.studies):
        yield ""
        yield from study_lines(study)


def _table(found: StudyPage) -> Iterator[str]:
    """A line for each study, the newest last: next to the prompt."""
    from node.operations.road import answer

    if not found.studies:
        yield "No study is shown: there is none, or none that was asked for"
        return
    rows = [
        (str(study.id), local_minute(study.last_received_at), _state(study), study.source, answer(study))
        for study in reversed(found.studies)
    ]
    yield ""
    titles = ("study", f"last image ({local_zone()})", "state", "sender", "where it stands")
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if found.older is not None:
        yield f"\nThere are older ones: --before {found.older}"


def _state(study: StudyView) -> str:
    return str(study.state) if study.urgency is Urgency.ROUTINE else f"{study.state}, {study.urgency}"
