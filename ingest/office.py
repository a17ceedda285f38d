"""LibreOffice, where it is installed: office files set on real pages, as a PDF that is read like any other.

It runs in a process group of its own that can be killed: a fresh profile with macros, updates of links and
remote content switched off, a network namespace with nothing in it (where the kernel grants one), bounded in
seconds, CPU, memory and bytes written. 2.5 to 3 s a file go into its start.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
from functools import lru_cache
from pathlib import Path

import anyio

from ingest.errors import Damaged, NeedsProgram, TimedOut
from ingest.settings import IngestSettings
from ingest.sources import DOC, DOCX, ODP, ODS, ODT, PPT, PPTX, RTF

#: Set on pages by LibreOffice where it is there. Sheets paginate badly: they stay sections.
PAGED = (DOCX, PPTX, DOC, PPT, ODT, ODP, RTF)
#: Not read at all without it.
WANTED = {
    DOC: "libreoffice-writer",
    ODT: "libreoffice-writer",
    RTF: "libreoffice-writer",
    PPT: "libreoffice-impress",
    ODP: "libreoffice-impress",
    ODS: "libreoffice-calc",
}
_SLIDES = (PPTX, PPT, ODP)
_PDF_FILTER = 'pdf:impress_pdf_Export:{"ExportHiddenSlides":{"type":"boolean","value":"true"}}'
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_ADDRESS_SPACE = 4 * 1024**3
_PROFILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
{items}</oor:items>
"""
_SCRIPTING = "/org.openoffice.Office.Common/Security/Scripting"
_SWITCHES = (
    (_SCRIPTING, "DisableMacrosExecution", "true"),
    (_SCRIPTING, "MacroSecurityLevel", "3"),
    (_SCRIPTING, "DisableActiveContent", "true"),
    (_SCRIPTING, "BlockUntrustedRefererLinks", "true"),
    ("/org.openoffice.Office.Writer/Content/Update", "Link", "0"),
    ("/org.openoffice.Office.Calc/Content/Update", "Link", "2"),
    ("/org.openoffice.Office.Common/Misc", "FirstRun", "false"),
)


@lru_cache(maxsize=1)
def program() -> str | None:
    """Return where LibreOffice is, or None."""
    return shutil.which("soffice") or shutil.which("libreoffice")


def needs(media_type: str) -> NeedsProgram:
    """Say which package reads a format."""
    package = WANTED[media_type]
    return NeedsProgram(
        f"The file wants LibreOffice, which is not installed here (Debian: apt-get install {package}); "
        "or save it as .docx, .pptx, .xlsx or PDF and add that."
    )


async def convert(path: Path, media_type: str, to: Path, settings: IngestSettings) -> None:
    """Write the office file at `path` as PDF (a sheet as .xlsx) to `to`; raises Damaged or TimedOut."""
    soffice = program()
    if soffice is None:
        raise needs(media_type)
    folder = anyio.Path(to.parent / f"{to.stem}.office")
    await folder.mkdir(parents=True, exist_ok=True)
    kind = "xlsx" if to.suffix == ".xlsx" else _PDF_FILTER if media_type in _SLIDES else "pdf"
    order = [sys.executable, "-m", "ingest.office", soffice, str(path), str(folder), kind]
    try:
        await _run(order, settings.office_timeout_s)
        made = folder / f"{path.stem}{to.suffix}"
        if not await made.exists():
            raise Damaged("LibreOffice could not open the file; save it again at its source.")
        await made.rename(to)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _run(order: list[str], seconds: float) -> None:
    nowhere = -3  # subprocess.DEVNULL
    process = await anyio.open_process(
        order, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    try:
        with anyio.fail_after(seconds):
            await process.wait()
    except TimeoutError as error:
        raise TimedOut(f"LibreOffice did not set the file on pages within {seconds:g} s.") from error
    finally:
        with anyio.CancelScope(shield=True):
            _kill_group(process.pid)
            await process.wait()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _become(soffice: str, path: str, folder: str, kind: str) -> None:
    """Bound this process, write the profile and become LibreOffice."""
    limits = (
        (resource.RLIMIT_AS, _ADDRESS_SPACE),
        (resource.RLIMIT_CPU, 600),
        (resource.RLIMIT_FSIZE, 1024**3),
        (resource.RLIMIT_CORE, 0),
    )
    for limit, most in limits:
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK)
    profile = Path(folder) / "profile"
    (profile / "user").mkdir(parents=True)
    items = "".join(
        f'<item oor:path="{where}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>\n"
        for where, name, value in _SWITCHES
    )
    (profile / "user" / "registrymodifications.xcu").write_text(_PROFILE.format(items=items))
    order = [soffice, "--headless", "--norestore", "--nolockcheck", "--nodefault", "--nofirststartwizard"]
    order += [
        f"-env:UserInstallation={profile.resolve().as_uri()}",
        "--convert-to",
        kind,
        "--outdir",
        folder,
        path,
    ]
    home = {"HOME": folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SAL_USE_VCLPLUGIN": "svp"}
    os.execve(soffice, order, home)


if __name__ == "__main__":
    _become(*sys.argv[1:5])
