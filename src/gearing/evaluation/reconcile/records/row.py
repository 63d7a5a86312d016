"""A row of a file as texts by field, with readers that name the file and the line in their errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import numpy as np

from gearing.market.timing import stamp
from gearing.names import did_you_mean

_SHORT_YEAR = re.compile(r"\d\d-\d\d-\d\d[ T]\d\d:")
_DATED, _ZONED = (
    re.compile(r"\d[-/.]\d|[A-Za-z]{3}"),
    re.compile(r"(Z|UTC|GMT|[-+]\d\d:?\d\d)$", re.IGNORECASE),
)
_LEAST, _MOST = -30, 20  # powers of ten
ABSENT = {"", "-", "--", "null", "none", "nan", "n/a"}
_AMOUNT = re.compile(
    r"^\s*(?P<number>[-+\u2212]?[\d.,'\u00a0\u202f ]*\d(?:[eE][-+]?\d+)?)\s*(?P<coin>[A-Za-z][A-Za-z0-9]*)?\s*$"
)


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A field's name without case, spaces and punctuation, so that "Order ID" and "orderId" are one."""
    return re.sub(r"[^0-9a-z]", "", name.lower())


@dataclass(frozen=True)
class Row:
    """Texts of one record by plain name of field.

    Attributes
    ----------
    file : str
    line : int, counted from 1
    texts : mapping plain name -> text; absent values are left out
    decimals : mapping plain name -> most decimals printed in that column of the file
    zone : str, what the column's header or the file's name says of the time zone, such as "+03:00"; None if nothing
    columns : plain names of all fields, those without a value, too
    comma : bool, whether a comma separates decimals in this file
    """

    file: str
    line: int
    texts: Mapping[str, str]
    decimals: Mapping[str, int] = field(default_factory=dict)
    zone: str | None = None
    comma: bool = False
    columns: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}, line {self.line}"

    def error(self, message: str) -> ValueError:
        """An error that names file and line."""
        return ValueError(f"{self.place}: {message}")

    def __contains__(self, name: str) -> bool:
        return plain(name) in self.texts

    def text(self, name: str, default: str | None = None) -> str:
        """Text of a field.

        Raises
        ------
        ValueError
            If it is absent and no default is given.
        """
        found = self.texts.get(plain(name), default)
        if found is None:
            raise self.error(f"no {name}, or an empty one; give the record as the venue returns it.")
        return found

    def first(self, *names: str) -> str:
        """The first of several spellings of a field that is present, else the first."""
        return next((name for name in names if name in self), names[0])

    def choice(self, name: str, known: Mapping[str, str | int], default: str | None = None) -> str | int:
        """What a text stands for; texts are compared in lower case.

        Raises
        ------
        ValueError
            For a text that is not known.
        """
        given = self.text(name, default)
        if given.lower() not in known:
            hint = did_you_mean(given.lower(), known)
            raise self.error(f"{name} is one of {', '.join(known)}, not {given!r}.{hint}")
        return known[given.lower()]

    def side(self, name: str = "side") -> int:
        """+1 for a buy or a long, -1 for a sell or a short."""
        return int(self.choice(name, {"buy": 1, "long": 1, "sell": -1, "short": -1}))

    def flag(self, name: str, default: str = "false") -> bool:
        """A yes or no."""
        words = {"true": 1, "false": 0, "yes": 1, "no": 0, "y": 1, "n": 0, "1": 1, "0": 0}
        return bool(self.choice(name, words, default))

    def column_decimals(self, name: str) -> int:
        """Most decimals printed in the column of a field."""
        return self.decimals.get(plain(name), 0)

    def number(self, name: str) -> str:
        """A number as plain text: no thousands separators, a point before the decimals, no exponent."""
        return self.amount(name)[0]

    def amount(self, name: str) -> tuple[str, str]:
        """A number as plain text, and the coin behind it ("0.47 USDT"), "" if there is none."""
        given = self.text(name)
        match = _AMOUNT.match(given)
        if match is None:
            raise self.error(f"{name} is {given!r}, which is not a number.")
        try:
            value = Decimal(_unformatted(match["number"], self.comma))
        except InvalidOperation:
            raise self.error(f"{name} is {given!r}, which is not a number.") from None
        if value and not _LEAST < value.adjusted() < _MOST:
            raise self.error(f"{name} is {given[:30]!r}, which no amount, price or size can be.")
        return format(value, "f"), (match["coin"] or "").upper()

    def sizes(self, names: Mapping[str, str]) -> dict[str, str]:
        """Our name -> number, of the venue's fields that are present; sizes and prices, which are never negative.

        Raises
        ------
        ValueError
            For a negative number.
        """
        found = self.numbers(names)
        for ours, text in found.items():
            if Decimal(text) < 0:
                raise self.error(
                    f"{names[ours]} is {text}; a {ours} is not negative, the side is in its own field."
                )
        return found

    def nonzero(self, names: Mapping[str, str]) -> dict[str, str]:
        """Like ``sizes``, without zeros, which stand for what is not known."""
        return {name: text for name, text in self.sizes(names).items() if Decimal(text)}

    def check_trade(self, given: Mapping[str, str]) -> None:
        """Refuse an execution without a size or a price above zero.

        Raises
        ------
        ValueError
            Naming what is missing or zero.
        """
        for name in ("quantity", "price"):
            if name not in given or Decimal(given[name]) <= 0:
                stated = f"the {name} is {given[name]}" if name in given else f"there is no {name}"
                raise self.error(
                    f"{stated}; of an execution it is positive. Give the record as the venue writes it."
                )

    def numbers(self, names: Mapping[str, str]) -> dict[str, str]:
        """Our name -> number, of the venue's fields that are present."""
        return {ours: self.number(theirs) for ours, theirs in names.items() if theirs in self}

    def time(self, name: str) -> np.datetime64:
        """A moment in UTC [ms]."""
        return read_moment(self.text(name), self.zone, f"{self.place}, {name}")


def without_coin(text: str) -> str:
    """The number in "0.47 USDT"; other texts as they are."""
    match = _AMOUNT.match(text)
    return text if match is None else match["number"]


def _unformatted(text: str, comma: bool) -> str:
    text = text.replace("\u2212", "-")
    for mark in ("'", "\u00a0", "\u202f", " "):
        text = text.replace(mark, "")
    if comma:
        text = text.replace(".", "").replace(",", ".")
    return text.replace(",", "")


def decimals_of(text: str) -> int:
    """Decimals of a plain number."""
    return max(0, -int(Decimal(text).as_tuple().exponent))


def read_moment(text: str, zone: str | None, place: str) -> np.datetime64:
    """A moment in UTC [ms]; ``zone`` is that of texts that state none, such as "+03:00"."""
    if _SHORT_YEAR.match(text):
        text = f"20{text}"  # Binance's page prints two digits of the year, first
    moment = stamp(text, place)
    if not zone or _ZONED.search(text) or not _DATED.search(text):
        return moment
    hours, minutes = zone[1:].split(":")
    shift = np.timedelta64(60 * int(hours) + int(minutes), "m")
    return moment + shift if zone.startswith("-") else moment - shift
