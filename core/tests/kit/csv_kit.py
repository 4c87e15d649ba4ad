"""What tests of files of CSV share."""

from __future__ import annotations

COLUMNS = "key,customer_key,currency,line_name,item_code,quantity,unit_price,type\n"
"""The head of a file that names the type of each document, too."""
