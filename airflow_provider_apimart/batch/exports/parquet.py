"""
Export ``parquet``: the ledger with typed columns.

The columns are the fields of a ledger's line. Times are timestamps in UTC, money is a decimal, and files, outputs and
quotes are nested. Fields without a fixed form, such as the request, are JSON text.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeVar

from airflow_provider_apimart.api.json_values import moment, money, plain
from airflow_provider_apimart.batch.exports.export_folder import ExportFolder
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.exceptions import ApimartConfigurationError
from airflow_provider_apimart.results.storage.paths import uri_of

Number = TypeVar("Number", int, Decimal)

SUFFIX = ".ledger.parquet"


def check(place: ExportFolder) -> None:
    """
    Check that pyarrow is installed.

    :raises ApimartConfigurationError: If it isn't.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ApimartConfigurationError(
            'exports=["parquet"] needs pyarrow, which isn\'t installed. Nothing was sent',
            advice="Install airflow-provider-apimart[parquet] on all workers, or leave the export out",
        )


def write(place: ExportFolder, entries: Sequence[LedgerEntry]) -> str:
    """
    Write the ledger as Parquet, beside it and under its name, and return the URI.

    :raises ApimartDestinationError: If it can't be written.
    """
    import pyarrow.parquet

    content = io.BytesIO()
    pyarrow.parquet.write_table(table(entries), content)
    path = place.path
    name = f"{place.batch}{SUFFIX}"
    Folder(path).write(name, content.getvalue())
    return uri_of(path / name)


def table(entries: Iterable[LedgerEntry]) -> Any:
    """Return a ledger as a table of pyarrow, whose columns have the same types whatever the ledger holds."""
    import pyarrow

    rows = [{each.name: getattr(entry, each.name) for each in fields(entry)} for entry in entries]
    columns = schema()
    return pyarrow.Table.from_pylist([_row(row, columns) for row in rows], schema=columns)


def schema() -> Any:
    """Return the columns, in the order of a ledger's fields."""
    import pyarrow

    types = _types()
    text = pyarrow.string()
    return pyarrow.schema([(each.name, types.get(each.name, text)) for each in fields(LedgerEntry)])


def _types() -> Mapping[str, Any]:
    """Return the types of the columns that aren't text."""
    import pyarrow

    text, time, number = pyarrow.string(), pyarrow.timestamp("us", tz="UTC"), pyarrow.int32()
    # Amounts are known to a billionth.
    dollars = pyarrow.decimal128(28, 9)
    file = [("uri", text), ("bytes", pyarrow.int64()), ("sha256", text), ("media_type", text)]
    output = [("url", text), ("kind", text), ("expires_at", time)]
    earlier = [("generation_id", text), ("status", text), ("cost", dollars)]
    quote = [("cost", dollars), ("certainty", text), ("reason", text)]
    return {
        **dict.fromkeys(("position", "requested", "clear_marker"), number),
        **dict.fromkeys(("submitted", "completed", "saved", "tried_at"), time),
        **dict.fromkeys(("cost", "saved_cost"), dollars),
        "files": pyarrow.list_(pyarrow.struct(file)),
        "outputs": pyarrow.list_(pyarrow.struct(output)),
        "earlier": pyarrow.list_(pyarrow.struct(earlier)),
        "quote": pyarrow.struct(quote),
    }


def _row(row: Mapping[str, Any], columns: Any) -> dict[str, Any]:
    return {column.name: _value(row[column.name], column.type) for column in columns}


def _value(value: Any, kind: Any) -> Any:
    """Return a value as a column's type takes it."""
    from pyarrow import types

    if value is None:
        return None
    if types.is_list(kind):
        return [_value(each, kind.value_type) for each in value]
    if types.is_struct(kind):
        return {field.name: _value(value.get(field.name), field.type) for field in kind}
    if types.is_decimal(kind):
        return _within(money(value), 10 ** (kind.precision - kind.scale))
    if types.is_timestamp(kind):
        return moment(value)
    if types.is_string(kind):
        return str(value) if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return _within(value, 2 ** (kind.bit_width - 1))


def _within(value: Number | None, limit: int) -> Number | None:
    """Return a number if a column can hold it: what a reply or a request says may be absurd."""
    return value if value is not None and -limit < value < limit else None
