"""A signed bundle is used as it was signed, by whom the settings name, or refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from certificates import Authority
from signing import key_pair

from models.bundles.bundle import CARD, SIGNATURE, BundleError, read_bundle
from models.bundles.signature import KeyUnusable, Signers, sign, signers
from models.catalog import load_pipeline

CPU = torch.device("cpu")


def nobody_asks() -> str:
    pytest.fail("the key has no passphrase")


@pytest.fixture
def bundle(blind_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of this test's own, with files and no links."""
    return Path(shutil.copytree(blind_bundle, tmp_path / "bundle"))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path, "radiology-ai")


@pytest.fixture
def trusted(keys: tuple[Path, Path], tmp_path: Path) -> Signers:
    """Those whose signatures count: one who signs nothing here, and who has the key."""
    return signers({"other": key_pair(tmp_path, "other")[1], "radiology-ai": keys[1]})


@pytest.fixture
def signed(bundle: Path, keys: tuple[Path, Path]) -> Path:
    sign(bundle, keys[0], nobody_asks)
    return bundle


@pytest.mark.slow
def test_a_signed_bundle_says_by_whom_and_loads(signed: Path, trusted: Signers) -> None:
    read = read_bundle(signed)
    assert trusted.signer_of(read) == "radiology-ai"
    load_pipeline(read, CPU, mixed_precision=False)


def test_an_unsigned_bundle_is_refused_with_the_cure(bundle: Path, trusted: Signers) -> None:
    with pytest.raises(BundleError, match=r"is not signed: there is no bundle\.toml\.sig\. Ask .* models sign"):
        trusted.signer_of(read_bundle(bundle))


def changed_card(folder: Path, _: Path) -> None:
    """A threshold at which nothing more is found."""
    card = folder / CARD
    card.write_text(card.read_text().replace("confidence = 1.0", "confidence = 2.0"))


def one_byte_more(folder: Path, _: Path) -> None:
    (folder / CARD).write_bytes((folder / CARD).read_bytes() + b"\n")


def of_another_bundle(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "another"))
    changed_card(other, tmp_path)
    sign(other, tmp_path / "radiology-ai.pem", nobody_asks)
    shutil.copy(other / SIGNATURE, folder)


def by_a_stranger(folder: Path, tmp_path: Path) -> None:
    sign(folder, key_pair(tmp_path, "stranger")[0], nobody_asks)


def cut_short(folder: Path, _: Path) -> None:
    (folder / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes()[:-1])


@pytest.mark.parametrize("attack", [changed_card, one_byte_more, of_another_bundle, by_a_stranger, cut_short])
def test_a_signature_that_does_not_fit_is_refused(
    attack: Callable[[Path, Path], None], signed: Path, trusted: Signers, tmp_path: Path
) -> None:
    attack(signed, tmp_path)
    with pytest.raises(BundleError, match=r"none of the signers in the settings \(other, radiology-ai\) signed this"):
        trusted.signer_of(read_bundle(signed))


@pytest.mark.slow
@pytest.mark.parametrize("role", ["detector", "segmenter", "classifier"])
def test_changed_weights_of_a_signed_bundle_are_never_loaded(signed: Path, trusted: Signers, role: str) -> None:
    read = read_bundle(signed)
    assert trusted.signer_of(read) == "radiology-ai"
    # After the signature was checked, and before the weights are loaded.
    weights = getattr(read, role).weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(BundleError, match=rf"{role}.*SHA-256 is"):
        load_pipeline(read, CPU, mixed_precision=False)


def test_every_weights_file_is_covered_by_the_signature_through_its_digest(signed: Path) -> None:
    read = read_bundle(signed)
    card = (signed / CARD).read_text()
    assert {part.weights.name for part in read.parts.values()} == {path.name for path in signed.glob("*.safetensors")}
    for part in read.parts.values():
        assert hashlib.sha256(part.weights.read_bytes()).hexdigest() in card


def test_a_card_that_is_replaced_after_it_was_read_changes_neither_signer_nor_models(
    signed: Path, trusted: Signers
) -> None:
    read = read_bundle(signed)
    (signed / CARD).write_text('name = "other"')
    assert trusted.signer_of(read) == "radiology-ai"
    assert read.id.name == "research-default"


def test_a_signature_can_be_checked_with_openssl(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "digest").write_bytes(hashlib.sha256((signed / CARD).read_bytes()).digest())
    answer = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", keys[1], "-rawin"),
            *("-in", tmp_path / "digest", "-sigfile", signed / SIGNATURE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.strip() == "Signature Verified Successfully", answer.stderr


def test_the_passphrase_of_a_key_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    secret, public = key_pair(tmp_path, "kept", passphrase="four words or more")
    sign(bundle, secret, lambda: "four words or more")
    assert signers({"kept": public}).signer_of(read_bundle(bundle)) == "kept"
    with pytest.raises(KeyUnusable, match="passphrase is another"):
        sign(bundle, secret, lambda: "another")


def test_a_damaged_bundle_is_not_signed(bundle: Path, keys: tuple[Path, Path]) -> None:
    weights = read_bundle(bundle).segmenter.weights
    weights.write_bytes(b"damaged")
    with pytest.raises(BundleError, match="SHA-256 is"):
        sign(bundle, keys[0], nobody_asks)
    assert not (bundle / SIGNATURE).exists()


def test_keys_that_cannot_be_used_are_named_with_the_cure(
    bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, of_a_certificate = Authority(tmp_path).issue("node")
    with pytest.raises(KeyUnusable, match=r"not for Ed25519\. Make one with: openssl genpkey"):
        sign(bundle, of_a_certificate, nobody_asks)
    with pytest.raises(KeyUnusable, match=r"public\.pem: holds no private key"):
        sign(bundle, keys[1], nobody_asks)
    with pytest.raises(KeyUnusable, match=r"radiology-ai\.pem: holds no public key .* -pubout"):
        signers({"wrong": keys[0]})
    with pytest.raises(KeyUnusable, match=r"node\.pem: holds no public key"):
        signers({"wrong": certificate})
    with pytest.raises(KeyUnusable, match="cannot be read: No such file"):
        signers({"wrong": tmp_path / "missing.pem"})
