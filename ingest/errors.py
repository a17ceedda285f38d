"""What can go wrong while reading, shelving and searching.

IngestError                     .code .retryable .detail (one sentence, with what to do)
├── InputError                  the file is at fault; trying again changes nothing
│   ├── Missing  Empty  TooLarge  UnknownType  Encrypted  Damaged  Bomb  Hostile
│   └── Unreadable              it opened, but a page could not be read within its budget
├── LibraryError
│   ├── Locked                  another process owns the library
│   └── Incompatible            the library was made by another version or embedder
├── WeightsMissing              a pinned model file is not here and cannot be fetched
└── ModelError                  a model server
    ├── ModelDown               retryable: unreachable, overloaded, died mid-stream
    └── ModelReply              it answered something that does not fit the schema
"""

from __future__ import annotations


class IngestError(Exception):
    """Base of every error this package raises on purpose."""

    code = "internal"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[type[IngestError], tuple[str]]:
        return type(self), (self.detail,)


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


class Bomb(InputError):
    """The file unpacks to far more than it is."""

    code = "bomb"


class Hostile(InputError):
    """The file tries something: entity expansion, paths that leave their folder."""

    code = "hostile"


class Unreadable(InputError):
    """A page could not be read within its time or memory."""

    code = "unreadable"


class LibraryError(IngestError):
    """The library itself is at fault."""

    code = "library"


class Locked(LibraryError):
    """Another process owns the library."""

    code = "locked"
    retryable = True


class IndexDown(LibraryError):
    """The index server is unreachable, overloaded, or failed."""

    code = "index_down"
    retryable = True


class Incompatible(LibraryError):
    """The library was made by another version of the reader or with another embedder."""

    code = "incompatible"


class WeightsMissing(IngestError):
    """A pinned model file is not here."""

    code = "weights_missing"


class ModelError(IngestError):
    """A model server is at fault."""

    code = "model"


class ModelDown(ModelError):
    """The model server is unreachable, overloaded, or died mid-stream."""

    code = "model_down"
    retryable = True


class ModelReply(ModelError):
    """The model answered something that does not fit what was asked."""

    code = "model_reply"
