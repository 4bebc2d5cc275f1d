"""Run ClickHouse's engine as a process: ``python clickhouse_engine.py LIBRARY ARGUMENTS``.

The library holds a whole ``clickhouse local``. Its function ``query_stable_v2`` takes the arguments of that program,
and returns when the program ends. It is an interface of C: see ``chdb.h`` of the chdb project.
"""

from __future__ import annotations

import ctypes
import sys
from typing import ClassVar


class Result(ctypes.Structure):
    """The structure ``local_result_v2``."""

    _fields_: ClassVar = [
        ("buf", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("vec", ctypes.c_void_p),
        ("elapsed", ctypes.c_double),
        ("rows_read", ctypes.c_uint64),
        ("bytes_read", ctypes.c_uint64),
        ("error_message", ctypes.c_char_p),
    ]


library = ctypes.CDLL(sys.argv[1])
library.query_stable_v2.restype = ctypes.POINTER(Result)
words = [b"clickhouse", *(word.encode() for word in sys.argv[2:])]
result = library.query_stable_v2(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None))
sys.exit(result.contents.error_message.decode() if result and result.contents.error_message else 0)
