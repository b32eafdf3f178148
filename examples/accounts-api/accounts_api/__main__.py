"""Serves the accounts of a RecordChange file over HTTP.

python -m accounts_api records.jsonl --redis redis://127.0.0.1:6379/0 --org demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from accounts_api.accounts import Accounts, read_accounts
from accounts_api.app import make_app


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser("python -m accounts_api", description=__doc__.splitlines()[0])
    parser.add_argument("records", type=Path, help="file with RecordChange lines; only accounts are used")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", help="URL of the access index")
    parser.add_argument("--org", default="demo", help="id of the organisation")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    given = parser.parse_args()
    accounts = Accounts()
    with given.records.open(encoding="utf-8") as lines:
        accounts.put(read_accounts(lines))
    uvicorn.run(make_app(accounts, given.redis, given.org), port=given.port)


if __name__ == "__main__":
    main()
