"""Those who take part, each behind the same few methods."""
