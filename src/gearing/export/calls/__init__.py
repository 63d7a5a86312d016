"""Decisions as the list of calls that a venue takes, in order; sending them is left to the user."""

from gearing.export.calls.call import client_order_id as client_order_id
from gearing.export.calls.listing import VENUE_CALLS as VENUE_CALLS, calls_of as calls_of
