//! Text in HTML.

/// Text as HTML shows it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Sentences as HTML shows them: what stands between backticks, a command or a file, in the type of one.
pub fn prose(text: &str) -> String {
    let text = escaped(text);
    if !text.matches('`').count().is_multiple_of(2) {
        return text;
    }
    let pieces = text.split('`').enumerate();
    pieces
        .map(|(place, piece)| match place % 2 {
            0 => piece.to_owned(),
            _ => format!("<code>{piece}</code>"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_sentences_are_set_as_such_and_nothing_breaks_out() {
        assert_eq!(
            prose("see `a <b>` & `c`"),
            "see <code>a &lt;b&gt;</code> &amp; <code>c</code>"
        );
        assert_eq!(prose("one ` alone"), "one ` alone");
    }
}
