#!/bin/sh
# Makes the secrets that compose.yaml names, in deploy/secrets, and leaves those that are there.
#
# The folder is its owner's alone. The files in it can be read by anybody who reaches them, because
# Docker shows them to the containers with the rights that they have here.
set -eu
cd "$(dirname "$0")"
command -v openssl >/dev/null || { echo "openssl is missing: install the package openssl." >&2; exit 1; }

umask 077
mkdir -p secrets
chmod 700 secrets  # one that was copied may have other rights
cd secrets

random() { openssl rand -hex "$1"; }
# keep NAME: writes standard input to the file, whole or not at all, unless it is there already.
keep() {
    if [ -s "$1" ]; then cat >/dev/null; return; fi
    cat >".$1.new"
    [ -s ".$1.new" ] || { echo "secrets/$1 could not be made." >&2; exit 1; }
    chmod 0444 ".$1.new"
    mv ".$1.new" "$1"
    echo "made deploy/secrets/$1"
}

echo "key-$(date -u +%Y%m%d):$(openssl rand -base64 32)" | keep fugata_keys
random 32 | keep secret_key
random 32 | keep audit_key
random 24 | keep postgres_password
echo "postgresql://fugata:$(cat postgres_password)@db:5432/fugata" | keep database_url
echo "requirepass $(random 24)" | keep redis_password
echo "redis://:$(sed 's/^requirepass //' redis_password)@redis:6379/0" | keep redis_url

if [ ! -s certificate.pem ]; then
    name="${PUBLIC_URL:-https://localhost}"
    name="${name#https://}"
    name="${name%%:*}"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
        -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout .key.pem -out .crt.pem 2>/dev/null
    cat .crt.pem .key.pem | keep certificate.pem
    rm -f .crt.pem .key.pem
    echo "The certificate vouches for itself: put one that browsers know, and its key, in its place."
fi
