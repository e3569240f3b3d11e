//! The valid word that was probably meant.

/// The candidate closest to `word`: the same but for case and for `_`, `-` and spaces, or few edits away (a third of
/// the word at most, so that a wild guess is never offered). Of equally close ones the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let cutoff = (folded.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= cutoff)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// [`nearest`], as the help of a diagnostic.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {candidate:?}?"))
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_wild() {
        let words = ["connect_timeout", "name", "type", "lb_policy"];
        for (word, expected) in [
            ("conect_timeout", Some("connect_timeout")),
            ("connectTimeout", Some("connect_timeout")),
            ("connect-timeout", Some("connect_timeout")),
            ("nmae", Some("name")),
            ("tpye", Some("type")),
            ("LB_POLICY", Some("lb_policy")),
            ("endpoints", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(did_you_mean("nam", words).as_deref(), Some("did you mean \"name\"?"));
    }
}
