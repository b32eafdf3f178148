#!/usr/bin/env bash
# Grants each service the Kafka rights it needs, and no others.
#
#   KAFKA_ACLS="kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties" deploy/kafka/acls.sh
#
# The users have the services' names; ASSIGNER, ACCESS_INDEXER, FORECAST_AGGREGATOR, UPSTREAM, OPERATOR and
# DOWNSTREAM rename them. Running it again changes nothing.
set -euo pipefail

read -ra acls <<<"${KAFKA_ACLS:-kafka-acls.sh --bootstrap-server 127.0.0.1:9092}"
assigner=User:${ASSIGNER:-assigner}
indexer=User:${ACCESS_INDEXER:-access-indexer}
aggregator=User:${FORECAST_AGGREGATOR:-forecast-aggregator}
upstream=User:${UPSTREAM:-crm}
operator=User:${OPERATOR:-operator}
downstream=User:${DOWNSTREAM:-reader}

allow() { "${acls[@]}" --add "$@" >/dev/null; }
topics() { printf -- '--topic %s ' "$@"; }

own=territory.
letters=territory.dead-letters.v1

# All describe every topic and create missing ones.
everyone=(--allow-principal "$assigner" --allow-principal "$indexer" --allow-principal "$aggregator" --allow-principal "$operator")
allow "${everyone[@]}" --operation Describe --operation Create --topic "$own" --resource-pattern-type prefixed
allow "${everyone[@]}" --operation Describe --operation Create --topic crm.records.v1
allow "${everyone[@]}" --operation Read --topic territory.model.v1

# shellcheck disable=SC2046  # one argument for each word
allow --allow-principal "$assigner" --operation Read --group assigner-intake --group assigner-assignment \
    $(topics crm.records.v1 territory.internal.{records,families,releases,subscriptions}.v1)
# shellcheck disable=SC2046
allow --allow-principal "$assigner" --operation Write \
    $(topics territory.internal.{records,families,releases,subscriptions}.v1 territory.assignments.v1 "$letters")
# Its sweeps are throttled by the indexer's lag.
allow --allow-principal "$assigner" --operation Describe --group access-indexer

allow --allow-principal "$indexer" --operation Read --group access-indexer --topic territory.assignments.v1
# Grants wait until the assigner has committed its sweep.
allow --allow-principal "$indexer" --operation Describe --group assigner-assignment
# shellcheck disable=SC2046
allow --allow-principal "$indexer" --operation Write $(topics territory.access-changes.v1 "$letters")

# shellcheck disable=SC2046
allow --allow-principal "$aggregator" --operation Read --group forecast-aggregator --group forecast-totals \
    $(topics territory.assignments.v1 territory.internal.{partials,frozen}.v1)
# shellcheck disable=SC2046
allow --allow-principal "$aggregator" --operation Write \
    $(topics territory.internal.{partials,frozen}.v1 territory.attainments.v1 "$letters")

# The command `territory`: reads everything, applies models, publishes links, sends dead letters again.
allow --allow-principal "$operator" --operation Read --topic "$own" --resource-pattern-type prefixed
# shellcheck disable=SC2046
allow --allow-principal "$operator" --operation Read --operation Write $(topics crm.records.v1 territory.model.v1 "$letters")
# shellcheck disable=SC2046
allow --allow-principal "$operator" --operation Describe \
    $(printf -- '--group %s ' assigner-intake assigner-assignment access-indexer forecast-aggregator forecast-totals)
# `territory apply` uses a transaction.
allow --allow-principal "$operator" --operation Write --operation Describe \
    --transactional-id territory-apply- --resource-pattern-type prefixed

allow --allow-principal "$upstream" --operation Write --topic crm.records.v1
# shellcheck disable=SC2046
allow --allow-principal "$downstream" --operation Read $(topics territory.{assignments,attainments,access-changes}.v1)
# Its consumer groups begin with its name.
allow --allow-principal "$downstream" --operation Read --group "${DOWNSTREAM:-reader}" --resource-pattern-type prefixed
