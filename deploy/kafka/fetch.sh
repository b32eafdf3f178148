#!/usr/bin/env bash
# Copies Apache Kafka's jars into a cache with Maven. Does nothing if they are there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<kafka\.version>\(.*\)</kafka\.version>.*:\1:p' "$here/pom.xml")
jars=${KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/territory/kafka-$version}

if [ -f "$jars/kafka_2.13-$version.jar" ]; then
    echo "Apache Kafka $version is in $jars" >&2
    exit 0
fi

for program in java mvn; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is missing: install Java 17 or later and Maven 3.6 or later" \
            "(Debian: apt install openjdk-17-jre-headless maven; macOS: brew install openjdk maven)." \
            "Or start a Docker engine: the tests then run Kafka in a container." >&2
        exit 1
    fi
done

# Downloads go beside the target and are moved at the end, the broker's own jar last, so that an interrupted
# download never looks complete.
mkdir -p "$jars"
partial=$(mktemp -d "${jars%/}.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
echo "fetching Apache Kafka $version (45 MB) into $jars" >&2
if ! mvn --batch-mode --quiet --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$partial" >"$partial/maven.log" 2>&1; then
    cat "$partial/maven.log" >&2
    echo "Maven could not fetch the jars: see above; a mirror or proxy belongs in ~/.m2/settings.xml" >&2
    exit 1
fi
find "$partial" -name '*.jar' ! -name "kafka_2.13-*" -exec mv {} "$jars/" \;
mv "$partial/kafka_2.13-$version.jar" "$jars/"
echo "Apache Kafka $version is in $jars" >&2
