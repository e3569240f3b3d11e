use proptest::prelude::*;

use super::*;

/// What Prometheus says around `data`.
fn prometheus(data: &str) -> Result<f64, String> {
    of_prometheus(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes())
}

fn vector(values: &[&str]) -> Result<f64, String> {
    let samples = values.iter().map(|value| format!(r#"{{"metric":{{"a":"b"}},"value":[1767323045.781,"{value}"]}}"#));
    prometheus(&format!(r#"{{"resultType":"vector","result":[{}]}}"#, samples.collect::<Vec<_>>().join(",")))
}

fn no<T>(words: &str) -> Result<T, String> {
    Err(words.to_owned())
}

#[test]
fn a_query_that_gives_one_value_gives_that_value() {
    assert_eq!(vector(&["0.9987"]), Ok(0.9987));
    assert_eq!(vector(&["1e-07"]), Ok(1e-7));
    assert_eq!(vector(&["-0"]), Ok(0.0));
    assert_eq!(prometheus(r#"{"resultType":"scalar","result":[1767323045,"42"]}"#), Ok(42.0));
    let with_more = r#"{"status":"success","data":{"stats":{"a":1},"result":[{"metric":{},"value":[1,"3"]}],"resultType":"vector"},"warnings":["w"]}"#;
    assert_eq!(of_prometheus(with_more.as_bytes()), Ok(3.0));
}

#[test]
fn a_query_that_gives_anything_else_is_an_error() {
    assert_eq!(vector(&[]), no("the query finds no data"));
    assert_eq!(vector(&["1", "1"]), no("the query gives 2 values, not one"));
    for value in ["NaN", "+Inf", "-Inf", "1e999", "", "many"] {
        assert_eq!(vector(&[value]), no(&format!("the value {value:?} is no finite number")));
    }
    for (data, words) in [
        (r#"{"resultType":"scalar","result":[1767323045,"NaN"]}"#, "the value \"NaN\" is no finite number"),
        (
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"1"]]}]}"#,
            "the query gives a range of values over time, not one",
        ),
        (r#"{"resultType":"string","result":[1767323045,"1"]}"#, "the query gives a string, not a number"),
        (
            r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}]}"#,
            "the query gives a histogram, not one value",
        ),
    ] {
        assert_eq!(prometheus(data), no(words));
    }
}

#[test]
fn what_prometheus_would_not_say_is_an_error() {
    for body in [
        "",
        "<html>",
        "{}",
        "null",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":"1"}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,1]}]}}"#,
        r#"{"status":"success","data":{"resultType":"tensor","result":[]}}"#,
    ] {
        let words = of_prometheus(body.as_bytes()).unwrap_err();
        assert!(words.starts_with("the answer is none of Prometheus: "), "{body}: {words}");
    }
    let failed = r#"{"status":"error","errorType":"timeout","error":"query timed out","data":{"resultType":"scalar","result":[1,"1"]}}"#;
    assert_eq!(of_prometheus(failed.as_bytes()), no("timeout: query timed out"), "an error beside a value is an error");
}

#[test]
fn a_path_leads_to_one_number() {
    let body = br#"{"data": {"rate": 0.5, "text": "99.5", "list": [1, 2], "last": [3], "ok": true, "none": null, "nan": "NaN"}}"#;
    for (path, value) in [
        ("$.data.rate", Ok(0.5)),
        ("{$.data.rate}", Ok(0.5)),
        ("{ .data.rate }", Ok(0.5)),
        (".data.rate", Ok(0.5)),
        ("{.data['rate']}", Ok(0.5)),
        ("$.data.text", Ok(99.5)),
        ("$.data.list[1]", Ok(2.0)),
        ("$.data.last[*]", Ok(3.0)),
        ("$.data.list[*]", no("2 values are at $.data.list[*] in the answer, not one")),
        ("$.data.list", no("at $.data.list in the answer is [1,2], not a number")),
        ("$.data.ok", no("at $.data.ok in the answer is true, not a number")),
        ("$.data.none", no("at $.data.none in the answer is null, not a number")),
        ("$.data.nan", no("the value \"NaN\" is no finite number")),
        ("$.data.lost", no("nothing is at $.data.lost in the answer")),
    ] {
        assert_eq!(of_web(body, path), value, "{path}");
    }
    assert_eq!(of_web(b"1.5", "$"), Ok(1.5));
    assert_eq!(of_web(b"1.5", ""), Ok(1.5));
}

#[test]
fn what_is_no_json_and_what_is_no_path_is_said() {
    for body in [&b""[..], b"<html>", b"{\"a\": NaN}", b"{\"a\": 1e999}", b"\xff", b"{} {}"] {
        let words = of_web(body, "$.a").unwrap_err();
        assert!(words.starts_with("the answer is no JSON: "), "{body:?}: {words}");
    }
    for path in ["{$.a", "$.", "$[", "rate"] {
        let words = of_web(b"{\"a\": 1}", path).unwrap_err();
        assert!(words.starts_with(&format!("jsonPath {path}: ")), "{path}: {words}");
    }
}

proptest! {
    #[test]
    fn no_answer_is_a_value_that_is_not_finite(
        body in "[\\[\\]{}:,\"a0-9eE+.-]{0,40}",
        value in "[-+0-9.eEnaifNIF]{0,8}",
    ) {
        for result in [of_web(body.as_bytes(), "$"), vector(&[&value])] {
            prop_assert!(result.is_err() || result.is_ok_and(f64::is_finite));
        }
    }
}
