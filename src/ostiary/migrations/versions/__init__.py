"""The migrations, in order; each is made once and never changed."""
