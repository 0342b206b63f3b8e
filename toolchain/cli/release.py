"""`secateur release`: a run's files as a bundle that others can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolchain.cli import options

if TYPE_CHECKING:
    from toolchain.release.assembly import Released


def release(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, with its report.json")],
    out: Annotated[Path | None, typer.Option(help="The archive, or a folder for NAME-VERSION.tar.gz; by default here")] = None,
    name: Annotated[str | None, typer.Option(help="By default the name of the model that the run started from")] = None,
    version: Annotated[str | None, typer.Option(help="By default made from the report: 0.0.0-run1a2b3c4d")] = None,
    license: Annotated[str | None, typer.Option(metavar="SPDX", help="SPDX expression: MIT, Apache-2.0, LicenseRef-Ours")] = None,
    license_file: Annotated[Path | None, typer.Option(help="The licence's text")] = None,
    description: Annotated[str, typer.Option(help="What the model is for, in a sentence")] = "",
    labels: Annotated[Path | None, typer.Option(help="Names of the classes, one a line; by default those that came with the data")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files of the run; may be repeated. By default all but those made from the original model"),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Sign with this private key (PEM, elliptic curve)")] = None,
    new_key: Annotated[Path | None, typer.Option(help="Make a key here, its public half beside it in .pub, and sign with it")] = None,
    sigstore: Annotated[bool, typer.Option("--sigstore", help="Sign online for an identity; no two such signatures are alike")] = False,
    oci: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also write an OCI image layout, for a registry")] = None,
    time_limit: options.TimeLimit = 600,
    json: options.Json = False,
) -> None:
    """Bundle a run: models with metadata, manifest, golden vectors, programs, model card, bill of materials, licence, signature.

    The same run gives the same bytes, whenever, wherever and by whomever it is bundled. A key's password is read from the
    variable SECATEUR_KEY_PASSWORD.

    \b
    secateur release out --version 1.2.0 --license MIT --new-key release.key
    secateur release out --version 1.2.1 --license MIT --key release.key --oci layout
    secateur release out --files 'static_w8a8*'
    """
    from toolchain.cli import display
    from toolchain.errors import BundleError
    from toolchain.release import assembly, signature
    from toolchain.release.license import UNSTATED

    if sum((key is not None, new_key is not None, sigstore)) > 1:
        raise BundleError("one signature a release: --key, --new-key or --sigstore")
    settings = assembly.Settings(
        name=name,
        version=version,
        license=license or UNSTATED,
        license_file=license_file,
        description=description,
        labels=labels,
        key=key,
        new_key=new_key,
        sigstore=sigstore,
        files=tuple(files or ()),
        limit_s=time_limit,
    )
    with display.progress() as progress:
        found = assembly.release(folder, settings, out=out, layout=oci, progress=progress)
    if new_key is not None:
        typer.echo(f"wrote {new_key} (keep it secret) and {signature.public_half(new_key)} (for those who verify)", err=json)
    if json:
        import msgspec

        from toolchain.report import dumps

        print(dumps(msgspec.to_builtins(found, enc_hook=str)).decode(), end="")
        return
    show(found)


def show(found: Released) -> None:
    """Print what was bundled."""
    from toolchain.cli import display

    made = found.manifest
    rows = [
        (model.path, f"{listed.bytes:,}", listed.sha256[:16], "" if model.golden is None else f"{model.golden.tolerance:.3g}",
         ", ".join(model.recommended_for))
        for model in made.models
        for listed in made.files
        if listed.path == model.path
    ]  # fmt: skip
    display.table(f"{made.name} {made.version}", ("model", "bytes", "SHA-256", "golden tolerance", "recommended for"), rows)
    for note in made.notes:
        print(f"note: {note}")
    if made.license == "NOASSERTION":
        print("note: no licence stated; give --license")
    print(f"wrote {found.archive}, {found.bytes:,} B, SHA-256 {found.sha256}")
    if found.oci is not None:
        print(f"wrote {found.oci}, the same as an OCI layout")
    if made.signature == "none":
        print("NOT SIGNED: nobody can tell who made it; sign with --key, --new-key or --sigstore")
    else:
        print(f"signed with {'a key' if made.signature == 'key' else 'Sigstore'}; check it with: secateur verify {found.archive}")
