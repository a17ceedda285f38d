"""Messages of Slack drawn as a page of HTML: enough of Block Kit for whatever our bot sends, and no more.

It is our own drawing, not Slack's: what stands where, what is bold, linked, a button or a picture is what the
JSON says. A block that the bot never sends is refused rather than left out, so that no picture hides one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tests.slack_fake import Message

Json = Mapping[str, Any]

_STYLE = """
* { box-sizing: border-box; margin: 0 }
body { font: 15px/1.46 system-ui, "DejaVu Sans", sans-serif; color: #1d1c1d; background: #fff; }
body { padding: 18px 22px; width: 760px }
.said { display: grid; grid-template-columns: 38px 1fr; gap: 0 10px; padding: 7px 0 }
.face { width: 36px; height: 36px; border-radius: 8px; color: #fff; font-weight: 700 }
.face { display: grid; place-items: center }
.who { font-weight: 800 }
.app { font-size: 10px; background: #ddd; border-radius: 3px; padding: 1px 4px; vertical-align: 2px }
.only { color: #616061; font-size: 12px; padding-bottom: 2px }
.private { background: #fdf7e3; border-radius: 8px; padding: 7px 8px; margin: 4px -8px }
.rich, .section, .stream { white-space: pre-wrap; overflow-wrap: anywhere; padding: 3px 0 }
.rich a, .section a { color: #1264a3; text-decoration: none }
.context { color: #616061; font-size: 13px; padding: 4px 0 }
hr { border: 0; border-top: 1px solid #ddd; margin: 9px 0 }
.row { display: flex; flex-wrap: wrap; gap: 8px; padding: 7px 0 }
.button { border: 1px solid #bbb; border-radius: 8px; padding: 4px 12px; background: #fff }
.button { font-weight: 700; font-size: 13px }
.quiet { font-weight: 400; color: #616061; border-color: #ddd }
.tasks { border-left: 2px solid #ddd; padding-left: 10px; margin: 3px 0 7px }
.tasks { color: #616061; font-size: 13px }
.tasks .mark { display: inline-block; width: 18px; color: #007a5a }
.tasks .going { color: #b5830f }
.pictures { display: flex; flex-direction: column; gap: 8px; padding: 4px 0 }
.pictures img { max-width: 640px; border: 1px solid #ddd; border-radius: 6px; display: block }
.title { font-size: 12px; color: #616061; padding-bottom: 3px }
.window { border: 1px solid #bbb; border-radius: 10px; box-shadow: 0 3px 14px #0003 }
.window { padding: 14px 18px; width: 560px; margin: 6px 0 }
.window h2 { font-size: 18px; padding-bottom: 8px }
.field { border: 1px solid #bbb; border-radius: 6px; height: 64px; margin: 5px 0 12px }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something that somebody said, as it shall be drawn."""

    who: str
    #: From us, so that it is marked as an app's.
    app: bool = False
    message: Message | Json
    #: Only this person sees it.
    only: str = ""
    #: (title, PNG) of files that came with it.
    pictures: tuple[tuple[str, bytes], ...] = ()


def page(items: Sequence[Said], *, windows: Sequence[Json] = ()) -> str:
    """Return a page with messages, oldest first, and windows below them."""
    body = "".join(map(_said, items)) + "".join(map(_window, windows))
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><body>{body}</body>'


def _said(item: Said) -> str:
    colour = "#3b4a8f" if item.app else "#8f5a3b"
    app = ' <span class="app">APP</span>' if item.app else ""
    only = f'<div class="only">Only visible to {escape(item.only)}</div>' if item.only else ""
    pictures = "".join(map(_picture, item.pictures))
    inside = only + _message(item.message) + (f'<div class="pictures">{pictures}</div>' if pictures else "")
    return (
        f'<div class="said{" private" if item.only else ""}">'
        f'<div class="face" style="background:{colour}">{escape(item.who[:1])}</div>'
        f'<div><div class="who">{escape(item.who)}{app}</div>{inside}</div></div>'
    )


def _picture(picture: tuple[str, bytes]) -> str:
    title, content = picture
    data = base64.b64encode(content).decode()
    return f'<div><div class="title">{escape(title)}</div><img src="data:image/png;base64,{data}"></div>'


def _message(message: Message | Json) -> str:
    if not isinstance(message, Message):
        return _blocks(message.get("blocks") or []) or _plain(str(message.get("text", "")))
    tasks = "".join(map(_task, message.tasks.values()))
    parts = [f'<div class="tasks">{tasks}</div>'] if tasks else []
    if message.streamed:
        # Markdown, every mark of which the bot escapes; what is left unescaped would show as such.
        words = _seen(re.sub(r"\\([\\`*_~\[\]()#>|!+-])", r"\1", message.streamed))
        parts.append(f'<div class="stream">{escape(words)}</div>')
    parts.append(_blocks(message.blocks))
    return "".join(parts) if any(parts) else _plain(message.text)


def _plain(text: str) -> str:
    return f'<div class="section">{escape(_seen(text))}</div>'


def _task(task: Json) -> str:
    done = task["status"] == "complete"
    mark = '<span class="mark">✓</span>' if done else '<span class="mark going">…</span>'
    return f"<div>{mark}{escape(_seen(task['title']))}</div>"


def _blocks(blocks: Sequence[Json]) -> str:
    return "".join(map(_block, blocks))


def _block(block: Json) -> str:
    match block["type"]:
        case "rich_text":
            pieces = "".join(_piece(one) for part in block["elements"] for one in part["elements"])
            return f'<div class="rich">{pieces}</div>'
        case "section":
            return f'<div class="section">{escape(_seen(block["text"]["text"]))}</div>'
        case "context":
            return f'<div class="context">{escape(_seen(block["elements"][0]["text"]))}</div>'
        case "divider":
            return "<hr>"
        case "actions":
            return f'<div class="row">{"".join(map(_button, block["elements"]))}</div>'
        case "context_actions":
            return f'<div class="row">{"".join(map(_feedback, block["elements"]))}</div>'
        case "input":
            return f'<div class="who">{escape(block["label"]["text"])}</div><div class="field"></div>'
    raise ValueError(f"The bot is not known to send a block of type {block['type']!r}.")


def _piece(piece: Json) -> str:
    words, style = escape(piece["text"]), piece.get("style", {})
    for name, tag in (("bold", "b"), ("italic", "i")):
        if style.get(name):
            words = f"<{tag}>{words}</{tag}>"
    match piece["type"]:
        case "text":
            return words
        case "link":
            return f'<a href="{escape(piece["url"])}">{words}</a>'
    raise ValueError(f"The bot is not known to send a piece of type {piece['type']!r}.")


def _button(button: Json) -> str:
    return f'<span class="button">{escape(button["text"]["text"])}</span>'


def _feedback(element: Json) -> str:
    if element["type"] != "feedback_buttons":
        raise ValueError(f"The bot is not known to send an element of type {element['type']!r}.")
    good, bad = (element[side]["text"]["text"] for side in ("positive_button", "negative_button"))
    return (
        f'<span class="button quiet">▲ {escape(good)}</span><span class="button quiet">▼ {escape(bad)}</span>'
    )


def _window(view: Json) -> str:
    buttons = [view[side]["text"] for side in ("close", "submit") if side in view]
    row = "".join(f'<span class="button">{escape(text)}</span>' for text in buttons)
    title = escape(view["title"]["text"])
    return f'<div class="window"><h2>{title}</h2>{_blocks(view["blocks"])}<div class="row">{row}</div></div>'


def _seen(text: str) -> str:
    """Return what people see of mrkdwn: its three entities are characters, and joiners are nothing."""
    shown = text.replace("\u2060", "").replace("&lt;", "<").replace("&gt;", ">")
    return shown.replace("&amp;", "&")
