"""Documents over HTTP: uploads that are judged as they come, pages with regions, and the same 404 for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import KINDS
from api.settings import ApiSettings
from api.upload import label
from ingest.errors import Locked, NoPageImage
from ingest.records import Film, Framing, Outcome
from tests.api.conftest import Client
from tests.api.test_schemas import check
from tests.fakes import FakeAgent, FakeShelf, a_document

pytestmark = pytest.mark.anyio

HELD = a_document("report.pdf", tenant="default")
FOREIGN = a_document("secret.pdf", tenant="other")
#: Codes of files at fault, as ingestion names them (issue: errors).
AT_FAULT = [
    *("encrypted", "damaged", "empty", "too_large", "too_many_pages", "unknown_type"),
    *("unsafe_archive", "unsafe_markup", "timeout", "out_of_memory", "needs_program"),
]


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf(HELD, FOREIGN)


@pytest.fixture
def agent() -> FakeAgent:
    agent = FakeAgent({})
    agent.images[(HELD.id, 2)] = b"\x89PNG page two"
    return agent


def refused(name: str, code: str) -> Outcome:
    return Outcome(name=name, outcome="failed", reason=code, detail="Do something about it.")


async def test_an_upload_is_shelved_under_a_name_of_ours(
    client: Client, shelf: FakeShelf, settings: ApiSettings
) -> None:
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("../../etc/x y.PDF", b"%PDF")})
    assert told.status_code == 200
    assert told.json()["documents"][0]["outcome"] == "added"
    assert shelf.came == [("etc/x y.PDF", "default", "0.pdf", b"%PDF")]
    assert list((settings.home / "inbox").iterdir()) == []


async def test_many_files_come_in_one_request_and_one_bad_one_stops_nobody(
    client: Client, shelf: FakeShelf
) -> None:
    shelf.refusals["bad.pdf"] = refused("bad.pdf", "damaged")
    files = [("file", ("a.txt", b"a")), ("file", ("bad.pdf", b"b")), ("file", ("c.txt", b"c" * 5000))]
    async with client() as http:
        told = await http.post("/v1/documents", files=files, data={"collection": "reports"})
    assert [d["outcome"] for d in told.json()["documents"]] == ["added", "failed", "added"]
    assert {collection for _, collection, _, _ in shelf.came} == {"reports"}


@pytest.mark.parametrize("code", AT_FAULT)
async def test_a_file_at_fault_is_a_problem_with_its_code(
    client: Client, shelf: FakeShelf, code: str
) -> None:
    shelf.refusals["x.pdf"] = refused("x.pdf", code)
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x.pdf", b"x")})
    assert told.status_code == KINDS[code].status
    assert 400 <= told.status_code < 500
    assert told.headers["content-type"] == "application/problem+json"
    assert told.json()["code"] == code
    assert told.json()["detail"] == "Do something about it."
    assert told.json()["documents"][0]["outcome"] == "failed"


async def test_a_quarantined_file_is_told_as_such(client: Client, shelf: FakeShelf) -> None:
    shelf.refusals["x.pdf"] = Outcome(name="x.pdf", outcome="quarantined", id=HELD.id, reason="override")
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x.pdf", b"x")})
    assert (told.status_code, told.json()["code"]) == (422, "quarantined")


async def test_a_file_over_the_limit_is_cut_off_and_leaves_nothing(
    client: Client, shelf: FakeShelf, settings: ApiSettings
) -> None:
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("big.bin", b"x" * 10_001)})
    assert (told.status_code, told.json()["code"]) == (413, "too_large")
    assert shelf.came == []
    assert list((settings.home / "inbox").iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nxx",
        ),
        ("multipart/form-data; boundary=b", b"rubbish"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b""),
    ],
)
async def test_a_body_that_is_no_upload_is_refused(
    client: Client, shelf: FakeShelf, content_type: str, body: bytes
) -> None:
    async with client() as http:
        told = await http.post("/v1/documents", content=body, headers={"content-type": content_type})
    assert told.status_code in (400, 413)
    assert told.json()["code"] in ("bad_request", "too_large")
    assert shelf.came == []


@pytest.mark.parametrize("name", ["../x", "A", "x" * 65, "a/b", "a b"])
async def test_a_collection_has_a_plain_name(client: Client, shelf: FakeShelf, name: str) -> None:
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x", b"x")}, data={"collection": name})
    assert told.status_code == 400
    assert shelf.came == []


async def test_a_shelf_that_fails_leaves_nothing_in_the_inbox(
    client: Client, shelf: FakeShelf, settings: ApiSettings
) -> None:
    shelf.error = Locked("Another process owns this library: stop it.")
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x.pdf", b"x")})
    assert (told.status_code, told.json()["code"]) == (503, "locked")
    assert told.headers["retry-after"] == "5"
    assert list((settings.home / "inbox").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\files\\a.pdf", "files/a.pdf"),
        ("a\x00b\n.pdf", "ab.pdf"),
        ("\u202egpj.exe", "gpj.exe"),
        ("...", "..."),
        ("../..", "unnamed"),
        ("", "unnamed"),
        ("x" * 4096, "x" * 300),
    ],
)
def test_a_name_is_a_label_and_never_a_path(name: str, kept: str) -> None:
    assert label(name) == kept


async def test_a_list_holds_what_the_caller_may_see(client: Client) -> None:
    async with client() as http:
        told = (await http.get("/v1/documents")).json()
    assert [d["name"] for d in told["documents"]] == ["report.pdf"]


async def test_a_document_tells_its_pages(client: Client) -> None:
    async with client() as http:
        told = (await http.get(f"/v1/documents/{HELD.id}")).json()
    assert [page["url"] for page in told["page_images"]] == [
        f"/v1/documents/{HELD.id}/pages/{n}" for n in (1, 2, 3)
    ]


async def test_a_removed_document_is_gone(client: Client) -> None:
    async with client() as http:
        assert (await http.delete(f"/v1/documents/{HELD.id}")).json() == {"removed": [HELD.id]}
        assert (await http.delete(f"/v1/documents/{HELD.id}")).status_code == 404


_IDS = [
    FOREIGN.id,
    "00000000-0000-0000-0000-000000000000",
    "x",
    "..%2f..%2fetc",
    "%00",
    "*",
    "a" * 5000,
    HELD.id.upper(),
]


@pytest.mark.parametrize("document_id", _IDS)
async def test_absent_foreign_and_odd_ids_look_the_same(
    client: Client, agent: FakeAgent, shelf: FakeShelf, document_id: str
) -> None:
    calls = [
        ("GET", f"/v1/documents/{document_id}"),
        ("DELETE", f"/v1/documents/{document_id}"),
        ("GET", f"/v1/documents/{document_id}/pages/1"),
        ("GET", f"/v1/documents/{document_id}/pages/1/text"),
    ]
    async with client() as http:
        for method, path in calls:
            told = await http.request(method, path)
            assert told.status_code == 404
            assert told.json()["code"] == "not_found"
    assert FOREIGN.id in shelf.held


@pytest.mark.parametrize("page", ["0", "-1", "x", "1e9", "99999999999999999999", "%31%00"])
async def test_odd_pages_are_not_found(client: Client, page: str) -> None:
    async with client() as http:
        assert (await http.get(f"/v1/documents/{HELD.id}/pages/{page}")).status_code == 404


async def test_a_page_is_an_image_with_the_regions_asked_for(client: Client, agent: FakeAgent) -> None:
    async with client() as http:
        told = await http.get(f"/v1/documents/{HELD.id}/pages/2?boxes=0.1,0.2,0.3,0.4;0,0,1,1")
        again = await http.get(
            f"/v1/documents/{HELD.id}/pages/2", headers={"if-none-match": told.headers["etag"]}
        )
    assert told.headers["content-type"] == "image/png"
    assert told.headers["x-content-type-options"] == "nosniff"
    assert [(m.x0, m.y0, m.x1, m.y1) for m in agent.pages[0][3]] == [(0.1, 0.2, 0.3, 0.4), (0, 0, 1, 1)]
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "boxes",
    [
        "1",
        "0,0,1",
        "0,0,1,2",
        "0.5,0,0.5,1",
        "nan,0,1,1",
        "-1,0,1,1",
        "inf,0,1,1",
        "a,b,c,d",
        ";",
        "0,0,1,1;" * 65,
    ],
)
async def test_odd_boxes_are_refused(client: Client, agent: FakeAgent, boxes: str) -> None:
    async with client() as http:
        told = await http.get(f"/v1/documents/{HELD.id}/pages/2", params={"boxes": boxes})
    assert told.status_code == 400
    assert agent.pages == []


async def test_a_document_of_a_group_is_not_there_for_others(
    client: Client, shelf: FakeShelf, tmp_path: Path
) -> None:
    grouped: Any = replace(HELD, groups=("board",))
    shelf.held = {grouped.id: grouped}
    async with client() as http:
        assert (await http.get("/v1/documents")).json() == {"documents": []}
        assert (await http.get(f"/v1/documents/{HELD.id}")).status_code == 404


async def test_webp_comes_only_to_who_names_it(client: Client, agent: FakeAgent) -> None:
    path = f"/v1/documents/{HELD.id}/pages/2"
    wanted = {
        "image/avif,image/webp,*/*": "image/webp",
        "image/webp;q=0.5": "image/webp",
        "image/webp;q=0": "image/png",
        "*/*": "image/png",
        "": "image/png",
    }
    async with client() as http:
        for accept, media_type in wanted.items():
            told = await http.get(path, headers={"accept": accept})
            assert told.headers["content-type"] == media_type
            assert told.headers["vary"] == "accept"
    assert [framing.form for framing in agent.framings] == [kind[6:] for kind in wanted.values()]


async def test_a_page_comes_small_or_large_whole_or_cut(client: Client, agent: FakeAgent) -> None:
    path = f"/v1/documents/{HELD.id}/pages/2"
    async with client() as http:
        await http.get(f"{path}?size=small")
        await http.get(f"{path}?boxes=0,0,1,1&crop=1")
        assert (await http.get(f"{path}?size=huge")).status_code == 400
    assert agent.framings == [Framing(size="small"), Framing(cut="marks")]


async def test_a_document_without_page_images_offers_none_and_says_so(
    client: Client, agent: FakeAgent, shelf: FakeShelf
) -> None:
    shelf.imageless.add(HELD.id)
    agent.images[(HELD.id, 1)] = NoPageImage("report.txt has no page images.")
    async with client() as http:
        assert (await http.get(f"/v1/documents/{HELD.id}")).json()["page_images"] == []
        told = await http.get(f"/v1/documents/{HELD.id}/pages/1")
    assert (told.status_code, told.json()["code"]) == (404, "no_page_image")


async def test_a_page_is_told_as_text(client: Client, agent: FakeAgent) -> None:
    agent.texts[(HELD.id, 1)] = ("Annual leave is 25 days.", "Parking is free.")
    async with client() as http:
        told = await http.get(f"/v1/documents/{HELD.id}/pages/1/text")
        absent = await http.get(f"/v1/documents/{FOREIGN.id}/pages/1/text")
    check("page_text", told.json())
    assert told.json() == {"no": 1, "passages": ["Annual leave is 25 days.", "Parking is free."]}
    assert (absent.status_code, absent.json()["code"]) == (404, "not_found")


async def test_a_film_is_played_from_any_byte_to_who_may_see_it(
    client: Client, agent: FakeAgent, shelf: FakeShelf, tmp_path: Path
) -> None:
    path = tmp_path / "original.mp4"
    path.write_bytes(bytes(range(200)))
    agent.films[("default", HELD.id)] = Film(path=path, media_type="video/mp4", revision="r")
    agent.films[("other", FOREIGN.id)] = Film(path=path, media_type="video/mp4", revision="r")
    shelf.seconds[HELD.id] = {1: (0.0, 4.5)}
    async with client() as http:
        told = (await http.get(f"/v1/documents/{HELD.id}")).json()
        whole = await http.get(told["video"])
        part = await http.get(told["video"], headers={"range": "bytes=100-109"})
        beyond = await http.get(told["video"], headers={"range": "bytes=900-"})
        foreign = await http.get(f"/v1/documents/{FOREIGN.id}/video")
        odd = await http.get("/v1/documents/..%2f..%2fx/video")
    assert told["page_images"][0]["start_s"] == 0.0
    assert told["page_images"][0]["end_s"] == 4.5
    assert told["page_images"][1]["start_s"] is None
    assert (whole.status_code, whole.headers["content-type"], len(whole.content)) == (200, "video/mp4", 200)
    assert (part.status_code, part.content) == (206, bytes(range(100, 110)))
    assert part.headers["content-range"] == "bytes 100-109/200"
    assert beyond.status_code == 416
    assert (foreign.status_code, odd.status_code) == (404, 404)
    assert foreign.json()["detail"] == "There is no such document or page here."


async def test_a_document_that_is_no_video_names_none(client: Client) -> None:
    async with client() as http:
        told = (await http.get(f"/v1/documents/{HELD.id}")).json()
    assert told["video"] is None
