"""Where secrets are read, and that none is taken from two places or from nowhere."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridges.options import Secret
from schemas.errors import ConfigurationError


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


@pytest.mark.parametrize(
    "places",
    [{}, {"file": "a", "env": "A"}, {"env": "A", "credential": "a"}, {"file": "a", "env": "A", "credential": "a"}],
)
def test_a_secret_lies_in_exactly_one_place(places):
    with pytest.raises(ValidationError, match="name one of file, env and credential"):
        Secret(**places)


def test_a_file_is_found_beside_the_configuration_and_stripped(tmp_path):
    (tmp_path / "key").write_text("  s3cret\n", encoding="utf-8")
    assert Secret(file=Path("key")).read(tmp_path) == "s3cret"
    assert Secret(file=tmp_path / "key").read(Path("/nowhere")) == "s3cret"


def test_a_variable_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("STARCROSS_SECRET", " s3cret ")
    assert Secret(env="STARCROSS_SECRET").read(tmp_path) == "s3cret"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch, value):
    monkeypatch.delenv("STARCROSS_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("STARCROSS_SECRET", value)
    with pytest.raises(ConfigurationError, match="STARCROSS_SECRET is not set"):
        Secret(env="STARCROSS_SECRET").read(tmp_path)


def test_a_credential_of_the_service_manager(tmp_path, credentials):
    (credentials / "key").write_text("s3cret\n", encoding="utf-8")
    assert Secret(credential="key").read(tmp_path) == "s3cret"


@pytest.mark.usefixtures("credentials")
def test_a_credential_never_leaves_its_folder(tmp_path):
    (tmp_path / "outside").write_text("s3cret", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no credential"):
        Secret(credential="../outside").read(tmp_path)


def test_without_a_service_manager_there_is_no_credential(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="CREDENTIALS_DIRECTORY is not set"):
        Secret(credential="key").read(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_secret_that_is_empty_or_no_text_is_refused_by_name(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match="key: the secret"):
        Secret(file=Path("key")).read(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="key: the secret cannot be read"):
        Secret(file=Path("key")).read(tmp_path)
