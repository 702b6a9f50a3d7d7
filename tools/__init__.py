"""How the book is made: running notebooks, keeping pairs in step, building the HTML."""
