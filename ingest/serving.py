"""The model servers we run ourselves: for each role its checkpoint, and every flag of `vllm serve`.

The one source of these flags: `pagewarden models serve` starts them, docker-compose.yml repeats them, and a
test holds the two together. They are those of vLLM 0.32. What each of them prevents:
prefix caching kills the engine with Nemotron Nano 2 VL; a reasoning parser puts plain answers into the
reasoning field; an unbounded queue lets everybody time out; without the last two a prompt can make the server
fetch any address it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

Role = Literal["vision", "embed", "rerank", "guard", "parse"]
ROLES: tuple[Role, ...] = get_args(Role)

#: Chat templates for checkpoints that bring none, or one that does not fit how they are asked.
TEMPLATES = Path(__file__).with_name("templates")
#: Stands where a commit must be named and is none, so that a server without one refuses to start.
UNPINNED = "name-a-commit"

#: Holds for every server. The media domain does not exist: pages and videos go as `data:` URLs only.
_COMMON = ("--no-enable-prefix-caching", "--allowed-media-domains=nowhere.invalid")
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model repository; `revision` is the commit that was looked at, None where nobody has named one."""

    repository: str
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServer:
    """One vLLM server: what it serves, under which name, with which flags."""

    role: Role
    #: By precision; the first one is the default.
    checkpoints: Mapping[str, Checkpoint]
    #: What requests call it.
    name: str
    #: Python of the repository is run while it loads; then a commit must be named.
    runs_its_code: bool
    #: Share of the GPU's memory when all four of the gpu profile stand on one of 80 GB.
    gpu_memory: float
    flags: tuple[str, ...]
    #: A file of TEMPLATES.
    template: str | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint of the default precision."""
        return next(iter(self.checkpoints.values()))

    def command(
        self,
        *,
        model: str | None = None,
        revision: str | None = None,
        gpu_memory: float | None = None,
        host: str = "127.0.0.1",
        port: int = 8000,
        templates: Path = TEMPLATES,
    ) -> list[str]:
        """Return the words after `vllm serve`; `model` is a repository, or a folder (it has no revision)."""
        words = [
            model or self.checkpoint.repository,
            f"--served-model-name={self.name}",
            f"--host={host}",
            f"--port={port}",
            f"--gpu-memory-utilization={self.gpu_memory if gpu_memory is None else gpu_memory:.2f}",
        ]
        if revision is not None:
            words.append(f"--revision={revision}")
        if self.runs_its_code:
            words.append("--trust-remote-code")
            words += [] if revision is None else [f"--code-revision={revision}"]
        if self.template is not None:
            words.append(f"--chat-template={templates / self.template}")
        return [*words, *self.flags, *_COMMON]


#: Share of a film's patches that the server leaves out (Efficient Video Sampling): 128 frames cost 8,192
#: tokens instead of 32,768, and Video-MME hardly moves (arXiv 2510.14624).
PRUNING_RATE = 0.75

_NANO_VL = "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL"

#: 0.32 keeps the Mamba state in float32 by itself for this family; the flag says it to older ones too.
#: disable_any_whitespace: without it a weak model fills its tokens with line breaks inside a schema.
#: 49,152 tokens is what NVIDIA announced for this model; 16 images leave room for 13 Letter pages of 3,330.
_VISION = ModelServer(
    role="vision",
    checkpoints={
        # The commit is one that others pinned and ran; we could not look it up ourselves.
        "fp8": Checkpoint(repository=f"{_NANO_VL}-FP8", revision="e9550fdec09682d12e8c3e41548b2e05b16db7c1"),
        "bf16": Checkpoint(repository=f"{_NANO_VL}-BF16"),
        "nvfp4": Checkpoint(repository=f"{_NANO_VL}-NVFP4-QAD"),
    },
    name="nvidia/nemotron-nano-12b-v2-vl",
    runs_its_code=True,
    gpu_memory=0.50,
    flags=(
        "--dtype=bfloat16",
        "--max-model-len=49152",
        "--max-num-seqs=32",
        "--max-num-queued-reqs=64",
        "--mamba-ssm-cache-dtype=float32",
        '--limit-mm-per-prompt={"image":16,"video":1}',
        f"--video-pruning-rate={PRUNING_RATE}",
        '--media-io-kwargs={"video":{"fps":2,"num_frames":128}}',
        '--structured-outputs-config={"backend":"xgrammar","disable_any_whitespace":true}',
    ),
)

#: Of a server that answers with vectors or scores: one picture a request, and many requests.
_POOLING = (
    "--runner=pooling",
    "--dtype=bfloat16",
    "--max-model-len=8192",
    "--max-num-queued-reqs=512",
    '--limit-mm-per-prompt={"image":1}',
)

_EMBED = ModelServer(
    role="embed",
    checkpoints={"bf16": Checkpoint(repository="nvidia/llama-nemotron-embed-vl-1b-v2")},
    name="nvidia/llama-nemotron-embed-vl-1b-v2",
    runs_its_code=True,
    gpu_memory=0.09,
    template="embed_vl.jinja",
    flags=_POOLING,
)

_RERANK = ModelServer(
    role="rerank",
    checkpoints={"bf16": Checkpoint(repository="nvidia/llama-nemotron-rerank-vl-1b-v2")},
    name="nvidia/llama-nemotron-rerank-vl-1b-v2",
    runs_its_code=True,
    gpu_memory=0.09,
    template="rerank_vl.jinja",
    flags=_POOLING,
)

_GUARD = ModelServer(
    role="guard",
    checkpoints={"bf16": Checkpoint(repository="nvidia/Llama-3.1-Nemotron-Safety-Guard-8B-v3")},
    name="nvidia/llama-3.1-nemotron-safety-guard-8b-v3",
    runs_its_code=False,
    gpu_memory=0.26,
    flags=(
        "--dtype=bfloat16",
        "--max-model-len=8192",
        "--max-num-seqs=64",
        "--max-num-queued-reqs=128",
    ),
)

#: One image, 256M decoder; wants open-clip-torch, albumentations and timm beside vLLM, which its image lacks.
_PARSE = ModelServer(
    role="parse",
    checkpoints={"bf16": Checkpoint(repository="nvidia/NVIDIA-Nemotron-Parse-v1.1")},
    name="nvidia/nemotron-parse",
    runs_its_code=True,
    gpu_memory=0.20,
    template="parse.jinja",
    flags=(
        "--dtype=bfloat16",
        "--max-model-len=9000",
        "--max-num-seqs=64",
        "--max-num-queued-reqs=256",
        '--limit-mm-per-prompt={"image":1}',
    ),
)

SERVERS: Mapping[Role, ModelServer] = MappingProxyType(
    {server.role: server for server in (_VISION, _EMBED, _RERANK, _GUARD, _PARSE)}
)
