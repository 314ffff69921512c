"""What the page shows: analysis, verdict words, figures and cards. `app.py` lays them out."""
