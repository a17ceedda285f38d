"""`POST /slack/events`: events, commands and buttons over HTTP, for whoever runs no Socket Mode."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.slack.app import SlackApp


def router_of(app: SlackApp) -> APIRouter:
    """Return the one route; its key is Slack's signature."""
    router = APIRouter(tags=["slack"])

    @router.post("/slack/events")
    async def events(request: Request) -> Response:
        """Take in what Slack sends; 401 for anything that Slack did not sign just now."""
        status, headers, body = await app.receive(await request.body(), request.headers)
        return Response(body, status_code=status, headers=headers)

    return router
