"""OpenMeter's API in its third form, under ``/api/v3/openmeter``, and under ``/v3/openmeter`` as Konnect has it."""
