"""Is the engine behind this port at work? One real answer: /health answers while it hangs.

Usage inside a model server's container: alive.py chat | embed | rerank [URL]
A full queue (503 with a live /health) is an engine at work. Standard library only: it runs in vLLM's image.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request

TURN = [{"role": "user", "content": "Say yes."}]
QUESTIONS = {
    "chat": ("/v1/chat/completions", {"messages": TURN, "max_tokens": 1, "temperature": 0}),
    "embed": ("/v1/embeddings", {"input": "query: yes"}),
    "rerank": ("/v1/rerank", {"query": "yes", "documents": ["yes"]}),
}


def get(url: str, body: bytes | None = None) -> bytes:
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=50) as reply:
        return reply.read()


def alive(kind: str, url: str) -> bool:
    path, question = QUESTIONS[kind]
    try:
        name = json.loads(get(f"{url}/v1/models"))["data"][0]["id"]
        get(url + path, json.dumps({"model": name, **question}).encode())
    except urllib.error.HTTPError as error:
        if error.code != 503:
            return False
        try:
            get(f"{url}/health")
        except OSError:
            return False
    except (OSError, ValueError, LookupError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(not alive(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000"))
