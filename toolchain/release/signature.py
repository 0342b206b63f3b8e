"""Signatures of a release's folder in the format of OpenSSF model signing, by its own library (PyPI model-signing).

`model_signing verify key` checks them without secateur. The library signs with a random nonce and writes the statement
in the order of a hash table, so that no two signatures are alike; here the nonce follows from key and message (RFC 6979)
and the statement is sorted, so that a release can be made again byte for byte. Both verify the same.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from toolchain.errors import BundleError, StorageError
from toolchain.files import digest, storage_errors
from toolchain.optional import require

NAME: Final = "model.sig"
SUMS: Final = "SHA256SUMS"
UNSIGNED: Final = (SUMS, NAME)
"""What a signature leaves out: itself, and the list of checksums, which follows from the other files and includes it."""
PASSWORD: Final = "SECATEUR_KEY_PASSWORD"
"""The variable that holds the password of an encrypted key."""
MOST_BYTES: Final = 1 << 23
"""Of a signature; it has some 150 bytes for each file."""
PREDICATE: Final = "https://model_signing/signature/v1.0"


def new_key(path: Path) -> Path:
    """Write a new P-256 key to `path`, readable by its owner alone, and its public half beside it; the latter's path.

    It is encrypted where the environment holds a password. Raises StorageError where one of the files exists.
    """
    serialization = require("cryptography.hazmat.primitives.serialization", "release")
    ec = require("cryptography.hazmat.primitives.asymmetric.ec", "release")
    public = public_half(path)
    key, password = ec.generate_private_key(ec.SECP256R1()), _password()
    secrecy = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secrecy)
    shown = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    check_new(path)
    for file, content, mode in ((path, private, 0o600), (public, shown, 0o644)):
        with storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
                out.write(content)
    return public


def public_half(path: Path) -> Path:
    """Where the public half of a new key is written."""
    return path.with_name(f"{path.name}.pub")


def check_new(path: Path) -> None:
    """Raise StorageError where a new key would overwrite something."""
    for file in (path, public_half(path)):
        if file.exists() or file.is_symlink():
            raise StorageError(f"{file} exists; a key is never overwritten: give another name, or sign with --key")


def sign(folder: Path, key: Path) -> None:
    """Sign all files of a folder with an elliptic curve key (PEM; P-256, P-384 or P-521). Raises BundleError."""
    _signing(folder, _signer(key))


def sign_sigstore(folder: Path) -> None:
    """Sign with a short-lived certificate for the identity that the user, or the CI system, proves online. Raises BundleError."""
    require("model_signing", "release")
    from model_signing._signing import sign_sigstore as library

    try:
        _signing(folder, library.Signer(use_ambient_credentials=True))
    except BundleError:
        raise
    except Exception as err:  # sigstore, TUF, OIDC and HTTP errors share no base class
        raise BundleError(f"Sigstore needs a network and an identity: {_first_line(err)}; sign with a key file instead: --key") from None


def mismatch(folder: Path, public_key: Path) -> tuple[str, ...]:
    """What keeps a folder from being the one that the owner of `public_key` signed; nothing where it is.

    Raises BundleError where `public_key` is none.
    """
    verifying = require("model_signing.verifying", "release")
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise BundleError(f"{public_key}: not the public half of a key ({_first_line(err)}); it is the file that ends with .pub") from None
    return _verified(folder, verifier)


def mismatch_sigstore(folder: Path, identity: str, issuer: str) -> tuple[str, ...]:
    """What keeps a folder from being the one that `identity` signed, according to `issuer`. Raises BundleError without a network."""
    verifying = require("model_signing.verifying", "release")
    try:
        verifier = verifying.Config().use_sigstore_verifier(identity=identity, oidc_issuer=issuer)
    except Exception as err:  # as in sign_sigstore
        raise BundleError(f"Sigstore needs a network, or its cached roots of trust: {_first_line(err)}") from None
    return _verified(folder, verifier)


def _signing(folder: Path, signer: Any) -> None:
    hashing, signing = require("model_signing.hashing", "release"), require("model_signing.signing", "release")
    files = hashing.Config().set_ignored_paths(paths=UNSIGNED, ignore_git_paths=False)
    signing_config = signing.Config().set_hashing_config(files)
    signing_config._signer = signer
    signing_config.sign(folder, folder / NAME)


def _verified(folder: Path, verifier: Any) -> tuple[str, ...]:
    if not (folder / NAME).is_file():
        return ("the release is not signed",)
    if (folder / NAME).stat().st_size > MOST_BYTES:
        return (f"the signature is not valid: it has more than {MOST_BYTES:,} bytes",)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            verifier.verify(folder, folder / NAME)
        return _foreign(_statement(folder))
    except Exception as err:  # a hostile signature can make the library fail in any way, and none of them is a valid one
        if "Signature mismatch" in str(err):
            return _differing(folder, _statement(folder)) or (f"the signature is not valid: {_first_line(err)}",)
        return (f"the signature is not valid: {_first_line(err) or type(err).__name__}",)


def _statement(folder: Path) -> Any:
    return json.loads(base64.b64decode(json.loads((folder / NAME).read_bytes())["dsseEnvelope"]["payload"]))


def _foreign(statement: Any) -> tuple[str, ...]:
    """Whether a valid signature is of a kind that a release does not have: one of an older format, or one that leaves files out."""
    if statement["predicateType"] != PREDICATE:
        return (f"the signature is of another kind: {statement['predicateType']}",)
    left_out = set(statement["predicate"]["serialization"].get("ignore_paths", [])) - set(UNSIGNED)
    return tuple(f"the signature leaves out {path}" for path in sorted(left_out))


def _differing(folder: Path, statement: Any) -> tuple[str, ...]:
    """By name what is not as it was signed; the library names digests."""
    signed = {item["name"]: item["digest"] for item in statement["predicate"]["resources"]}
    found = {path.relative_to(folder).as_posix(): digest(path) for path in folder.rglob("*") if path.is_file()}
    for name in UNSIGNED:
        found.pop(name, None)
    return (
        *(f"{name}: not as it was signed" for name in sorted(signed.keys() & found.keys()) if signed[name] != found[name]),
        *(f"{name}: signed, but missing" for name in sorted(signed.keys() - found.keys())),
        *(f"{name}: added after signing" for name in sorted(found.keys() - signed.keys())),
    )


def _password() -> bytes | None:
    return os.environ[PASSWORD].encode() if os.environ.get(PASSWORD) else None


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [""])[0][:500]


def _signer(path: Path) -> Any:
    """The library's signer with an elliptic curve key, made to give the same signature every time."""
    require("model_signing", "release")
    from cryptography.hazmat.primitives.asymmetric import ec
    from google.protobuf import json_format
    from model_signing._signing import sign_ec_key, sign_sigstore_pb, signing
    from sigstore_models import intoto
    from sigstore_models.bundle import v1 as bundle

    class Deterministic(sign_ec_key.Signer):
        def sign(self, payload: Any) -> Any:
            statement = json_format.MessageToDict(payload.statement.pb)
            statement["predicate"]["serialization"]["ignore_paths"].sort()
            content = json.dumps(statement, sort_keys=True).encode()
            key: Any = self._private_key
            algorithm = ec.ECDSA(sign_ec_key.get_ec_key_hash(key.public_key()), deterministic_signing=True)
            signed = key.sign(sign_sigstore_pb.pae(content), algorithm)
            envelope = intoto.Envelope(
                payload=base64.b64encode(content),
                payload_type=signing._IN_TOTO_JSON_PAYLOAD_TYPE,
                signatures=[intoto.Signature(sig=base64.b64encode(signed), keyid="")],
            )
            return sign_sigstore_pb.Signature(
                bundle.Bundle(
                    media_type="application/vnd.dev.sigstore.bundle.v0.3+json",
                    verification_material=self._get_verification_material(),
                    dsse_envelope=envelope,
                )
            )

    password: Any = _password()  # the library says str and hands it on to a function that takes bytes
    try:
        return Deterministic(path, password)
    except (OSError, ValueError, TypeError, AttributeError) as err:
        hint = f"; its password goes into the variable {PASSWORD}" if "assword" in str(err) else ""
        raise BundleError(f"{path}: not a private elliptic curve key in PEM ({_first_line(err)}){hint}") from None
