"""Settings of reading, shelving and searching: read once at an entry point and passed down."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """Every field has a laptop default; each is an environment variable `PAGEWARDEN_INGEST_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="PAGEWARDEN_INGEST_", frozen=True, extra="ignore")

    max_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024
    """Largest file read, bytes."""
    max_unpacked_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024 * 1024
    """Largest an archive-like file (docx, pptx, xlsx, epub, zip) may unpack to, bytes."""
    max_pages: Annotated[int, Field(ge=1)] = 5000
    """Longest document read, pages."""
    readers: Annotated[int, Field(ge=1, le=64)] = 2
    """Child processes that read pages side by side."""
    page_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """Longest that one page may take to read; then its reader is killed and the page is given up by name."""
    read_memory_bytes: Annotated[int, Field(ge=256 * 1024 * 1024)] = 4 * 1024 * 1024 * 1024
    """Address space of one reading child; beyond it the file fails, not the process."""
    ocr_dpi: Annotated[int, Field(ge=72, le=400)] = 150
    """Resolution at which a page without text is rendered for OCR."""
    max_pictures: Annotated[int, Field(ge=0)] = 40
    """Pictures in pages of text that are read by eye in one document, the largest first, repeated ones once.
    Pages say how many of theirs were not; pages that are pictures as a whole do not count."""
    image_dpi: Annotated[int, Field(ge=50, le=300)] = 120
    """Resolution of page images shown to people and models."""
    chunk_tokens: Annotated[int, Field(ge=32, le=480)] = 220
    """Target size of a chunk in the embedder's tokens; the embedder reads 512 at most."""
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads of each ONNX session."""
    embed_batch: Annotated[int, Field(ge=1, le=512)] = 16
    """Texts in one embedding batch; batches are sorted by length first."""
    candidates: Annotated[int, Field(ge=5, le=500)] = 40
    """Hits each leg of a search brings before fusion."""
    reranked: Annotated[int, Field(ge=0, le=100)] = 16
    """Hits that the reranker reads; 0 switches it off."""
    sparse_weight: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Weight of the max-normalised BM25 score beside the dense cosine."""
    rerank_weight: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Weight of the reranker's probability (0 to 1) beside the fused score."""
