#!/bin/sh
# Starts Fugata with Docker Compose, and makes its secrets the first time:
#   PUBLIC_URL=https://secrets.example.com deploy/up.sh
# KMS_PROVIDER=vault has the keys in Vault: compose.vault.yaml says what else to give.
set -eu
cd "$(dirname "$0")"
./make-secrets.sh
export PUBLIC_URL="${PUBLIC_URL:-https://localhost}"
vault=""
if [ "${KMS_PROVIDER:-}" = vault ]; then vault="--file compose.vault.yaml"; fi
# Returns when the service is well: the proxy waits for web, and web for the migrations.
docker compose --file compose.yaml $vault up --detach --build "$@"
if [ -n "$vault" ]; then keys="the key in Vault"; else keys=fugata_keys; fi
echo "Fugata serves on $PUBLIC_URL. Back up deploy/secrets: nothing opens without $keys."
