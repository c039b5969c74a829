#!/bin/sh
# Runs once, on an empty volume: one role and its own databases for each of the two owners.
set -eu

psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  -v temporal="$TEMPORAL_DB_PASSWORD" -v rampart="$RAMPART_DB_PASSWORD" <<'SQL'
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE ROLE rampart LOGIN PASSWORD :'rampart';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE rampart OWNER rampart;
SQL
