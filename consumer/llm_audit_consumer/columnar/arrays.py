"""The NumPy arrays that the fast path is made of."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Numbers: TypeAlias = NDArray[np.int64]
Sizes: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]


def unaligned(data: Bytes, kind: str) -> NDArray[Any]:
    """``data`` seen so that every place is the start of a value of a NumPy type, such as ``>i8``."""
    dtype = np.dtype(kind)
    return np.ndarray((data.size - dtype.itemsize + 1,), dtype, data.data, strides=(1,))
