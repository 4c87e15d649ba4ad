"""Billhook carries an invoice, exactly once and to the cent, through the systems that deliver it and collect the money."""
