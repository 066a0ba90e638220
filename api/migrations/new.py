"""``make migration SCHEMA=certs MESSAGE="…"``: write the revision that brings the tables to what the models say.

Compares on an embedded PostgreSQL of its own. Triggers and data are added to the file by hand.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from api.embedded import embedded_servers
from api.migrations import configuration


def main() -> None:
    schema, message = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder, embedded_servers(Path(folder), redis=False, durable=False) as addresses:
        config = configuration(addresses.database_url)
        config.attributes["schemas"] = [schema]
        command.upgrade(config, "head")
        number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04d}_{schema}")


if __name__ == "__main__":
    main()
