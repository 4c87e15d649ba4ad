"""Telling outsiders what happens to invoices: written with the change itself, sent once it is stored, until it arrives."""
