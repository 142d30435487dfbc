"""Does the model use what it looks at? Places are pasted and erased, and the answers counted."""
