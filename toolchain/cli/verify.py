"""`secateur verify`: is a bundle what was released?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.release.verification import Verified

SAID = {
    "valid": "signature: valid",
    "invalid": "SIGNATURE NOT VALID",
    "unsigned": "UNSIGNED: files can be checked for damage, but not for who made them",
    "unchecked": "SIGNED, NOT CHECKED: give the public key with --key",
}


def verify(
    bundle: Annotated[Path, typer.Argument(help="A release: the .tar.gz, the folder it was unpacked to, or an OCI layout")],
    key: Annotated[Path | None, typer.Option(help="The public key of whoever has to have signed it")] = None,
    identity: Annotated[
        str | None, typer.Option(help="Who has to have signed it with Sigstore: an e-mail address, a workflow's URL")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="Who vouches for the identity: https://token.actions.githubusercontent.com")] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Do not run the models on their golden vectors")] = False,
    time_limit: options.TimeLimit = 600,
    json: options.Json = False,
) -> None:
    """Check a bundle's form, signature, digests, bill of materials and golden vectors: exit 0 when all holds, 3 with every difference.

    \b
    secateur verify mnist-1.2.0.tar.gz --key release.key.pub
    secateur verify mnist-1.2.0/ --no-run
    """
    from toolchain.cli import display
    from toolchain.release.verification import Signer
    from toolchain.release.verification import verify as check

    with display.progress() as progress:
        found = check(bundle, Signer(key, identity, issuer), run=not no_run, limit_s=time_limit, progress=progress)
    if json:
        from toolchain.report import dumps

        print(dumps(found).decode(), end="")
    else:
        show(found)
    if found.differences:
        raise typer.Exit(3)


def show(found: Verified) -> None:
    """Print what was checked, and every difference."""
    for line in found.checked:
        print(f"ok: {_plain(line)}")
    for line in found.unchecked:
        print(f"NOT CHECKED: {_plain(line)}")
    for line in found.differences:
        print(f"DIFFERENT: {_plain(line)}")
    print(SAID[found.signature])
    named = f"{found.name} {found.version}" if found.name else found.bundle
    whole = "as released" if found.signature == "valid" else "undamaged; who made it is not known"
    print(f"{_plain(named)}: {f'{len(found.differences)} differences' if found.differences else whole}")


def _plain(text: str) -> str:
    """Names come from the bundle: none may steer the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
