"""Files in object stores (`s3://`, `gs://`, `az://`, …), found and fetched through fsspec.

fsspec opens far more than stores: files of this machine, shells, archives within others, and chains of those
(`simplecache::file://…`). Only stores are opened unless the operator names another scheme, and chains never.
Credentials are the store's own (its environment, its profile); a URI that holds some is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.errors import AddressRefused, IngestError, Missing, NeedsProgram, NotFetched, TooLarge

#: Schemes of object stores, which reach no file of this machine.
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss"})
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_READ_AT_ONCE = 1024 * 1024
_MAX_OBJECTS = 1_000_000


def is_uri(text: str) -> bool:
    """Say whether somebody means an object of a store rather than a path (a chain counts, to be refused)."""
    return _URI.fullmatch(text) is not None or "::" in text.split("://")[0]


def listed(uri: str, *, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Return the URIs of the object, or of all below the prefix, sorted; blocking.

    Raises AddressRefused, Missing, NeedsProgram, NotFetched.
    """
    scheme, path = _judged(uri, allowed)
    with _translated(uri):
        found = _store(scheme).find(path)
    if not found:
        raise Missing(f"There is nothing at {uri}; check bucket and prefix.")
    if len(found) > _MAX_OBJECTS:
        raise TooLarge(f"There are over {_MAX_OBJECTS} objects at {uri}; name narrower prefixes.")
    return [f"{scheme}://{str(one).removeprefix(f'{scheme}://')}" for one in sorted(found)]


def fetched(uri: str, *, folder: Path, max_bytes: int, allowed: frozenset[str] = frozenset()) -> Path:
    """Copy an object to a new file in `folder`; blocking. Raises what `listed` does, and TooLarge."""
    scheme, path = _judged(uri, allowed)
    target = folder / hashlib.sha256(uri.encode()).hexdigest()[:16]
    left = max_bytes
    with _translated(uri), _store(scheme).open(path, "rb") as incoming, target.open("wb") as kept:
        while piece := incoming.read(_READ_AT_ONCE):
            left -= len(piece)
            if left < 0:
                raise TooLarge(
                    f"The file is over the limit of {max_bytes} bytes (PAGEWARDEN_INGEST_MAX_BYTES)."
                )
            kept.write(piece)
    return target


def name_of(uri: str) -> str:
    """Return the document's key of an object: its scheme, bucket and path, as one path."""
    scheme, _, path = uri.partition("://")
    return f"{scheme}/{path.lstrip('/')}"


def _judged(uri: str, allowed: frozenset[str]) -> tuple[str, str]:
    parts = _URI.fullmatch(uri)
    if parts is None or "::" in uri or not uri.isprintable():
        raise AddressRefused(f"{uri[:80]!r} is no plain address of an object: write s3://bucket/prefix.")
    scheme, path = parts[1], parts[2]
    if scheme not in STORES | allowed:
        raise AddressRefused(
            f"{scheme}:// is no object store ({', '.join(sorted(STORES))}): what it reaches may be this "
            f"machine's own. If that is meant, say --allow-scheme {scheme}."
        )
    bucket = path.partition("/")[0]
    if "@" in bucket and scheme in STORES - {"abfs", "abfss"}:
        raise AddressRefused("The address holds a key: leave it out, stores find theirs in the environment.")
    if any(step == ".." for step in path.split("/")):
        raise AddressRefused(f"{uri[:80]!r} climbs out of its prefix: write it without '..'.")
    return scheme, path


def _store(scheme: str) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise NeedsProgram("Object stores want fsspec: pip install 'pagewarden[stores]'.") from error
    return fsspec.filesystem(scheme)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn what stores raise into ours: fifty drivers, each with errors of its own."""
    try:
        yield
    except IngestError:
        raise
    except ImportError as error:
        raise NeedsProgram(f"The driver of this store is not installed: {error}.") from error
    except FileNotFoundError as error:
        raise Missing(f"There is nothing at {uri}; check bucket and prefix.") from error
    except Exception as error:
        raise NotFetched(f"The store of {uri} said no ({type(error).__name__}); check its key.") from error
