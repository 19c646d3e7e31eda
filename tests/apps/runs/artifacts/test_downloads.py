from __future__ import annotations

import io
import tarfile
from hashlib import sha256

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from apps.runs.artifacts import downloads
from tests.factories import make_artifact, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # The test client's thread leaves its connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def model(artifacts):
    artifact = make_artifact("merged")
    folder = artifact.location
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "deep" / "weights.safetensors").write_bytes(b"w" * 1000)
    (folder / "link").symlink_to("/etc/hostname")
    return artifact


@pytest.fixture
def client(model):
    client = AsyncClient()
    client.force_login(make_user())
    return client


async def body_of(answer) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


async def test_the_archive_holds_every_file_and_is_as_long_as_it_says(client, model):
    answer = await client.get(f"/models/{model.pk}/download/")
    body = await body_of(answer)
    assert len(body) == int(answer["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(body)) as opened:
        found = {one.name.partition("/")[2]: opened.extractfile(one).read() for one in opened}
    assert found == {"config.json": b"{}", "deep/weights.safetensors": b"w" * 1000}


async def test_a_name_longer_than_a_block_of_a_tar_is_in_the_archive_too(client, model):
    name = f"{'é' * 90}/{'x' * 180}.safetensors"
    (model.location / name).parent.mkdir()
    (model.location / name).write_bytes(b"w")
    answer = await client.get(f"/models/{model.pk}/download/")
    body = await body_of(answer)
    assert len(body) == int(answer["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(body)) as opened:
        assert any(one.name.endswith(name) for one in opened)


async def test_a_file_comes_alone(client, model):
    answer = await client.get(f"/models/{model.pk}/files/deep/weights.safetensors")
    assert await body_of(answer) == b"w" * 1000
    assert "weights.safetensors" in answer["Content-Disposition"]


async def test_every_file_has_its_hash(client, model):
    answer = await client.get(f"/models/{model.pk}/hashes/")
    lines = (await body_of(answer)).decode().splitlines()
    assert lines == [
        f"{sha256(b'{}').hexdigest()}  config.json",
        f"{sha256(b'w' * 1000).hexdigest()}  deep/weights.safetensors",
    ]


@pytest.mark.parametrize("name", ["../secret", "link", "deep", "nothing", "%2e%2e/secret"])
async def test_nothing_but_listed_files_can_be_had(client, model, name):
    (model.location.parent / "secret").write_text("secret")
    answer = await client.get(f"/models/{model.pk}/files/{name}")
    assert answer.status_code in (301, 404)


async def test_a_clinician_downloads_nothing(client, model):
    clinician = await sync_to_async(make_user)(role="clinician")
    await client.aforce_login(clinician)
    assert (await client.get(f"/models/{model.pk}/download/")).status_code == 403


async def test_what_is_gone_is_said_to_be_gone(client, model):
    gone = await sync_to_async(make_artifact)("adapter")
    assert (await client.get(f"/models/{gone.pk}/download/")).status_code == 410
    assert downloads.files(gone) == []


async def test_a_file_goes_on_where_a_download_broke_off(client, model):
    address = f"/models/{model.pk}/files/deep/weights.safetensors"
    answer = await client.get(address, headers={"Range": "bytes=990-"})
    assert (answer.status_code, await body_of(answer)) == (206, b"w" * 10)
    assert answer["Content-Range"] == "bytes 990-999/1000"
