"""The self-made authority: what it signs, when it signs again, and what stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from ostiary.cli.certificates import RENEW_BEFORE, SERVER_LIFETIME, Authority, install_given
from ostiary.cli.errors import OperatorError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NAMES = frozenset({"localhost", "127.0.0.1", "::1", "gate.example"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.ensure(NAMES, NOW)
    return made


def _server(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.server_file.read_bytes())


def _authority(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())


@pytest.mark.parametrize(
    "name",
    [x509.DNSName("localhost"), x509.DNSName("gate.example")],
    ids=lambda name: name.value,
)
def test_a_client_that_trusts_the_authority_accepts_the_server(authority: Authority, name: x509.DNSName):
    verifier = PolicyBuilder().store(Store([_authority(authority)])).time(NOW).build_server_verifier(name)

    chain = verifier.verify(_server(authority), [])

    assert chain[-1] == _authority(authority)


def test_private_keys_are_private(authority: Authority, tmp_path: Path):
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}

    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}


def test_nothing_is_made_again_while_it_serves(authority: Authority):
    before = authority.server_file.read_bytes()

    renewed = authority.ensure(NAMES, NOW + SERVER_LIFETIME - RENEW_BEFORE - timedelta(days=1))

    assert not renewed
    assert authority.server_file.read_bytes() == before


def test_the_server_certificate_is_renewed_before_it_expires_and_the_authority_stays(authority: Authority):
    trusted = authority.certificate_file.read_bytes()
    later = NOW + SERVER_LIFETIME - RENEW_BEFORE + timedelta(days=1)

    renewed = authority.ensure(NAMES, later)

    assert renewed
    assert _server(authority).not_valid_after_utc == later + SERVER_LIFETIME
    assert authority.certificate_file.read_bytes() == trusted


def test_a_new_name_is_covered(authority: Authority):
    renewed = authority.ensure({*NAMES, "new.example"}, NOW)

    names = _server(authority).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert renewed
    assert "new.example" in names.get_values_for_type(x509.DNSName)


def test_a_damaged_certificate_is_one_clear_line(authority: Authority):
    authority.server_file.write_text("not a certificate")

    with pytest.raises(OperatorError, match=r"is damaged .* remove that directory to have new ones made"):
        authority.ensure(NAMES, NOW)


def test_a_given_certificate_is_installed_with_its_key(authority: Authority, tmp_path: Path):
    given, key = tmp_path / "given.pem", tmp_path / "given.key"
    both = authority.server_file.read_bytes()
    key_at = both.index(b"-----BEGIN PRIVATE")
    given.write_bytes(both[:key_at])
    key.write_bytes(both[key_at:])
    (tmp_path / "tls").mkdir()

    assert install_given(tmp_path / "tls", given, key)
    assert not install_given(tmp_path / "tls", given, key)
    assert (tmp_path / "tls" / "server.pem").read_bytes() == both


def test_a_key_of_another_certificate_is_refused(authority: Authority, tmp_path: Path):
    with pytest.raises(OperatorError, match="does not belong to the certificate"):
        install_given(tmp_path, authority.server_file, tmp_path / "ca.key")


def test_a_missing_certificate_is_named(tmp_path: Path):
    with pytest.raises(OperatorError, match=r"nowhere\.pem"):
        install_given(tmp_path, tmp_path / "nowhere.pem", tmp_path / "nowhere.key")
