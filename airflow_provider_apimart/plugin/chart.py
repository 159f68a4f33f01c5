"""Chart of the cost by day, as numbers for a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.plugin.cost_totals import Figure, Sum, grouped

WIDTH = 960
HEIGHT = 220
_MOST_MODELS = 5
OTHERS = "Other models"


@dataclass(frozen=True)
class Bar:
    """
    A part of a day's bar.

    :param series: Number of its model, which decides its colour.
    """

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True)
class Label:
    """A text at an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """
    Bars of the cost by day, one part for each model.

    :param series: Names of the models, by number.
    """

    bars: tuple[Bar, ...]
    series: tuple[str, ...]
    days: tuple[Label, ...]
    amounts: tuple[Label, ...]
    width: int = WIDTH
    height: int = HEIGHT


def chart_of(figures: Iterable[Figure], days: int, today: date) -> Chart:
    """
    Return the chart of the last days.

    :param figures: The sums of these days.
    """
    known = list(figures)
    models = list(grouped(known, lambda figure: figure.model))
    series = [*models[:_MOST_MODELS], *([OTHERS] if len(models) > _MOST_MODELS else [])]
    by_day: dict[str, dict[str, Sum]] = {}
    for figure in known:
        of = figure.model if figure.model in series else OTHERS
        day = by_day.setdefault(figure.day, {})
        day[of] = day.get(of, Sum()) + figure.sum
    highest = max((sum((each.cost for each in day.values()), Decimal(0)) for day in by_day.values()), default=0)
    top = nice_top(Decimal(highest))
    shown = [today - timedelta(days=days - 1 - number) for number in range(days)]
    bars = [bar for number, day in enumerate(shown) for bar in _bars(number, day, by_day, series, top, len(shown))]
    return Chart(tuple(bars), tuple(name or "unknown" for name in series), _days(shown), _amounts(top))


def nice_top(highest: Decimal) -> Decimal:
    """Return the amount at the top of the axis: 1, 2 or 5 times a power of ten, at least the highest amount."""
    if highest <= 0:
        return Decimal(1)
    power = Decimal(10) ** highest.adjusted()
    return next(power * step for step in (1, 2, 5, 10) if power * step >= highest)


def _bars(
    number: int, day: date, by_day: dict[str, dict[str, Sum]], series: Sequence[str], top: Decimal, days: int
) -> list[Bar]:
    step = WIDTH / days
    width, bottom, bars = max(1.0, step * 0.72), float(HEIGHT), []
    for place, name in enumerate(series):
        cost = by_day.get(day.isoformat(), {}).get(name, Sum()).cost
        height = round(float(cost / top) * HEIGHT, 2)
        if height > 0:
            bottom -= height
            title = f"{day.isoformat()}, {name or 'unknown'}: {written_dollars(cost)}"
            bars.append(
                Bar(round(number * step + (step - width) / 2, 2), bottom, round(width, 2), height, place, title)
            )
    return bars


def _days(shown: Sequence[date]) -> tuple[Label, ...]:
    step, every = WIDTH / len(shown), max(1, -(-len(shown) // 8))
    return tuple(
        Label(round((number + 0.5) * step, 1), f"{day:%b} {day.day}")
        for number, day in enumerate(shown)
        if (len(shown) - 1 - number) % every == 0
    )


def _amounts(top: Decimal) -> tuple[Label, ...]:
    parts = 4
    return tuple(
        Label(round(HEIGHT - HEIGHT * number / parts, 1), f"${(top * number / parts).normalize():,f}")
        for number in range(parts + 1)
    )
