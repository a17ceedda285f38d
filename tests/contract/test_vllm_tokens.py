"""Pages cost what the plan says, on a server whose tiles have their true size."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.contract.vllm_cpu.server import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

#: 256 a tile, two marks an image; pixels hardly matter, the ratio does.
PAGES = {
    "one tile": (512, 512, 258),
    "A4 upright, 150 dpi": (1240, 1754, 1794),
    "A4 lying": (1754, 1240, 3330),
    "Letter, 150 dpi": (1275, 1650, 3330),
    "Letter padded to the ratio of A4": (1275, 1803, 1794),
}


def tokens(server: Running, *parts: dict[str, Any]) -> int:
    asked = {"model": server.name, "messages": [{"role": "user", "content": list(parts)}]}
    return int(httpx2.post(f"{server.url}/tokenize", json=asked, timeout=120.0).json()["count"])


def page(width: int, height: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_costs_what_the_plan_says(vision_512: Running, name: str) -> None:
    width, height, cost = PAGES[name]
    text = {"type": "text", "text": "Read."}
    assert tokens(vision_512, page(width, height), text) - tokens(vision_512, text) == cost


def test_a_whole_page_is_read_by_the_engine_at_that_price(vision_512: Running) -> None:
    text = {"type": "text", "text": "Read."}
    asked = {
        "model": vision_512.name,
        "messages": [{"role": "user", "content": [page(1240, 1754), text]}],
        "max_tokens": 1,
    }
    reply = httpx2.post(f"{vision_512.base_url}/chat/completions", json=asked, timeout=300.0).json()
    assert reply["usage"]["prompt_tokens"] == tokens(vision_512, page(1240, 1754), text)
