"""One vendor, one file: who may import what, read from the syntax tree, so that no vendor spreads unseen."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "api", "guardrails", "ingest")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: Plain types and plumbing that any file may use.
COMMON = {"anyio", "numpy", "pydantic", "pydantic_settings", "typing_extensions"}
#: Every other package from outside, and the files (or folders, with a slash) that may import it.
OWNERS: dict[str, tuple[str, ...]] = {
    "PIL": ("ingest/", "api/benchmark/"),
    "aiohttp": ("api/slack/web.py",),
    "av": ("ingest/video.py",),
    "aiosqlite": ("agent/threads.py",),
    "charset_normalizer": ("ingest/charset.py",),
    "docutils": ("ingest/elements.py",),
    "faster_whisper": ("ingest/speech.py",),
    "fastapi": ("api/",),
    "filelock": ("ingest/weights.py", "api/wiring.py"),
    "fsspec": ("ingest/objects.py",),
    "httpcore2": ("ingest/fetch.py",),
    "httpx": ("ingest/weights.py",),
    "httpx2": ("ingest/served.py", "api/cli/", "api/benchmark/door.py", "api/tokens.py", "api/mcp.py"),
    "huggingface_hub": ("ingest/weights.py",),
    "joserfc": ("api/tokens.py",),
    "langgraph": ("agent/",),
    "limits": ("api/limits.py",),
    "llama_index": ("ingest/chunk.py",),
    "lxml": ("ingest/elements.py",),
    "markdown": ("ingest/elements.py",),
    "mcp": ("api/mcp.py", "api/mcp_door.py"),
    "msoffcrypto": ("ingest/locked.py",),
    "nemoguardrails": ("guardrails/nemo.py",),
    "onnxruntime": ("ingest/onnx.py", "guardrails/onnx.py"),
    "openai": ("ingest/served.py",),
    "openpyxl": ("ingest/sheets.py",),
    "oxmsg": ("ingest/mail.py",),
    "opentelemetry": ("api/telemetry.py",),
    "pi_heif": ("ingest/child.py",),
    "pptx": ("ingest/elements.py",),
    "prometheus_client": ("api/telemetry.py",),
    "pypdfium2": ("ingest/pages.py", "ingest/layer.py", "ingest/paint.py"),
    "python_multipart": ("api/upload.py",),
    "qdrant_client": ("ingest/index_server.py",),
    "qdrant_edge": ("ingest/index_edge.py",),
    "rapid_layout": ("ingest/ocr.py",),
    "rapidocr": ("ingest/ocr.py",),
    "rich": ("api/cli/",),
    "slack_bolt": ("api/slack/app.py",),
    "slack_sdk": ("api/slack/app.py", "api/slack/web.py"),
    "spacy": ("ingest/elements.py", "guardrails/ner.py"),
    "starlette": ("api/",),
    "tokenizers": ("ingest/onnx.py", "guardrails/onnx.py"),
    "typer": ("api/cli/",),
    "unstructured": ("ingest/elements.py",),
    "uvicorn": ("api/cli/", "api/benchmark/door.py"),
    "xllamacpp": ("ingest/local_llm.py",),
    "xlrd": ("ingest/sheets.py",),
    "yaml": ("guardrails/yaml_files.py",),
}
#: LangGraph's own machinery; other files of the agent are nodes and may take its Runtime and Send alone.
GRAPH = ("agent/graph.py", "agent/threads.py")
#: What the agent may know of ingestion.
PUBLIC_INGEST = {"ingest.errors", "ingest.library", "ingest.records", "ingest.served", "ingest.vision"}
#: Where content is kept: api reaches it through the agent, and only the wiring builds it.
SHELVES = ("ingest.index", "ingest.library", "ingest.registry", "ingest.embed", "ingest.rerank")


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, *, types_too: bool = True) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (module, names) of every import, also those inside functions."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = set() if types_too else {id(n) for block in typing_blocks(tree) for n in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, tuple(alias.name for alias in node.names)


def typing_blocks(tree: ast.AST) -> Iterator[ast.If]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield node


def allowed(where: str, owners: tuple[str, ...]) -> bool:
    return any(where == owner or (owner.endswith("/") and where.startswith(owner)) for owner in owners)


def below(folder: str) -> list[Path]:
    return [path for path in FILES if place(path).startswith(folder)]


def ours(path: Path) -> set[str]:
    return {module.partition(".")[0] for module, _ in imports(path)} & set(PACKAGES)


def test_a_vendor_is_imported_by_its_own_file_alone() -> None:
    strangers = []
    for path in FILES:
        for module, _ in imports(path):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in PACKAGES or top in COMMON:
                continue
            if not allowed(place(path), OWNERS.get(top, ())):
                strangers.append((place(path), module))
    assert strangers == []


def test_nodes_take_only_runtime_and_send_of_langgraph() -> None:
    taken = {
        (place(path), name)
        for path in FILES
        if place(path) not in GRAPH
        for module, names in imports(path)
        if module.startswith("langgraph")
        for name in names
    }
    assert [name for name in taken if name[1] not in {"Runtime", "Send"}] == []


def test_the_agent_knows_only_the_public_face_of_ingest() -> None:
    used = {
        (place(path), module)
        for path in below("agent/")
        for module, _ in imports(path)
        if module.partition(".")[0] == "ingest"
    }
    assert [use for use in used if use[1] not in PUBLIC_INGEST] == []


def test_guardrails_import_nothing_of_ours() -> None:
    assert {place(path): ours(path) for path in below("guardrails/") if ours(path) - {"guardrails"}} == {}


def test_ingest_imports_neither_agent_nor_guardrails_nor_api() -> None:
    assert {place(path): ours(path) for path in below("ingest/") if ours(path) - {"ingest"}} == {}


def test_only_the_wiring_touches_what_keeps_content() -> None:
    used = [
        (place(path), module)
        for path in below("api/")
        if place(path) != "api/wiring.py"
        for module, _ in imports(path, types_too=False)
        if module.startswith(SHELVES)
    ]
    assert used == []


def test_importing_a_package_imports_no_vendor() -> None:
    for package in PACKAGES:
        modules = {module.partition(".")[0] for module, _ in imports(ROOT / package / "__init__.py")}
        assert modules <= {"__future__", package}
