"""Limits on sizes, rates and storage, and who may create shares."""

from fugata_site.settings.environment import durations, env, networks, read, whole_number

TTL_PRESETS = durations("TTL_PRESETS", ["5m", "1h", "24h", "7d", "30d"])
MAX_SECRET_SIZE = whole_number("MAX_SECRET_SIZE", 10 * 2**20, 1, 2**28)
#: A character may take six bytes in JSON (\\u0000) and in a form (%0D%0A for a line's end).
MAX_BODY_SIZE = 6 * MAX_SECRET_SIZE + 64 * 1024
RATE_LIMIT_RPM = whole_number("RATE_LIMIT_RPM", 60, 1, 10**9)
RATE_LIMIT_BURST = whole_number("RATE_LIMIT_BURST", 10, 1, 10**9)
#: For requests with a live access token, which are counted per token: agents poll.
TOKEN_RATE_LIMIT_RPM = whole_number("TOKEN_RATE_LIMIT_RPM", 600, 1, 10**9)
TOKEN_RATE_LIMIT_BURST = whole_number("TOKEN_RATE_LIMIT_BURST", 100, 1, 10**9)
IDEMPOTENCY_GRACE_SECONDS = whole_number("IDEMPOTENCY_GRACE_SECONDS", 60, 1, 3600)
#: What may be stored at a time, per client and in total; 0 is no limit.
QUOTA_SHARES_PER_CLIENT = whole_number("QUOTA_SHARES_PER_CLIENT", 0, 0, 10**9)
QUOTA_BYTES_PER_CLIENT = whole_number("QUOTA_BYTES_PER_CLIENT", 0, 0, 10**15)
QUOTA_SHARES_TOTAL = whole_number("QUOTA_SHARES_TOTAL", 0, 0, 10**12)
QUOTA_BYTES_TOTAL = whole_number("QUOTA_BYTES_TOTAL", 0, 0, 10**18)
#: Who may create shares: clients of these networks (empty: all), and only with a sign-in.
CREATE_ALLOWED_FROM = networks("CREATE_ALLOWED_FROM")
CREATE_REQUIRES_LOGIN = read("CREATE_REQUIRES_LOGIN", env.bool, False)
FORCE_ONE_TIME = read("FORCE_ONE_TIME", env.bool, False)
GUESS_RATE = "30/5m"
# fugata_core/forms.py reads all forms; were Django to read one, it would write nothing to disk.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 0
