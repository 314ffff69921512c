"""Results as flat rows, and the one way in which they are printed: as Markdown tables.

A row is a dict that names what was measured (detector, method, condition, metric, ...) and holds
what came out: value, low and high of its 95 % interval, and n, the number of things behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]


class Column(NamedTuple):
    """One column of `pivot`.

    Attributes:
        metric: Of the rows that are shown here.
        condition: Of these rows as well, unless it is None.
        form: How values are written, see `cell`.
        interval: Whether the interval follows the value.
    """

    title: str
    metric: str
    condition: str | None = None
    form: str = ".2f"
    interval: bool = False


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under a head, as Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def cell(
    value: float | None, interval: Sequence[float | None] | None = None, form: str = ".2f"
) -> str:
    """A value with its interval, "0.83 [0.78, 0.87]"; "-" for None.

    form: as for `format`. Shares in % are written without the sign, which belongs in the head.
    """
    if value is None:
        return "-"
    ends = [end for end in interval or () if end is not None]
    text, *borders = (format(x, form).removesuffix("%") for x in (value, *ends))
    return f"{text} [{', '.join(borders)}]" if borders else text


def pivot(rows: Sequence[Row], by: str, columns: Sequence[Column]) -> str:
    """A table of flat rows: a line for each value of the key `by`, a cell for each column."""
    lines = []
    for name in dict.fromkeys(row[by] for row in rows):
        own = [row for row in rows if row[by] == name]
        lines.append([name, *(_shown(own, column) for column in columns)])
    return table([by, *(column.title for column in columns)], lines)


def find(rows: Sequence[Row], **names: Any) -> Row | None:
    """The first row that bears all these names."""
    return next((r for r in rows if all(r.get(k) == v for k, v in names.items())), None)


def _shown(rows: Sequence[Row], column: Column) -> str:
    names = {"metric": column.metric}
    if column.condition is not None:
        names["condition"] = column.condition
    row = find(rows, **names)
    if row is None:
        return "-"
    return cell(row["value"], (row["low"], row["high"]) if column.interval else None, column.form)
