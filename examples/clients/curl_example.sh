#!/bin/sh
# A small client for Fugata: POSIX sh, curl 7.55 or newer, and the POSIX tools.
#
#   curl_example.sh create [--duration 1h] [--one-time] [--label TEXT]  < content
#   curl_example.sh get ID
#   curl_example.sh delete ID      (token in FUGATA_DELETION_TOKEN, else from stdin)
#
# FUGATA_URL names the service (default http://localhost:8080).
#
# Other users of a machine can read the arguments of every process, so content and tokens
# move through pipes, and through printf, which the shell runs without a new process. They
# are never in a file. NUL survives too: in JSON it is written \u0000.
set -u
export LC_ALL=C # every tool works on bytes

base_url=${FUGATA_URL:-http://localhost:8080}
max_tries=5 # when the service answers 429
max_wait=60 # seconds; who is told to wait longer gives up at once

# --- The three calls -------------------------------------------------------------------

# create DURATION ONE_TIME [LABEL]: stores standard input, prints the answer's JSON.
create() {
    body=$(
        printf '{"content":'
        json_string
        printf ',"duration":'
        printf '%s' "$1" | json_string
        printf ',"one_time":%s' "$2"
        if [ $# -eq 3 ]; then
            printf ',"metadata":'
            printf '%s' "$3" | json_string
        fi
        printf '}'
    )
    printf '%s' "$body" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1 ||
        fail 2 "the content is not UTF-8 text"
    request POST /secrets "$body" --header 'Content-Type: application/json' --data-binary @-
    answer_field id >/dev/null || unexpected_answer
    answer
}

# retrieve ID: prints the content, byte for byte; one-time secrets are gone afterwards.
retrieve() {
    request GET "/secrets/$(path_segment "$1")" ""
    answer_field content || unexpected_answer
}

# delete ID TOKEN: prints the service's message.
delete() {
    request DELETE "/secrets/$(path_segment "$1")" "Authorization: Bearer $2" --header @-
    answer_field message || unexpected_answer
    echo
}

# --- HTTP ------------------------------------------------------------------------------

# request METHOD PATH INPUT [CURL OPTION...]: gives INPUT to curl's standard input, waits and
# retries on 429, leaves headers and body in $response; an error ends the script. Redirects
# are not followed: a token must not travel to an address nobody named.
request() {
    method=$1 url=$base_url$2 input=$3
    shift 3
    try=1
    while :; do
        # When curl fails it says why itself, in one line.
        response=$(printf '%s' "$input" | curl --silent --show-error --globoff --max-time 60 \
            --include --suppress-connect-headers --header 'Expect:' \
            --header 'Accept: application/json' --request "$method" "$@" "$url") || exit 1
        status=$(headers | awk 'NR == 1 { print $2 }')
        [ "$status" = 429 ] && [ "$try" -lt "$max_tries" ] || break
        delay=$(seconds_to_wait "$try")
        [ "$delay" -le "$max_wait" ] || break
        sleep "$delay"
        try=$((try + 1))
    done
    [ "$status" -lt 300 ] && return
    sentence=$(answer_field error) || unexpected_answer
    fail 1 "$sentence"
}

headers() { printf '%s\n' "$response" | tr -d '\r' | sed '/^$/q'; }
answer() { printf '%s\n' "$response" | tr -d '\r' | sed '1,/^$/d'; }

# header_number NAME: the value of a header if it is a whole number, else nothing.
header_number() {
    headers | awk -v name="$1:" 'tolower($1) == name && $2 ~ /^[0-9]+$/ { print $2; exit }'
}

# seconds_to_wait TRY: Retry-After, else the time until the reset, else 1, 2, 4, 8.
seconds_to_wait() {
    retry_after=$(header_number retry-after)
    reset=$(header_number x-ratelimit-reset)
    now=$(date +%s)
    if [ -n "$retry_after" ]; then
        echo "$retry_after"
    elif [ "${reset:-0}" -gt "$now" ]; then
        echo $((reset - now))
    else
        echo $((1 << ($1 - 1)))
    fi
}

# --- JSON ------------------------------------------------------------------------------

# json_string: standard input as a JSON string. od turns every byte into a number first,
# because not every awk can read NUL.
json_string() {
    od -An -v -tu1 | awk '
        BEGIN {
            for (i = 0; i < 256; i++) escaped[i] = sprintf(i < 32 ? "\\u%04x" : "%c", i)
            escaped[34] = "\\\""
            escaped[92] = "\\\\"
            printf "\""
        }
        { for (i = 1; i <= NF; i++) printf "%s", escaped[$i] }
        END { printf "\"" }'
}

# answer_field NAME: the text of one field of the answer, unescaped; fails if there is none.
#
# Records end at backslashes, so each record but the first begins with what was escaped; an
# empty one stands for an escaped backslash. Text that merely looks like "NAME":" can't
# deceive the search: inside a string its quotes would be escaped, and records end there.
answer_field() {
    answer | awk -v name="$1" '
        function hex(digits,    i, n) {
            for (i = 1; i <= length(digits); i++)
                n = n * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
            return n
        }
        function utf8(c) {
            if (c < 128) printf "%c", c
            else if (c < 2048) printf "%c%c", 192 + int(c / 64), 128 + c % 64
            else if (c < 65536)
                printf "%c%c%c", 224 + int(c / 4096), 128 + int(c / 64) % 64, 128 + c % 64
            else
                printf "%c%c%c%c", 240 + int(c / 262144), 128 + int(c / 4096) % 64,
                    128 + int(c / 64) % 64, 128 + c % 64
        }
        function code_unit(c) { # beyond U+FFFF JSON writes two: the high one waits for the low
            if (c >= 55296 && c < 56320) high = c
            else if (c >= 56320 && c < 57344) utf8((high - 55296) * 1024 + c - 56320 + 65536)
            else utf8(c)
        }
        function plain(text,    quote) { # up to the closing quote, if it is here
            quote = index(text, "\"")
            printf "%s", quote ? substr(text, 1, quote - 1) : text
            if (quote) { complete = 1; exit }
        }
        BEGIN {
            RS = "\\"
            control["n"] = "\n"; control["r"] = "\r"; control["t"] = "\t"
            control["b"] = "\b"; control["f"] = "\f"
            control["\""] = "\""; control["/"] = "/"
        }
        !inside {
            if (match($0, "\"" name "\"[ \t\n]*:[ \t\n]*\"")) {
                inside = 1
                plain(substr($0, RSTART + RLENGTH))
            }
            next
        }
        after_backslash { after_backslash = 0; plain($0); next }
        $0 == "" { after_backslash = 1; printf "\\"; next }
        /^u/ { code_unit(hex(substr($0, 2, 4))); plain(substr($0, 6)); next }
        { printf "%s", control[substr($0, 1, 1)]; plain(substr($0, 2)) }
        END { exit !complete }'
}

# path_segment TEXT: percent-encoded.
path_segment() {
    printf '%s' "$1" | od -An -v -tu1 | awk '
        {
            for (i = 1; i <= NF; i++)
                printf sprintf("%c", $i + 0) ~ /[A-Za-z0-9_-]/ ? "%c" : "%%%02X", $i + 0
        }'
}

# --- The command line ------------------------------------------------------------------

# fail STATUS SENTENCE
fail() {
    printf 'error: %s\n' "$2" >&2
    exit "$1"
}

unexpected_answer() { fail 1 "unexpected answer from the service (HTTP $status)"; }

usage() {
    cat >&2 <<'TEXT'
usage: curl_example.sh create [--duration 1h] [--one-time] [--label TEXT]
       curl_example.sh get ID
       curl_example.sh delete ID
TEXT
    exit 2
}

create_command() {
    duration=1h one_time=false
    unset label
    while [ $# -gt 0 ]; do
        case $1 in
        --one-time) one_time=true ;;
        --duration) [ $# -ge 2 ] || usage; shift; duration=$1 ;;
        --label) [ $# -ge 2 ] || usage; shift; label=$1 ;;
        *) usage ;;
        esac
        shift
    done
    create "$duration" "$one_time" ${label+"$label"}
}

get_command() {
    [ $# -eq 1 ] && [ -n "$1" ] || usage
    retrieve "$1"
}

delete_command() {
    [ $# -eq 1 ] && [ -n "$1" ] || usage
    token=${FUGATA_DELETION_TOKEN:-}
    [ -n "$token" ] || IFS= read -r token || :
    case $token in
    '' | *[!!-~]*) fail 2 "give the deletion token in FUGATA_DELETION_TOKEN or on standard input" ;;
    esac
    delete "$1" "$token"
}

while [ "${base_url%/}" != "$base_url" ]; do base_url=${base_url%/}; done
case $base_url in
http://* | https://*) ;;
*) fail 2 "FUGATA_URL must begin with http:// or https://" ;;
esac

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
create) create_command "$@" ;;
get) get_command "$@" ;;
delete) delete_command "$@" ;;
*) usage ;;
esac
