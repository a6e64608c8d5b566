"""Django's backend for SQLite, with a file that its owner alone can read.

SQLite would make it with the rights that the umask leaves, whichever command is the first. Its
write-ahead log and its shared memory get the rights of the file.
"""

import os
from contextlib import suppress
from typing import Any

from django.db.backends.sqlite3 import base

from fugata_core.files import create_private


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection, to a file that is made before, if there is none."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a new connection to the file."""
        if not self.is_in_memory_db():
            with suppress(OSError):  # it is there, or SQLite says what is wrong with the folder
                os.close(create_private(os.path.realpath(conn_params["database"])))
        return super().get_new_connection(conn_params)
