"""Settings of reading, shelving and searching: read once at an entry point and passed down."""

from __future__ import annotations

from typing import Annotated, Literal

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
    """Longest that one page may take to read; then its reader is killed and the page is given up by name.
    Where more programs want the cores than there are, it is as many times longer, 8 times at most."""
    read_memory_bytes: Annotated[int, Field(ge=256 * 1024 * 1024)] = 4 * 1024 * 1024 * 1024
    """Address space of one reading child; beyond it the file fails, not the process."""
    file_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """Longest that one file may take to read, all pages; what is left then is given up by name."""
    fetch_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    """Longest that fetching one file from the web or an object store may take."""
    max_packed_files: Annotated[int, Field(ge=0, le=10_000)] = 1000
    """Most files taken out of one mail or archive, over all levels."""
    office: Literal["auto", "off"] = "auto"
    """Whether LibreOffice sets office files on real pages where it is installed."""
    office_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """Longest that LibreOffice may take with one file."""
    ocr_dpi: Annotated[int, Field(ge=72, le=400)] = 150
    """Resolution at which a page without text is rendered for OCR."""
    max_pictures: Annotated[int, Field(ge=0)] = 40
    """Pictures in pages of text that are read by eye in one document, the largest first, repeated ones once.
    Pages say how many of theirs were not; pages that are pictures as a whole do not count."""
    scene_s: Annotated[float, Field(ge=5, le=120)] = 60.0
    """Longest scene of a film, seconds; a longer shot is split evenly."""
    speech: Literal["auto", "off"] = "auto"
    """Whether what is said in films without subtitles is written down: by a server, else by local weights."""
    watch: Literal["auto", "off"] = "auto"
    """Whether a served vision model, if there is one, watches every scene of a film."""
    video_pruning: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The `--video-pruning-rate` that the vision model's server runs with; 0: it has none, and scenes go as
    the frames that change. Unset: what `pagewarden models serve` gives, and 0 for servers of others."""
    eyes: Literal["auto", "all", "off"] = "auto"
    """Pages that a served vision model reads, if there is one; auto: where the text layer is not enough."""
    eyes_slots: Annotated[int, Field(ge=1, le=256)] = 16
    """Pages that the vision model reads at once; twice as many page images wait in memory at most."""
    transcript_tokens: Annotated[int, Field(ge=256)] = 4096
    """Longest transcript of one page, tokens; a page that needs more is asked for in halves."""
    model_wait_s: Annotated[float, Field(ge=0)] = 900.0
    """Longest that reading waits for a vision model that is down; then the document fails for now."""
    image_dpi: Annotated[int, Field(ge=50, le=300)] = 120
    """Resolution of page images shown to people and models."""
    image_cache_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    """Most that the pictures of pages may take up beside the documents; those used longest ago go first."""
    chunk_tokens: Annotated[int, Field(ge=32, le=480)] = 220
    """Target size of a chunk in the embedder's tokens; the embedder reads 512 at most."""
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Threads of each ONNX session."""
    embed_batch: Annotated[int, Field(ge=1, le=512)] = 16
    """Texts in one embedding batch; batches are sorted by length first."""
    wording: Literal["asked", "focused", "measures"] = "measures"
    """What is searched for: the question as asked; without how to answer it; and with the lines that the
    measures it names are computed from ("quick ratio": current assets, current liabilities)."""
    candidates: Annotated[int, Field(ge=5, le=500)] = 40
    """Hits each leg of a search brings before fusion."""
    reranked: Annotated[int, Field(ge=0, le=100)] = 8
    """Hits that the reranker reads; 0 switches it off."""
    rerank_budget_s: Annotated[float, Field(ge=0)] = 5.0
    """Longest that reranking one search may take; hits that it did not reach keep their score and say so."""
    sparse_weight: Annotated[float, Field(ge=0, le=2)] = 0.15
    """Weight of the max-normalised BM25 score beside the dense cosine."""
    rerank_weight: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Weight of the reranker's probability (0 to 1) beside the fused score."""
    name_weight: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Added to the score of what stands in a document that the question names; 0 switches it off."""
    period_weight: Annotated[float, Field(ge=0, le=2)] = 0.15
    """Added where its name bears the year or quarter that the question names, too."""
    page_weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of a page's other passages beside each of its passages; 0 switches it off (it did not pay)."""
    reference_weight: Annotated[float, Field(ge=0, le=2)] = 0.1
    """Added to what a question about one document points at: "page 50", "Table 2", "section 3.3"."""
