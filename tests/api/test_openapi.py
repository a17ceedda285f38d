"""The OpenAPI document holds: schemathesis makes up requests from it, with a key and without."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent.records import Sentence, Turn
from api.app import create_app
from api.auth import POLICY
from api.settings import ApiSettings
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, a_house, an_answer, telling

KEY = "a-key-of-enough-length"
ANSWER = an_answer(Sentence(text="It is so.", citations=(1,)), citations=(a_citation(1),))
CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


#: Streams until whoever asked has left.
ENDLESS = "/v1/jobs/events"


class Obliging(FakeAgent):
    """Answers whatever it is asked."""

    async def ask(self, question: Any) -> Any:
        """Tell the one answer."""
        for event in telling(ANSWER):
            yield event


def schema(home: Path) -> Any:
    agent = Obliging({})
    held = a_document(tenant="default")
    agent.images = {(held.id, 1): b"png"}
    agent.texts = {(held.id, 1): ("words",)}
    agent.talks = {("default", "t1"): (Turn(role="user", text="x"),)}
    app = create_app(
        a_house(agent, FakeShelf(held)), settings=ApiSettings(home=home, api_key=KEY, host="0.0.0.0")
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def sweep(home: Path, *, each: int, key: str | None) -> Counter[tuple[str, int]]:
    """Send `each` made-up requests to every operation; return how often each status came."""
    found: Counter[tuple[str, int]] = Counter()
    for result in schema(home).get_all_operations():
        if result.ok().path != ENDLESS:
            probe(result.ok(), each=each, key=key, found=found)
    return found


def probe(operation: Any, *, each: int, key: str | None, found: Counter[tuple[str, int]]) -> None:
    """Send made-up requests to one operation."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    closed = key is None and POLICY[operation.method.upper(), operation.path] is not None

    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Case) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)
        assert not closed or response.status_code in (400, 401, 413), "nothing opens without a key"
        found[operation.label, response.status_code] += 1

    run()


@pytest.mark.parametrize("key", [KEY, None])
def test_made_up_requests_find_no_error_of_ours(tmp_path: Path, key: str | None) -> None:
    found = sweep(tmp_path, each=5, key=key)
    assert {label for label, _ in found} == {
        f"{m} {p}" for m, p in POLICY if p not in ("/", "/mcp", "/metrics", ENDLESS)
    }
    if key is not None:
        assert {status for _, status in found} >= {200, 201}


@pytest.mark.soak
@pytest.mark.parametrize("key", [KEY, None])
def test_many_made_up_requests_find_no_error_of_ours(tmp_path: Path, key: str | None) -> None:
    found = sweep(tmp_path, each=250, key=key)
    by_status = Counter[int]()
    for (_, status), many in found.items():
        by_status[status] += many
    print(
        f"{'with' if key else 'without'} a key: {found.total()} requests, {dict(sorted(by_status.items()))}"
    )
    assert found.total() > 5000
