"""From IB's ``sbd`` frames (the BookTrader's price ladder) to order books. Pure: no I/O, no clock, no logging.

IB does not document whether a frame is the whole ladder or a change of it, nor what an absent row means. So a ladder is
keyed by its rows, and a frame overwrites only the rows that it names. This is right for both readings.
"""

from ibfeed_worker.book.book import CROSSED, Book
from ibfeed_worker.book.row import Row, Rows, conid_of, rows_of
from ibfeed_worker.book.staleness import LadderStaleness

__all__ = ["CROSSED", "Book", "LadderStaleness", "Row", "Rows", "conid_of", "rows_of"]
