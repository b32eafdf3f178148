"""Does what Kafka's kafka-acls.sh does with the arguments that deploy/kafka/acls.sh gives it.

The tool itself is in none of the jars that `make kafka` fetches. Options that it does not have are refused.
"""

from __future__ import annotations

import argparse
from contextlib import closing

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType


def main() -> None:
    """Add what the arguments allow, to all that they name."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    for repeated in ("--allow-principal", "--operation"):
        parser.add_argument(repeated, action="append", required=True)
    for kind in ("--topic", "--group", "--transactional-id"):
        parser.add_argument(kind, action="append", default=[])
    parser.add_argument("--resource-pattern-type", choices=("literal", "prefixed"), default="literal")
    given = parser.parse_args()
    pattern = ACLResourcePatternType[given.resource_pattern_type.upper()]
    resources = [ResourcePattern(ResourceType.TOPIC, name, pattern) for name in given.topic]
    resources += [ResourcePattern(ResourceType.GROUP, name, pattern) for name in given.group]
    resources += [ResourcePattern(ResourceType.TRANSACTIONAL_ID, name, pattern) for name in given.transactional_id]
    acls = [
        ACL(principal, "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW, resource)
        for principal in given.allow_principal
        for operation in given.operation
        for resource in resources
    ]
    with closing(KafkaAdminClient(bootstrap_servers=given.bootstrap_server)) as admin:
        failed = admin.create_acls(acls)["failed"]
    if failed:
        raise SystemExit(f"not allowed: {failed}")


if __name__ == "__main__":
    main()
