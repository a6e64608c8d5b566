#!/bin/sh
# A step of a CI job: fetch a repository secret with curl and use it, without it being shown.
#
# FUGATA_URL and FUGATA_TOKEN are the CI system's own protected variables; the token is narrowed:
#   manage.py create_access_token USER --repository my-repo --read-only --expires 90d
set -eu

# secret KEY: prints the value. The token comes in a file of headers on standard input, so that no
# list of processes shows it.
secret() {
    printf 'Authorization: Bearer %s\n' "$FUGATA_TOKEN" |
        curl --fail --silent --show-error --retry 5 --max-time 30 --header @- \
            "$FUGATA_URL/repositories/${REPOSITORY:-my-repo}/secrets/$1" |
        jq --raw-output --join-output .secret_value
}

DATABASE_URL="$(secret DATABASE_URL)"
export DATABASE_URL
exec "$@"
