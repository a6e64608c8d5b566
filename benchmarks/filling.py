"""Insert shares by the million, straight into PostgreSQL."""

import psycopg

_SHARES = """
INSERT INTO secrets_app_share
    (digest, deletion_digest, wrapped_key, key_id, value_name, size, label, one_time,
     expires_at)
SELECT sha256(int4send(n)), sha256(int4send(-n)), decode(repeat('aa', 82), 'hex'),
       (SELECT id FROM vault_app_keyencryptionkey LIMIT 1), md5(n::text),
       200, 'bench', true, now() + %s::interval
FROM generate_series(1, %s) n
"""
_VALUES = """
INSERT INTO vault_app_storedvalue (name, sealed)
SELECT md5(n::text), decode(repeat('bb', 229), 'hex') FROM generate_series(1, %s) n
"""


def fill(url: str, rows: int, expires: str) -> None:
    """Insert shares that expire in `expires` (an interval; "-1 hour": expired), with values.

    Leaves the tables vacuumed and analyzed, after a checkpoint.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SHARES, (expires, rows))
        connection.execute(_VALUES, (rows,))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
