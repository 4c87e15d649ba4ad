"""PostgreSQL through psycopg 3: plain transactions to write, repeatable read to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event
from sqlalchemy.exc import DBAPIError

from billhook.errors import StoreError, StoreUnavailable
from billhook.store.compiled import COMPILED
from billhook.store.forking import apart_after_fork

SESSION = (
    "SET application_name = 'billhook'",
    # An old open snapshot keeps the server from cleaning up and makes reading due work ever slower.
    "SET idle_in_transaction_session_timeout = '60s'",
    # A plan made while a table was small stays in use while it grows, and then reads all of it for every group.
    "SET plan_cache_mode = 'force_custom_plan'",
    # An intent has to be on disk before the provider is called, whatever the role's default is.
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)

IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system()) AS server,
       (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
       to_regclass('billhook_schema_version')::oid AS tables,
       current_database() AS name
"""

IN_NO_TRANSACTION, IN_FAILED_TRANSACTION = 0, 3
NO_PIPELINE = 0


class PostgresBackend:
    """One database of a PostgreSQL server. Readers see one state of it and never wait for the writer."""

    def __init__(self, url: URL, *, patience: timedelta) -> None:
        self.url = url
        self._patience = patience
        self.engine = session_engine(url, max_overflow=-1, pool_pre_ping=True)
        self._readers = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._identity = self._read_identity()

    def connect_writer(self) -> Connection:
        """A connection for the writer to keep. It waits for nobody's lock for longer than patience allows.

        A host's thread that asks us to change what its own open transaction holds would wait for ever, and every other writer with it: the
        server can't see that circle.
        """
        connection = self.engine.connect()
        connection.exec_driver_sql(f"SET lock_timeout = {self._patience // timedelta(milliseconds=1)}")
        connection.commit()
        return connection

    def begin_write(self, connection: Connection) -> None:
        """Begin a transaction."""
        connection.begin()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database and can't write."""
        with self._readers.connect() as connection:
            yield connection

    def check_host(self, connection: Connection) -> None:
        """Refuse (StoreError) a host's connection that is not in a transaction on this very database."""
        if _driver(connection).info.pipeline_status != NO_PIPELINE:
            raise StoreError(
                "The connection is in pipeline mode, where no answer comes at once. Nothing was written. Bind outside the pipeline."
            )
        if _driver(connection).info.transaction_status == IN_FAILED_TRANSACTION:
            raise StoreError(
                "A statement of the host's transaction failed before, and PostgreSQL takes no other one. Nothing was written. "
                "Roll it back, or back to a savepoint, first."
            )
        host = connection.exec_driver_sql(IDENTITY).one()
        if host != self._identity:
            self._identity = self._read_identity()
        own = self._identity
        if (host.server, host.database) != (own.server, own.database):
            raise StoreError(
                f"The connection is to database {host.name!r} (server {host.server}), but Billhook is open on "
                f"{own.name!r} (server {own.server}). Nothing was written. Give a connection to that database."
            )
        if host.tables is None or host.tables != own.tables:
            raise StoreError(
                f"The connection to {host.name!r} does not reach Billhook's tables. Nothing was written. "
                "Upgrade the schema first, or set the same search_path on both."
            )
        self.check_in_transaction(connection)

    def check_in_transaction(self, connection: Connection) -> None:
        """Refuse (StoreError) a host's connection that is in no transaction."""
        if _driver(connection).info.transaction_status == IN_NO_TRANSACTION:
            raise StoreError(
                f"The connection to {self._identity.name!r} is in no transaction, so each statement would be stored by itself. "
                "Nothing was written. Begin a transaction on it first."
            )

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    def _read_identity(self) -> Row[*tuple[Any, ...]]:
        try:
            with self.reading() as connection:
                return connection.exec_driver_sql(IDENTITY).one()
        except DBAPIError as error:
            where = self.url.render_as_string(hide_password=True)
            raise StoreUnavailable(
                f"{where} can't be reached ({error.orig}). Check the address and the server."
            ) from error


def session_engine(url: URL, **options: Any) -> Engine:
    """An engine whose sessions carry Billhook's settings. StoreError without the psycopg driver."""
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            execution_options={"compiled_cache": COMPILED},
            hide_parameters=True,
            **options,
        )
    except ModuleNotFoundError as error:
        raise StoreError(f"PostgreSQL needs the driver {error.name}. Install billhook[postgres].") from error

    def prepare(driver: Any, _record: object) -> None:
        for setting in SESSION:
            driver.execute(setting)
        driver.commit()

    event.listen(engine, "connect", prepare)
    return apart_after_fork(engine)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
