import pytest

from broker.demonstration import clear_nights
from schemas.errors import ConfigurationError


def test_nights_of_an_earlier_demo_are_removed(tmp_path):
    nights = tmp_path / "nights"
    (nights / "alerts").mkdir(parents=True)
    (nights / "alerts" / "ztf_simulated_20261005.tar").write_bytes(b"")
    (nights / "truth.json").write_text("[]")
    clear_nights(nights)
    assert not nights.exists()
    clear_nights(nights)


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        clear_nights(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
