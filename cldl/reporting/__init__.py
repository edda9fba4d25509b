"""What a person sees of a run: terminal, figures, pages."""
