"""Dead letters: messages that became no row, kept whole with the reason. Listing, decoding again, letting expire."""
