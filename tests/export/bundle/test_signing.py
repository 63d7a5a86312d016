"""Pinned digests and signatures: a changed bundle is refused, whoever made its checksums fit."""

import json
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.export import cases

from gearing.cli.exporting import export
from gearing.export import BundleError, load_bundle
from gearing.export.bundle.files import CHECKSUMS, SIGNATURE, write_checksums
from gearing.export.bundle.signing import sign_bundle

SEED = bytes(range(32))


@pytest.fixture
def bundle(tmp_path):
    return cases.small_bundle(tmp_path / "small")


def made_riskier(folder):
    """Another largest leverage, with checksums that fit."""
    path = folder / "manifest.json"
    about = json.loads(path.read_text())
    about["rule"]["leverage"] = 9.0
    path.write_text(json.dumps(about))
    write_checksums(folder)


def test_a_pinned_digest_refuses_a_bundle_whose_checksums_were_made_to_fit(bundle):
    digest = load_bundle(bundle).digest
    assert load_bundle(bundle, digest=digest).digest == digest
    made_riskier(bundle)
    load_bundle(bundle)
    with pytest.raises(BundleError, match="it is another bundle"):
        load_bundle(bundle, digest=digest)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "0" * 63])
def test_what_is_no_digest_is_refused(bundle, digest):
    with pytest.raises(BundleError, match="must be 64 hexadecimal digits"):
        load_bundle(bundle, digest=digest)


def test_a_signature_is_checked_with_the_public_key_however_it_is_given(bundle, tmp_path):
    public = sign_bundle(bundle, SEED)
    # ed25519 has one signature and one public key for each seed
    assert public == Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()
    (tmp_path / "key").write_text(public + "\n")
    (tmp_path / "raw").write_bytes(bytes.fromhex(public))
    for key in (public, bytes.fromhex(public), tmp_path / "key", str(tmp_path / "raw")):
        assert load_bundle(bundle, key=key).lookback_bars == 2
    assert load_bundle(bundle).lookback_bars == 2  # nobody has to check it


def test_another_key_a_missing_and_a_changed_signature_are_refused(bundle):
    with pytest.raises(BundleError, match="has no signature"):
        load_bundle(bundle, key="00" * 32)
    public = sign_bundle(bundle, SEED)
    with pytest.raises(BundleError, match="the signature is not that of the key"):
        load_bundle(
            bundle, key=Ed25519PrivateKey.from_private_bytes(SEED[::-1]).public_key().public_bytes_raw()
        )
    path = bundle / SIGNATURE
    text = path.read_text()
    for at in range(0, len(text) - 1, 7):
        path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
        with pytest.raises(BundleError, match="the signature is not that of the key"):
            load_bundle(bundle, key=public)
    path.write_text(text)
    made_riskier(bundle)
    with pytest.raises(BundleError, match="the signature is not that of the key"):
        load_bundle(bundle, key=public)


def assert_all_bytes_are_refused(bundle, name, values, public):
    """Every byte of a file with each of the values, one added at its place, and one less."""
    path = bundle / name
    content = path.read_bytes()
    for at in range(len(content) + 1):
        before, after = content[:at], content[at + 1 :]
        changed = [
            before + bytes([value]) + after for value in values if content[at : at + 1] != bytes([value])
        ]
        added = [before + bytes([value]) + content[at:] for value in values]
        for wrong in [*changed, *added, *([before + after] if at < len(content) else [])]:
            path.write_bytes(wrong)
            with pytest.raises(BundleError, match=r"\w"):
                load_bundle(bundle, key=public)
    path.write_bytes(content)
    load_bundle(bundle, key=public)


def test_no_byte_of_checksums_and_signature_can_change_not_even_its_spelling(bundle):
    public = sign_bundle(bundle, SEED)
    for name in (CHECKSUMS, SIGNATURE):
        assert_all_bytes_are_refused(bundle, name, b"\n", public)


@pytest.mark.slow  # a minute or two of one processor
def test_no_byte_of_checksums_and_signature_can_have_another_value(bundle):
    public = sign_bundle(bundle, SEED)
    for name in (CHECKSUMS, SIGNATURE):
        assert_all_bytes_are_refused(bundle, name, bytes(range(256)), public)


def test_checksums_and_signatures_in_another_spelling_are_refused_without_a_key(bundle):
    sign_bundle(bundle, SEED)
    for name in (CHECKSUMS, SIGNATURE):
        path = bundle / name
        content = path.read_bytes()
        for wrong in (content + b"\n", b"\n" + content, content.upper(), content.replace(b"\n", b"\r\n")):
            path.write_bytes(wrong)
            with pytest.raises(BundleError, match=name):
                load_bundle(bundle)
        path.write_bytes(content)
    load_bundle(bundle)


def test_a_packed_bundle_is_refused_with_what_to_do(bundle, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", bundle)
    with pytest.raises(
        BundleError, match=r"packed\.zip is a file, and a bundle is a folder: unpack it first"
    ):
        load_bundle(packed)


@pytest.mark.parametrize("key", ["zz", b"short", "nowhere/key"])
def test_what_is_no_key_is_refused(bundle, key):
    with pytest.raises(BundleError, match=r"32 bytes, or 64 hexadecimal digits|there is no such file"):
        load_bundle(bundle, key=key)


def test_a_key_that_is_none_is_refused_before_a_bundle_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gearing.studies.study.exporting.export.export_from_folder", lambda *_: pytest.fail("written")
    )
    (tmp_path / "key").write_text("zz")
    with pytest.raises(BundleError, match="2 bytes were given"):
        export(str(tmp_path), sign=tmp_path / "key")
