"""How long a bundle takes on this device, where the time goes, and what it costs in memory and energy."""
