use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What Prometheus says around `data`.
fn prometheus(data: &str) -> Result<Value, String> {
    of_prometheus(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes())
}

fn vector(values: &[&str]) -> Result<Value, String> {
    let samples = values.iter().map(|value| format!(r#"{{"metric":{{"a":"b"}},"value":[1767323045.781,"{value}"]}}"#));
    prometheus(&format!(r#"{{"resultType":"vector","result":[{}]}}"#, samples.collect::<Vec<_>>().join(",")))
}

fn no<T>(words: &str) -> Result<T, String> {
    Err(words.to_owned())
}

#[test]
fn a_query_gives_its_values() {
    assert_eq!(vector(&["0.9987"]), Ok(json!([0.9987])));
    assert_eq!(vector(&["1e-07", "-0", "3"]), Ok(json!([1e-7, -0.0, 3.0])));
    assert_eq!(vector(&[]), Ok(json!([])));
    assert_eq!(vector(&["NaN", "+Inf", "-Inf", "1e999"]), Ok(json!(["NaN", "+Inf", "-Inf", "+Inf"])));
    assert_eq!(prometheus(r#"{"resultType":"scalar","result":[1767323045,"42"]}"#), Ok(json!(42.0)));
    let with_more = r#"{"status":"success","data":{"stats":{"a":1},"result":[{"metric":{},"value":[1,"3"]}],"resultType":"vector"},"warnings":["w"]}"#;
    assert_eq!(of_prometheus(with_more.as_bytes()), Ok(json!([3.0])));
    let range = r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"2"]]},{"metric":{},"values":[[1,"3"]]}]}"#;
    assert_eq!(prometheus(range), Ok(json!([1.0, 2.0, 3.0])));
    assert_eq!(prometheus(r#"{"resultType":"matrix","result":[]}"#), Ok(json!([])));
}

#[test]
fn a_query_that_gives_no_numbers_is_an_error() {
    for value in ["", "many"] {
        assert_eq!(vector(&["1", value]), no(&format!("the value {value:?} is no number")));
    }
    for (data, words) in [
        (r#"{"resultType":"string","result":[1767323045,"1"]}"#, "the query gives a string, not a number"),
        (
            r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}]}"#,
            "the query gives a histogram, not a value",
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
fn a_path_leads_to_what_is_there() {
    let body = br#"{"data": {"rate": 0.5, "text": "99.5", "list": [1, 2], "last": [3], "ok": true, "none": null}}"#;
    for (path, value) in [
        ("$.data.rate", json!(0.5)),
        ("{$.data.rate}", json!(0.5)),
        ("{ .data.rate }", json!(0.5)),
        (".data.rate", json!(0.5)),
        ("{.data['rate']}", json!(0.5)),
        ("$.data.text", json!("99.5")),
        ("$.data.list[1]", json!(2)),
        ("$.data.last[*]", json!(3)),
        ("$.data.list[*]", json!([1, 2])),
        ("$.data.list", json!([1, 2])),
        ("$.data.ok", json!(true)),
        ("$.data.none", json!(null)),
        ("$.data.lost", json!(null)),
    ] {
        assert_eq!(of_web(body, path), Ok(value), "{path}");
    }
    assert_eq!(of_web(b"1.5", "$"), Ok(json!(1.5)));
    assert_eq!(of_web(b"1.5", ""), Ok(json!(1.5)));
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
    fn no_answer_is_too_odd(body in "[\\[\\]{}:,\"a0-9eE+.-]{0,40}", value in "[-+0-9.eEnaifNIF]{0,8}") {
        let _ = of_web(body.as_bytes(), "$..a");
        let _ = of_prometheus(body.as_bytes());
        if let Ok(Value::Array(items)) = vector(&[&value]) {
            prop_assert!(items[0].as_f64().is_some_and(f64::is_finite) || items[0].is_string());
        }
    }
}
