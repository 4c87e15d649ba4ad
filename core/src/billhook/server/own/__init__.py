"""What OpenMeter has no word for, under ``/api/billhook/v1``."""
