"""OpenMeter's API in its first form, under ``/api/v1``."""
