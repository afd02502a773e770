"""The façade: starts and cancels runs and hands out their events."""
