"""Office files with a password, old and new: msoffcrypto takes them out of their envelope.

The unlocked copy is written for the reading alone; nothing keeps the password.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import msoffcrypto
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

from ingest.archives import WRONG_PASSWORD
from ingest.errors import Damaged, Encrypted


def unlock_office(path: Path, password: str, to: Path) -> None:
    """Write the file at `path` unlocked to `to`; raises Encrypted for a wrong password, Damaged."""
    try:
        with path.open("rb") as file:
            office = msoffcrypto.OfficeFile(file)
            if not office.is_encrypted():
                raise Damaged("The file says that it is protected, but holds nothing that is.")
            office.load_key(password=password, verify_password=office.format == "ooxml")
            plain = BytesIO()
            office.decrypt(plain)
    except (InvalidKeyError, DecryptionError) as error:
        raise Encrypted(WRONG_PASSWORD) from error
    except (FileFormatError, ParseError, OSError, ValueError) as error:
        raise Damaged("The protected file is broken inside; save it again at its source.") from error
    to.write_bytes(plain.getvalue())


def is_locked(path: Path) -> bool:
    """Say whether an office file wants a password."""
    try:
        with path.open("rb") as file:
            return bool(msoffcrypto.OfficeFile(file).is_encrypted())
    except (FileFormatError, ParseError, OSError, ValueError) as error:
        raise Damaged("The file does not open; save it again at its source.") from error
