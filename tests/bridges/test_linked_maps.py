"""Which file a notice's link means, among files that were given."""

import io
import tarfile
from pathlib import Path

import pytest

from bridges import linked_maps
from bridges.files import find_files, read_files
from bridges.linked_maps import find_linked_maps, link_parts
from schemas.times import iso_from_us
from tests.matchers.made import T0, notice_of
from tests.schemas.maps import blob, flat

HOUR = 3600 * 1_000_000
BODY = {
    name: flat(blob(0), **header)
    for name, header in {
        "ours": {"OBJECT": "S200115j"},
        "theirs": {"OBJECT": "S200114f"},
        "unnamed": {},
        "in time": {"DATE-OBS": iso_from_us(T0 + HOUR - 1_000_000)},
        "late": {"DATE-OBS": iso_from_us(T0 + HOUR + 1_000_000)},
        "in time, but named": {"OBJECT": "S200114f", "DATE-OBS": iso_from_us(T0)},
    }.items()
}
LINK = "https://gracedb.ligo.org/api/superevents/S200115j/files/bayestar.fits.gz%2C1"
NAME = "bayestar.fits.gz,1"


def notice(**fields):
    return notice_of("lvk:S200115j", skymap_url=LINK, localisation=None, **({"trigger_time_us": T0} | fields))


def found(folder: Path, *notices) -> dict[str, str]:
    """Origin of the map of each notice, of all that lie in a folder."""
    files = find_files([folder])
    origins = [message.origin for message in read_files(files)]
    maps = find_linked_maps(notices, files, origins, bytes_max=1 << 20)
    return {ivorn: message.origin.removeprefix(f"{folder.name}/") for ivorn, message in maps.items()}


def put(folder: Path, name: str, body: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def test_the_name_is_the_last_part_of_the_links_path():
    assert link_parts(LINK) == ("api", "superevents", "S200115j", "files", NAME)
    assert link_parts("https://host/") == link_parts("//host//") == ()


@pytest.mark.parametrize("link", ["https://[host/x.fits", "https://host]/x.fits", "https://\u2100.org/x.fits"])
def test_a_link_that_is_no_url_links_to_nothing(tmp_path, link):
    put(tmp_path, "x.fits", BODY["unnamed"])
    assert link_parts(link) == ()
    assert found(tmp_path, notice_of(skymap_url=link)) == {}


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ("ours", True),
        ("unnamed", True),
        ("in time", True),
        ("theirs", False),
        ("late", False),
        ("in time, but named", False),
    ],
)
def test_a_map_of_another_event_is_not_taken(tmp_path, body, taken):
    put(tmp_path, NAME, BODY[body])
    assert found(tmp_path, notice()) == ({"ivo://t/n#1": NAME} if taken else {})


def test_other_names_and_files_that_are_no_maps_are_not_taken(tmp_path):
    put(tmp_path, "bayestar.fits.gz,0", BODY["ours"])
    put(tmp_path, f"a/{NAME}", b"<html>not found</html>")
    assert found(tmp_path, notice()) == {}
    assert found(tmp_path, notice_of(skymap_url=None), notice_of(skymap_url="https://host/")) == {}


def test_of_several_the_one_below_the_events_name_wins_then_the_likest_path_then_the_first(tmp_path):
    put(tmp_path, f"b/{NAME}", BODY["unnamed"])
    put(tmp_path, f"a/{NAME}", BODY["unnamed"])
    assert found(tmp_path, notice()) == {"ivo://t/n#1": f"a/{NAME}"}
    put(tmp_path, f"z/files/{NAME}", BODY["unnamed"])
    assert found(tmp_path, notice()) == {"ivo://t/n#1": f"z/files/{NAME}"}
    put(tmp_path, f"zz S200115j/{NAME}", BODY["unnamed"])
    assert found(tmp_path, notice()) == {"ivo://t/n#1": f"zz S200115j/{NAME}"}


def test_two_notices_may_mean_one_map_and_it_may_lie_in_an_archive(tmp_path):
    with tarfile.open(tmp_path / "maps.tar", "w") as archive:
        info = tarfile.TarInfo(f"./S200115j/{NAME}")
        info.size = len(BODY["ours"])
        archive.addfile(info, io.BytesIO(BODY["ours"]))
    maps = found(tmp_path, notice(), notice(ivorn="ivo://t/n#2"))
    assert maps.keys() == {"ivo://t/n#1", "ivo://t/n#2"}
    assert {Path(origin).parts for origin in maps.values()} == {("maps.tar", "S200115j", NAME)}


def test_only_files_that_hold_a_wanted_map_are_read_again(tmp_path, monkeypatch):
    put(tmp_path, NAME, BODY["ours"])
    put(tmp_path, "other.fits", BODY["ours"])
    put(tmp_path, "notice.xml", b"<xml/>")
    read = []

    def watched(files, **options):
        read.extend(file.path.name for file in files)
        return read_files(files, **options)

    monkeypatch.setattr(linked_maps, "read_files", watched)
    assert found(tmp_path, notice()) == {"ivo://t/n#1": NAME}
    assert read == [NAME]
