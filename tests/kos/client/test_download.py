from __future__ import annotations

import httpx
import pytest

from kos.client import KosError
from kos.client.errors import DamagedError
from kos.digests import digest_of
from tests.kos.client.fake import client

FILES = {"config.json": b"{}", "weights/one.safetensors": bytes(range(256)) * 40}


class Shelf:
    """An artifact on the other side; ``cuts`` breaks each answer after so many bytes."""

    def __init__(self, folder, cuts=None, has_ranges=True):
        for name, content in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.digest = digest_of(folder).sha256
        self.cuts, self.has_ranges = cuts, has_ranges
        self.ranges = []

    def __call__(self, request):
        path = request.url.path
        if path.endswith("/api/models/7"):
            return httpx.Response(200, json={"id": 7, "name": "adapter", "digest": self.digest})
        if path.endswith("/files"):
            items = [{"name": name, "size_bytes": len(one)} for name, one in FILES.items()]
            return httpx.Response(200, json={"items": items, "next": None})
        content = FILES[path.removeprefix("/api/models/7/files/")]
        self.ranges.append(request.headers.get("Range", ""))
        start = int(self.ranges[-1].strip("bytes=-") or 0) if self.has_ranges else 0
        status = 206 if start else 200
        return httpx.Response(status, stream=Cut(content[start:], self.cuts))


class Cut(httpx.SyncByteStream):
    def __init__(self, content, cuts):
        self.content, self.cuts = content, cuts

    def __iter__(self):
        if self.cuts is None or len(self.content) <= self.cuts:
            yield self.content
        else:
            yield self.content[: self.cuts]
            raise httpx.ReadError("connection reset")


def content(folder):
    found = {name: folder.joinpath(name).read_bytes() for name in FILES}
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(FILES)
    return found


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_download_that_breaks_goes_on_where_it_broke(tmp_path, has_ranges):
    shelf = Shelf(tmp_path / "theirs", cuts=6000, has_ranges=has_ranges)
    if not has_ranges:
        shelf.cuts = None
        (tmp_path / "ours/weights").mkdir(parents=True)
        part = tmp_path / "ours/weights/one.safetensors.part"
        part.write_bytes(FILES["weights/one.safetensors"][:100])
    kos, _, _ = client(shelf)
    assert content(kos.models.download(7, tmp_path / "ours")) == FILES
    assert any(shelf.ranges)


def test_what_is_there_already_is_not_fetched_again(tmp_path):
    shelf = Shelf(tmp_path / "theirs")
    kos, _, _ = client(shelf)
    kos.models.download(7, tmp_path / "ours")
    assert content(kos.models.download(7, tmp_path / "ours")) == FILES
    assert len(shelf.ranges) == 2


def test_how_far_it_is_is_told_in_bytes(tmp_path):
    moves = []
    kos, _, _ = client(Shelf(tmp_path / "theirs"))
    kos.models.download(7, tmp_path / "ours", progress=moves.append)
    assert (moves[-1].done, moves[-1].total) == (10_242, 10_242)


def test_other_bytes_than_kos_keeps_are_an_error(tmp_path):
    shelf = Shelf(tmp_path / "theirs")
    shelf.digest = "0" * 64
    kos, _, _ = client(shelf)
    with pytest.raises(DamagedError, match="not artifact 7 as Kos keeps it"):
        kos.models.download(7, tmp_path / "ours")


def test_a_name_that_leads_outside_is_refused(tmp_path):
    def strange(request):
        items = [{"name": "../../.bashrc", "size_bytes": 3}]
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"items": items, "next": None})
        return httpx.Response(200, json={"id": 7, "name": "x", "digest": ""})

    kos, _, _ = client(strange)
    with pytest.raises(DamagedError, match=r"\.\./\.\./\.bashrc"):
        kos.models.download(7, tmp_path / "ours")
    assert not (tmp_path.parent / ".bashrc").exists()


def test_files_that_were_deleted_are_said_to_be_gone(tmp_path):
    def freed(request):
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"items": [], "next": None})
        return httpx.Response(200, json={"id": 7, "name": "old adapter", "digest": ""})

    kos, _, _ = client(freed)
    with pytest.raises(KosError, match="old adapter is no longer"):
        kos.models.download(7, tmp_path / "ours")
