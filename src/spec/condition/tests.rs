use proptest::prelude::*;

use super::*;

fn mistake(text: &str) -> (usize, String) {
    let Mistake { line, column, message, help } = Condition::parse(text).unwrap_err();
    assert_eq!(line, 1, "{text}");
    (column, help.map_or(message.clone(), |help| format!("{message} ({help})")))
}

#[test]
fn conditions_are_read() {
    for text in [
        "result >= 0.95",
        "result[0] >= 0.95 && result[0] <= 1",
        "!(result < 0.9)",
        "isNaN(result) || result > 5",
        "len(result) == 0 || result[0] < 10",
        "default(result, 0) < 0.05",
        "result.rate > 1 && has(result.data.ok)",
        "result.all(x, x > 1)",
        "result.exists(x, result.all(y, y <= x))",
        "result.map(x, x * 100).filter(x, x > 1).size() > 2",
        "result in [200, 201]",
        "result.status == 'ok' ? result.rate > 1 : false",
        "result",
        "asInt(result) % 2 == 0",
        "result == true",
    ] {
        assert_eq!(Condition::parse(text).map(|condition| condition.text().to_owned()), Ok(text.to_owned()));
    }
}

#[test]
fn mistakes_are_placed_and_helped() {
    for (text, column, message) in [
        ("result >=", 10, "mismatched input '<EOF>'"),
        ("reslt > 1", 1, "nothing is called \"reslt\" (did you mean \"result\"?)"),
        ("result > 1 && value < 2", 15, "nothing is called \"value\" (what was measured is result)"),
        ("result != nil", 11, "nothing is called \"nil\" (isNil(result) asks whether there is nothing)"),
        ("result != null", 11, "nothing compares with null (isNil(result) asks whether there is nothing)"),
        ("isnan(result)", 6, "there is no function \"isnan\" (did you mean \"isNaN\"?)"),
        ("default(result) > 1", 8, "default takes 2 arguments, found 1"),
        ("all(result, x > 1)", 4, "there is no function \"all\" (write result.all(x, x > 1))"),
        ("result + 1", 8, "a condition is true or false, this is neither (compare it: result >= 0.95)"),
        ("true", 1, "it does not look at result (e.g. result >= 0.95)"),
        ("x.all(result, result > 1)", 1, "nothing is called \"x\" (what was measured is result)"),
        ("result == {'a': 1}", 11, "a condition compares numbers, text and lists"),
    ] {
        assert_eq!(mistake(text), (column, message.to_owned()), "{text}");
    }
    let long = format!("result > {}", "1".repeat(500));
    assert_eq!(mistake(&long), (1, "it has 509 characters, 500 are allowed".to_owned()));
    let deep = format!("{}result{} > 1", "(".repeat(6), ")".repeat(6));
    let words = "brackets and ?: stand 6 deep in it, 5 are allowed (compute it in the query)";
    assert_eq!(mistake(&deep), (1, words.to_owned()));
    let many = format!("result > 1{}", "+1".repeat(60));
    assert_eq!(mistake(&many), (1, "it has 61 signs, 60 are allowed (compute it in the query)".to_owned()));
}

#[test]
fn other_languages_are_translated() {
    for (text, help) in [
        ("all(result, {# > 1})", "write result.all(x, x > 1)"),
        ("any(result, {# > 1})", "write result.exists(x, x > 1)"),
        ("result > 1 and result < 2", "write && for and"),
        ("result > 1 or result < 0", "write || for or"),
        ("not isNaN(result)", "write ! for not"),
        ("(result ?? 0) > 1", "write default(result, 0) for what may be missing"),
        ("result = 1", "write == to compare"),
    ] {
        let mistake = Condition::parse(text).unwrap_err();
        assert_eq!(mistake.help.as_deref(), Some(help), "{text}: {mistake:?}");
    }
}

#[test]
fn a_mistake_on_a_further_line_is_found_there() {
    let mistake = Condition::parse("result > 1 &&\n  value < 2").unwrap_err();
    assert_eq!((mistake.line, mistake.column), (2, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_text_is_too_odd_to_be_read(text in "[\\PC\\n]{0,60}") {
        let _ = Condition::parse(&text);
    }

    #[test]
    fn nor_one_that_looks_like_a_condition(
        parts in prop::collection::vec(prop::sample::select(vec![
            "result", "(", ")", "[", "]", "{", "}", ".", "all", "x", ",", "0", "1.5", "1e400", "9999999999999999999999",
            "'", "\"a\"", "b'x'", "r\"", "\\u", "&&", "||", "!", "-", "?", ":", "==", "<", "in", "has", "size", "null", "true",
            "`", "#", "//", "\n", "0x", "1u", "T{", "@", "é", "..",
        ]), 0..24),
    ) {
        let _ = Condition::parse(&parts.concat());
        let _ = Condition::parse(&parts.join(" "));
    }
}
