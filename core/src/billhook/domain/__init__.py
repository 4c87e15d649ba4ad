"""Pure values and decisions: money, invoices, the lifecycle, mapping and numbering."""
