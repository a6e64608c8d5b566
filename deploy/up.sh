#!/bin/sh
# Starts Fugata with Docker Compose, and makes its secrets the first time:
#   PUBLIC_URL=https://secrets.example.com deploy/up.sh
set -eu
cd "$(dirname "$0")"
./make-secrets.sh
export PUBLIC_URL="${PUBLIC_URL:-https://localhost}"
# Returns when the service is well: the proxy waits for web, and web for the migrations.
docker compose --file compose.yaml up --detach --build "$@"
echo "Fugata serves on $PUBLIC_URL. Back up deploy/secrets: nothing opens without fugata_keys."
