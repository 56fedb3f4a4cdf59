"""Run a bundle. No torch below this line."""
