"""What can go wrong while reading, shelving and searching.

IngestError                     .code .retryable .detail (one sentence, with what to do)
├── InputError                  the file is at fault; trying again changes nothing
│   ├── Missing  Empty  TooLarge  TooManyPages  UnknownType  Encrypted  Damaged
│   ├── UnsafeArchive           unpacks to far too much, or its parts leave their folder
│   ├── UnsafeMarkup            declares entities of its own, or nests without end
│   ├── TimedOut  OutOfMemory   reading it went over a budget, and was ended
│   ├── NeedsProgram            readable with a program that is not installed; names its package
│   ├── AddressRefused          its address is not one of the public internet, or is written oddly
│   ├── Unreadable              a page of it cannot be drawn
│   └── NoPageImage             a section of a format without pages has no image
├── LibraryError
│   ├── Locked                  another process owns the library
│   ├── Fenced                  somebody else took over: what comes late changes nothing
│   ├── IndexDown               retryable: the index server does not answer
│   ├── KeyReused               an idempotency key came again with another file
│   └── Incompatible            the library was made by another version or embedder
├── NotFetched                  retryable: the web server or the object store did not hand the file out
├── Unscreened                  retryable: the rails came to no decision, nothing was shelved
├── WeightsMissing              a pinned model file is not here and cannot be fetched
└── ModelError                  a model server
    ├── ModelDown               retryable: unreachable, overloaded, died mid-stream
    └── ModelReply              it answered something that does not fit the schema
        ├── NoWords             it finished without a word
        ├── PromptTooLong       the request does not fit into its context; the sizes are named
        └── ReplyCut            it ran out of tokens before its reply was whole
"""

from __future__ import annotations

from typing import Literal

#: How a model server failed.
Fault = Literal["unreachable", "overloaded", "broken", "silent", "open"]


class IngestError(Exception):
    """Base of every error this package raises on purpose."""

    code = "internal"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[type[IngestError], tuple[str], dict[str, object]]:
        return type(self), (self.detail,), dict(self.__dict__)


class InputError(IngestError):
    """The file is at fault."""

    code = "bad_input"


class Missing(InputError):
    """There is no such file."""

    code = "missing"


class Empty(InputError):
    """The file holds nothing."""

    code = "empty"


class TooLarge(InputError):
    """The file, or a page or archive in it, is over a limit of the settings."""

    code = "too_large"


class UnknownType(InputError):
    """No reader for this kind of file."""

    code = "unknown_type"


class Encrypted(InputError):
    """The file wants a password."""

    code = "encrypted"


class Damaged(InputError):
    """The file does not open."""

    code = "damaged"


class TooManyPages(InputError):
    """The file has more pages than the settings allow."""

    code = "too_many_pages"


class UnsafeArchive(InputError):
    """The file unpacks to far more than it is, or to places outside its folder."""

    code = "unsafe_archive"


class UnsafeMarkup(InputError):
    """The file declares XML entities of its own, or nests deeper than any honest one."""

    code = "unsafe_markup"


class TimedOut(InputError):
    """Reading the file took longer than the settings allow."""

    code = "timeout"


class OutOfMemory(InputError):
    """Reading the file wants more memory than the settings allow."""

    code = "out_of_memory"


class NeedsProgram(InputError):
    """The file can be read with a program that is not installed here."""

    code = "needs_program"


class AddressRefused(InputError):
    """The address is not one of the public internet, or is written so that readers differ."""

    code = "address_refused"


class Unreadable(InputError):
    """A page cannot be drawn."""

    code = "unreadable"


class NoPageImage(InputError):
    """A section of a format without pages has no image."""

    code = "no_page_image"


class LibraryError(IngestError):
    """The library itself is at fault."""

    code = "library"


class Locked(LibraryError):
    """Another process owns the library."""

    code = "locked"
    retryable = True


class Fenced(LibraryError):
    """Somebody else took the document over meanwhile: nothing was changed."""

    code = "fenced"
    retryable = True


class KeyReused(LibraryError):
    """An idempotency key came again with another file."""

    code = "key_reused"


class IndexDown(LibraryError):
    """The index server is unreachable, overloaded, or failed."""

    code = "index_down"
    retryable = True


class Incompatible(LibraryError):
    """The library was made by another version of the reader or with another embedder."""

    code = "incompatible"


class NotFetched(IngestError):
    """A web server or an object store did not hand the file out."""

    code = "not_fetched"
    retryable = True


class Unscreened(IngestError):
    """The rails came to no decision about a text: it is neither shelved nor called unclean."""

    code = "unscreened"
    retryable = True


class WeightsMissing(IngestError):
    """A pinned model file is not here."""

    code = "weights_missing"


class ModelError(IngestError):
    """A model server is at fault."""

    code = "model"


class ModelDown(ModelError):
    """The model server is unreachable, overloaded, or died mid-stream.

    `fault` says how: "silent" is a timeout, "open" a server that is left alone after many failures.
    `retry_in_s` is when to come back, where that is known.
    """

    code = "model_down"
    retryable = True

    def __init__(self, detail: str, *, fault: Fault = "broken", retry_in_s: float | None = None) -> None:
        super().__init__(detail)
        self.fault = fault
        self.retry_in_s = retry_in_s


class ModelReply(ModelError):
    """The model answered something that does not fit what was asked."""

    code = "model_reply"


class ReplyCut(ModelReply):
    """The model ran out of tokens before its reply was whole; asking for less at once may help."""


class NoWords(ModelReply):
    """The model finished without a word, which is no answer."""

    code = "no_words"


class PromptTooLong(ModelReply):
    """Prompt and answer do not fit into the model's context."""

    code = "prompt_too_long"
