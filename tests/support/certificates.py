"""Certificates of an authority that a test makes, and that nothing else knows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from territory_control.local.embedded_broker import HOST


class Certificates(NamedTuple):
    """Files in PEM, of one authority and one server."""

    authority: Path
    certificate: Path
    key: Path
    both: Path
    """Key and certificate in one file, the key as PKCS #8: what Kafka reads."""


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate for servers of this machine."""
    folder.mkdir(parents=True)
    made = Certificates(*(folder / name for name in ("ca.pem", "server.pem", "server.key", "both.pem")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    server = authority.issue_cert(HOST)
    chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
    made.certificate.write_bytes(chain)
    key = load_pem_private_key(server.private_key_pem.bytes(), password=None)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made.key.write_bytes(written)
    made.both.write_bytes(written + chain)
    return made
