//! The valid word that was probably meant.

/// Words that a help text lists when none of them is near.
const LISTED: usize = 12;

/// The candidate closest to `word`: the same but for case and for `_`, `-` and spaces, or few edits away (a third of
/// the word at most, so that a wild guess is never offered). Of equally close ones the first.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let length = folded.chars().count();
    let cutoff = (length / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (fold(candidate), candidate))
        // No fewer edits than the lengths differ by: spares most comparisons.
        .filter(|(other, _)| other.chars().count().abs_diff(length) <= cutoff)
        .map(|(other, candidate)| (strsim::damerau_levenshtein(&folded, &other), candidate))
        .filter(|(distance, _)| *distance <= cutoff)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate closest to `word`, however far it is.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(word, candidate))
}

/// [`nearest`], as the help of a diagnostic.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {candidate:?}?"))
}

/// [`did_you_mean`], or all candidates behind `intro` if they are few.
#[must_use]
pub fn or_list<'a>(word: &str, intro: &str, candidates: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    did_you_mean(word, candidates.clone()).or_else(|| {
        let words: Vec<_> = candidates.collect();
        (1..=LISTED).contains(&words.len()).then(|| format!("{intro} {}", words.join(", ")))
    })
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

    #[test]
    fn separators_do_not_count_as_edits() {
        assert_eq!(
            nearest("maxrequestsperconnection", ["max_requests_per_connection"]),
            Some("max_requests_per_connection")
        );
    }

    #[test]
    fn few_words_are_listed() {
        assert_eq!(or_list("x", "it has", ["name", "value"].into_iter()).as_deref(), Some("it has name, value"));
        assert_eq!(or_list("x", "it has", std::iter::repeat_n("name", 13)), None);
    }
}
