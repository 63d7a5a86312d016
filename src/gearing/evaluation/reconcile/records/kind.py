"""Kinds of records: which fields a venue documents, and what is done with each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import Row, plain

Use = Literal["used", "meaning", "compared", "irrelevant"]


@dataclass(frozen=True)
class Field:
    """What is done with a documented field, and why.

    Attributes
    ----------
    use : {"used", "meaning", "compared", "irrelevant"}
        Taken as given; decides what other fields mean; computed and compared; without effect on any number.
    why : str, one phrase
    """

    use: Use
    why: str


def used(why: str) -> Field:
    """A field whose value the replay takes as given."""
    return Field("used", why)


def meaning(why: str) -> Field:
    """A field that decides what other fields mean."""
    return Field("meaning", why)


def compared(why: str) -> Field:
    """A field that the replay computes and compares."""
    return Field("compared", why)


def irrelevant(why: str) -> Field:
    """A field without effect on any number."""
    return Field("irrelevant", why)


@dataclass(frozen=True)
class Kind:
    """A kind of record of a venue.

    Attributes
    ----------
    name : str, how messages and counts name it
    source : str, where the venue documents it, or the page that exports it
    needs : sequence of alternatives, each the fields that mark the record
    fields : mapping name -> Field, every documented one
    read : reads a row
    page : bool
        Exported by the venue's web page: amounts are printed with the decimals of their column, and times may be in
        the zone of the page.
    """

    name: str
    source: str
    needs: Sequence[str]
    fields: Mapping[str, Field]
    read: Callable[[Row], Line]
    page: bool = False

    def fits(self, names: Iterable[str]) -> bool:
        """Whether a record with these plain names is of this kind."""
        present = set(names)
        return all(any(plain(one) in present for one in need.split("|")) for need in self.needs)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Plain names that the venue does not document."""
        return sorted(name for name in names if name not in self.documented)

    @cached_property
    def documented(self) -> frozenset[str]:
        """Plain names of the documented fields."""
        return frozenset(plain(name) for name in self.fields)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Needed fields that are not there."""
        present = set(names)
        return [
            " or ".join(need.split("|"))
            for need in self.needs
            if not any(plain(one) in present for one in need.split("|"))
        ]
