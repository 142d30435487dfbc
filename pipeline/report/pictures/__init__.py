"""The pictures of a report: crops, flows over them, film strips, sprites."""
