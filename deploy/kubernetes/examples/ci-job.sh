#!/bin/sh
# A step of a CI job: fetch a repository secret with curl and use it, without it being shown.
#
# FUGATA_URL and FUGATA_TOKEN are the CI system's own protected variables; the token is narrowed:
#   manage.py create_access_token USER --repository my-repo --read-only --expires 90d
set -eu

# secret KEY: prints the value, or fails. The token comes as a header on standard input, so that no
# list of processes shows it.
secret() {
    answer="$(printf 'Authorization: Bearer %s\n' "$FUGATA_TOKEN" |
        curl --fail --silent --show-error --retry 5 --max-time 30 --header @- \
            "$FUGATA_URL/repositories/${REPOSITORY:-my-repo}/secrets/$1")" || return
    printf '%s' "$answer" | jq --join-output .secret_value
}

DATABASE_URL="$(secret DATABASE_URL)"
export DATABASE_URL
exec "$@"
