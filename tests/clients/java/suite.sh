#!/bin/sh
# Compiles the suite into the cache and runs it with Debian's Java client.
set -e
here=$(cd "$(dirname "$0")" && pwd)
classes=${CLIENT_CACHE:?}/java
jars=/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar
mkdir -p "$classes"
javac -nowarn -cp "$jars" -d "$classes" "$here/Suite.java"
exec java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$classes:$jars" Suite "$@"
