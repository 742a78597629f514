//! Floor 10 · One self-contained page.
