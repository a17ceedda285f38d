"""Settings of the ways in: where the library lives, what to listen on, who writes."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.providers import OTHER, is_elsewhere, name_of, providers
from ingest.turns import Reasoning

#: Names of tenants and collections: short, lower case, no separators that a path or a filter would read.
NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
#: Names of groups, which a provider gives: no control characters, no comma, which separates them in a form.
GROUP = r"^[^\x00-\x1f\x7f,]{1,128}$"
#: How a provider may sign: with a key of its own only; a shared secret would let us sign too.
SIGNATURES = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"}
)


def is_loopback(host: str) -> bool:
    """Say whether `host`, a name or an address, is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _below(field: str, otherwise: str) -> Any:
    def folder(values: dict[str, Any]) -> Path:
        base = values.get(field)
        return (base if base is not None and base.is_absolute() else Path.home() / otherwise) / "pagewarden"

    return folder


class ApiSettings(BaseSettings):
    """Every field has a laptop default; each is an environment variable `PAGEWARDEN_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="PAGEWARDEN_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    xdg_data_home: Annotated[Path | None, Field(validation_alias="XDG_DATA_HOME")] = None
    """The platform's data folder (`XDG_DATA_HOME`); `~/.local/share` where unset."""
    xdg_cache_home: Annotated[Path | None, Field(validation_alias="XDG_CACHE_HOME")] = None
    """The platform's cache folder (`XDG_CACHE_HOME`); `~/.cache` where unset."""
    home: Path = Field(default_factory=_below("xdg_data_home", ".local/share"))
    """The library: index, registry, copies of the documents, threads."""
    weights: Path = Field(
        default_factory=lambda values: _below("xdg_cache_home", ".cache")(values) / "weights"
    )
    """The pinned model files; may be shared by many libraries."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs `api_key`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    public_url: str | None = None
    """How callers reach us, for links in citations ("https://docs.example.org"); None: as they asked."""
    api_key: SecretStr | None = None
    """The owner's Bearer key; None: this machine may call without one. More: `pagewarden keys create`."""
    caller_key: SecretStr | None = None
    """As whom `pagewarden mcp` calls: a key of `pagewarden keys create`; None: as the owner."""
    groups: tuple[Annotated[str, Field(pattern=GROUP)], ...] = ()
    """Groups that the owner is in, a JSON list: documents shared with others are hidden from the owner."""
    oidc_issuer: str | None = None
    """The OpenID provider whose tokens are taken as Bearer keys ("https://login.example.org")."""
    oidc_audience: str | None = None
    """The audience that a token must name; needed with `oidc_issuer`."""
    oidc_jwks_url: str | None = None
    """Where the provider's keys are; None: as its discovery document says."""
    oidc_algorithms: tuple[str, ...] = ("RS256", "ES256")
    """Signatures that are taken, a JSON list."""
    oidc_groups_claim: str = "groups"
    """The claim with the groups of whoever signed in."""
    oidc_groups: dict[str, str] | None = None
    """The provider's groups by our names, a JSON object: others do not count. None: as they are."""
    oidc_tenant_claim: str | None = None
    """The claim with the tenant; None: `tenant` for all."""
    oidc_editors: frozenset[str] = frozenset()
    """The provider's groups whose members may add and remove documents, a JSON list."""
    oidc_admins: frozenset[str] = frozenset()
    """The provider's groups whose members may read the audit as well, a JSON list."""
    provider: str | None = None
    """Whose server that is: a row of ingest/providers.toml ("vllm", "nim"); None: told by its address."""
    model_url: str | None = None
    """Base URL of an OpenAI-compatible model server, ending in /v1."""
    model: str | None = None
    """The model's name there."""
    model_key: SecretStr | None = None
    """The key for it."""
    model_context_tokens: Annotated[int, Field(ge=1024)] = 32_768
    """Its context window, tokens."""
    model_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """Longest wait for it."""
    model_sees_images: bool = False
    """Whether it reads page images; then it is also the eyes."""
    model_is_ours: bool | None = None
    """Whether its server is ours; if not, it is asked with personal data masked. None: its address tells."""
    model_switch: Literal["auto", "words", "template", "none"] = "auto"
    """How it is told whether to think: by `/think` and `/no_think` in the system turn, by an argument of its
    chat template, or not at all; auto: as its provider and its family are told."""
    model_reasoning: Reasoning = "off"
    """Whether it thinks before it answers, where a question does not say; never about videos or by schema."""
    model_thought_tokens: Annotated[int, Field(ge=64)] = 2048
    """Longest thought before an answer, tokens, whatever a question asks for."""
    model_most_at_once: Annotated[int, Field(ge=1, le=4096)] = 64
    """Most requests under way at its server; batches take what people leave of what the server can do."""
    model_prioritises: bool = False
    """Whether its server runs with `--scheduling-policy=priority`; then people go first inside it too."""
    model_salts: bool = False
    """Whether its server caches prefixes; then they are salted, so that no tenant can time another's."""
    parser_url: str | None = None
    """Base URL of a server of Nemotron Parse, ending in /v1; then it reads the pages that want eyes."""
    parser_model: str = "nvidia/nemotron-parse"
    """The model's name there."""
    parser_key: SecretStr | None = None
    """The key for it."""
    parser_form: Literal["vllm", "nim"] = "vllm"
    """What serves it: vLLM answers with tagged text, NIM with a tool call."""
    local_context_tokens: Annotated[int, Field(ge=1024)] = 4096
    """Context window of the local model, tokens."""
    writer: Literal["auto", "served", "local", "quotes"] = "auto"
    """Who writes; auto: the served model if one is named, else the local file if it is there, else quotes."""
    qdrant_url: str | None = None
    """A Qdrant server instead of the index in this process."""
    qdrant_key: SecretStr | None = None
    """The key for it."""
    policy: str = "default"
    """The policy of the rails: a name of ours, or a path to a YAML file."""
    max_upload_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024
    """Largest file taken over HTTP, bytes."""
    upload_wait_s: Annotated[float, Field(ge=0)] = 120.0
    """Longest that an upload over HTTP waits for its documents; then it answers with the jobs."""
    work: Literal["inside", "apart"] = "inside"
    """Who reads what comes in: the server itself, or `pagewarden worker` (with a Qdrant server only)."""
    tenant: Annotated[str, Field(pattern=NAME)] = "default"
    """Whose library this is, for callers without a tenant of their own."""
    collection: Annotated[str, Field(pattern=NAME)] = "default"
    """Where files go that name no collection."""
    page_link_s: Annotated[float, Field(gt=0)] = 3600.0
    """How long the signed link of a cited page works for callers with a key, seconds."""
    recheck_s: Annotated[float, Field(gt=0, le=10)] = 0.5
    """How often an open stream looks whether its caller may still listen, seconds."""
    requests_a_minute: Annotated[int | None, Field(ge=1)] = None
    """Requests that each caller may make in a minute; None: as many as it likes. A key may say otherwise."""
    tenant_requests_a_minute: Annotated[int | None, Field(ge=1)] = None
    """The same for all callers of a tenant together."""
    user_requests_a_minute: Annotated[int | None, Field(ge=1)] = None
    """Questions a minute of each `user` that a client names in its requests."""
    tokens_a_day: Annotated[int | None, Field(ge=1)] = None
    """Tokens (four bytes each) that each caller may ask and be answered in a day."""
    tenant_tokens_a_day: Annotated[int | None, Field(ge=1)] = None
    """The same for all callers of a tenant together."""
    pages_a_day: Annotated[int | None, Field(ge=1)] = None
    """Pages that each caller may add in a day."""
    tenant_pages_a_day: Annotated[int | None, Field(ge=1)] = None
    """The same for all callers of a tenant together."""
    tenant_storage_bytes: Annotated[int | None, Field(ge=1)] = None
    """Bytes that the documents of a tenant may hold together."""
    max_streams: Annotated[int, Field(ge=1)] = 256
    """Answers that are given at once; more are told to come again."""
    streams_each: Annotated[int | None, Field(ge=1)] = None
    """Answers at once for each caller."""
    limits_store: str = "memory://"
    """Where requests are counted: in this process, or for many in "redis://…" (wants the package redis)."""
    log: Literal["off", "json"] = "off"
    """What `serve` says of each request on stderr: nothing, or a line of JSON with ids and no text."""
    metrics: bool = False
    """Count for `/metrics` (Prometheus; wants the extra `otel`): told to this machine and to admins."""
    otlp_url: str | None = None
    """Where traces are sent, without any text in them ("http://collector:4318/v1/traces"); None: nowhere."""
    heartbeat_s: Annotated[float, Field(gt=0)] = 15.0
    """Silence on a stream after which a comment line is sent, so that proxies keep it open."""

    @model_validator(mode="after")
    def _safe(self) -> ApiSettings:
        if not is_loopback(self.host) and self.api_key is None and self.oidc_issuer is None:
            raise ValueError(
                f"refusing to listen on {self.host} without a key, because anyone who reaches this machine "
                "could read the library: set PAGEWARDEN_API_KEY, or listen on 127.0.0.1"
            )
        if self.api_key is not None and len(self.api_key.get_secret_value()) < 16:
            raise ValueError("PAGEWARDEN_API_KEY is shorter than 16 characters: choose a longer one")
        if self.oidc_issuer is not None:
            self._judge_provider(self.oidc_issuer)
        if self.provider is not None and self.provider not in providers():
            raise ValueError(f"PAGEWARDEN_PROVIDER is none of {', '.join(providers())}")
        if self.work == "apart" and self.qdrant_url is None:
            raise ValueError(
                "PAGEWARDEN_WORK=apart needs PAGEWARDEN_QDRANT_URL: without a Qdrant server the index "
                "belongs to one process, and nobody else can write to it"
            )
        if self.writer == "served" and not (self.model_url and self.model):
            raise ValueError("PAGEWARDEN_WRITER=served needs PAGEWARDEN_MODEL_URL and PAGEWARDEN_MODEL")
        return self

    def _judge_provider(self, issuer: str) -> None:
        if self.oidc_audience is None:
            raise ValueError(
                "PAGEWARDEN_OIDC_ISSUER needs PAGEWARDEN_OIDC_AUDIENCE, else any token of it opens"
            )
        if not self.oidc_algorithms or not SIGNATURES.issuperset(self.oidc_algorithms):
            raise ValueError(f"PAGEWARDEN_OIDC_ALGORITHMS are some of {', '.join(sorted(SIGNATURES))}")
        for url in (issuer, self.oidc_jwks_url or issuer):
            parts = urlsplit(url)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
                raise ValueError(f"PAGEWARDEN_OIDC_*: {url} is not an https address")

    @property
    def served_by(self) -> str | None:
        """The provider's row: as set, else as the address tells; None where no server is named."""
        return (self.provider or name_of(self.model_url)) if self.model_url else None

    @property
    def model_elsewhere(self) -> bool:
        """Whether the model's server is somebody else's."""
        if self.model_is_ours is not None or self.model_url is None:
            return self.model_is_ours is False
        return is_elsewhere(self.model_url, self.served_by or OTHER)
