#!/bin/sh
# Brings both of Temporal's databases to the schema of this image; harmless when they have it.
set -eu

migrate() {
  export SQL_DATABASE="$1"
  temporal-sql-tool setup-schema -v 0.0
  temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

migrate temporal temporal
migrate temporal_visibility visibility
