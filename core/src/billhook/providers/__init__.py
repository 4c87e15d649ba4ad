"""The one provider that comes with core: custom invoicing. Every other is a distribution of its own."""
