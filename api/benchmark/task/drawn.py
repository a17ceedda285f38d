"""How lmms-eval reads an item of ours: it imports this file beside its task; nothing of ours does."""

from __future__ import annotations

from typing import Any

from PIL import Image


def pictures(doc: dict[str, Any]) -> list[Image.Image]:
    """Open the item's picture."""
    return [Image.open(doc["picture"]).convert("RGB")]


def question(doc: dict[str, Any], _: object = None) -> str:
    """Ask so that the answer can be compared letter by letter."""
    return f"{doc['question']} Answer with one word or number and nothing else."
