"""`mammo-node models`: lists, verifies and signs bundles, and imports checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.terminal.options import AsJson, MaybeConfigFile

if TYPE_CHECKING:
    from config.settings import Settings
    from models.bundles.bundle import Bundle

models = typer.Typer(help="Bundles of models: list, verify, sign, import checkpoints.", no_args_is_help=True)

BASE = "research-default"


@models.command("list")
def list_models(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder of a bundle, or of several.", exists=True, file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the bundles that ship and those in a folder, the importable checkpoints, and the architectures."""
    import json

    from models.bundles.bundle import CARD, find_bundle, read_bundle, shipped
    from models.catalog import ARCHITECTURES
    from models.checkpoints.known import OFFICIAL

    cards = [] if folder is None else sorted({*folder.glob(CARD), *folder.glob(f"*/{CARD}")})
    bundles = [read_bundle(place) for place in (*map(find_bundle, shipped()), *(card.parent for card in cards))]
    if as_json:
        described = [_described(bundle) for bundle in bundles]
        values = {"bundles": described, "architectures": sorted(ARCHITECTURES), "importable": sorted(OFFICIAL)}
        typer.echo(json.dumps(values, indent=2))
        return
    for bundle in bundles:
        typer.echo("\n".join(_lines(bundle)))
    typer.echo(f"Architectures: {', '.join(sorted(ARCHITECTURES))}")
    typer.echo(f"Can be imported: {', '.join(OFFICIAL)}")


@models.command("verify")
def verify_models(
    bundle: Annotated[
        list[str] | None, typer.Argument(help="Names of shipped bundles, or folders. Default: all that ship.")
    ] = None,
    config: MaybeConfigFile = None,
) -> None:
    """Check every weights file against its digest and load it, and say who signed the bundle.

    With --config: who of the settings' signers did. Exit status 1 if a file is damaged, or a signature is of none of
    them, or missing where the settings require one.
    """
    import torch

    from models.bundles.bundle import BundleError, find_bundle, read_bundle, shipped, verify
    from models.catalog import load_part

    settings = None
    if config is not None:
        from config.settings import load

        settings = load(config)
    well = True
    for name in bundle or shipped():
        found = read_bundle(find_bundle(name))
        problems = verify(found)
        for part in () if problems else found.parts.values():
            try:
                load_part(found, part, torch.device("cpu"), mixed_precision=False)
            except BundleError as error:
                problems.append(str(error))
        says = [] if problems else [f"{found.id}: all weights are complete and load."]
        try:
            says.append(f"{found.id}: {_signed(found, settings)}")
        except BundleError as error:
            problems.append(str(error))
        well = well and not problems
        for line in (*problems, *says):
            typer.echo(line)
    raise typer.Exit(0 if well else 1)


@models.command("sign")
def sign_models(
    bundle: Annotated[str, typer.Argument(help="The folder of a bundle, or the name of a shipped one.")],
    key: Annotated[Path, typer.Option("--key", help="The private key: Ed25519, in a PEM file.", dir_okay=False)],
) -> None:
    """Sign a bundle, so that nodes whose settings require it read with it. Its weights are checked first.

    The signature is written beside bundle.toml. If the key has a passphrase, the command asks for it.
    """
    from models.bundles.bundle import SIGNATURE, find_bundle
    from models.bundles.signature import sign

    folder = find_bundle(bundle)
    sign(folder, key, lambda: str(typer.prompt("Passphrase", hide_input=True)))
    typer.echo(f"Written: {folder / SIGNATURE}")


@models.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="The checkpoint as published.", dir_okay=False)],
    name: Annotated[str, typer.Option("--as", help="What it is, e.g. medsam-vit-b; `models list` names them.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder; created if missing.", file_okay=False)],
    base: Annotated[str, typer.Option("--base", help="The bundle from which a new one takes its other parts.")] = BASE,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="The digest of the file, if it is not the published one.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store kernels in half precision.")] = False,
) -> None:
    """Import a published checkpoint into a bundle.

    Its digest is checked against the published one, no code in it is executed, and its weights must fit the network
    that --as names.
    """
    from models.bundles.bundle import find_bundle, read_bundle
    from models.checkpoints.importing import import_checkpoint

    made = import_checkpoint(file, name, out, read_bundle(find_bundle(base)), sha256=sha256, half=half)
    typer.echo("\n".join(_lines(made)))


def _signed(bundle: Bundle, settings: Settings | None) -> str:
    """Who signed the bundle.

    Raises:
        BundleError: none of the settings' signers did, or nobody at all where the settings require it.
    """
    from models.bundles.bundle import SIGNATURE
    from node.bundles import signers_of

    has_one = (bundle.folder / SIGNATURE).exists()
    if settings is None:
        return "signed; --config names the settings that say whose signatures count." if has_one else "not signed."
    if not has_one and not settings.bundles.signature_required:
        return "not signed."
    return f"signed by {signers_of(settings).signer_of(bundle)}."


def _lines(bundle: Bundle) -> Iterator[str]:
    from models.bundles.described import flat

    yield f"{bundle.id}  ({bundle.folder})"
    yield f"  {bundle.intended_use}"
    for role, part in bundle.parts.items():
        yield f"  {role}: {part.architecture}{_settings(part.settings)}; {part.licence}"
        yield from (f"    {name}: {value}" for name, value in flat(bundle.figures.get(role, {})))
    levels = [f"{level} ({fitted.method}, {fitted.cases} cases)" for level, fitted in bundle.calibration.items()]
    yield f"  calibrated: {', '.join(levels) or 'no'}"


def _settings(settings: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in settings.items())})" if settings else ""


def _described(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.id.name,
        "version": bundle.id.version,
        "folder": str(bundle.folder),
        "intended_use": bundle.intended_use,
        **{
            role: {
                "architecture": part.architecture,
                "settings": dict(part.settings),
                "licence": part.licence,
                "training_data": part.training_data,
                "sha256": part.sha256,
                "figures": bundle.figures.get(role, {}),
            }
            for role, part in bundle.parts.items()
        },
        "calibrated": [str(level) for level in bundle.calibration],
    }
