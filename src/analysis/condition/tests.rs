use proptest::prelude::*;
use serde_json::json;

use super::*;

fn of(text: &str, result: &Value) -> Result<bool> {
    holds(&Condition::parse(text).unwrap(), result)
}

fn no_data(text: &str, result: &Value) -> bool {
    matches!(of(text, result), Err(Fault::NoData(_)))
}

#[test]
fn conditions_of_argo_rollouts_hold() {
    for (text, result, holds) in [
        ("result >= 0.95", json!(0.95), true),
        ("result >= 0.95", json!(0.94), false),
        ("result > 1", json!(1.5), true),
        ("result >= 95", json!(95.0), true),
        ("result == 95", json!(95.0), true),
        ("result != 95", json!(95), false),
        ("result[0] >= 0.95 && result[0] <= 1", json!([0.99]), true),
        ("result[0] * 100 > 99", json!([0.995]), true),
        ("len(result) == 0 || result[0] < 5", json!([]), true),
        ("size(result) == 2", json!([1, 2]), true),
        ("isNaN(result[0]) || result[0] < 5", json!(["NaN"]), true),
        ("isNaN(result)", json!(0), false),
        ("isInf(result)", json!("+Inf"), true),
        ("default(result, 0) < 0.05", json!(null), true),
        ("default(result[0], 0) < 0.05", json!([]), true),
        ("default(result.a.b, 7) == 7", json!({}), true),
        ("default(result, 0) < 0.05", json!("NaN"), true),
        ("isNil(result) || result > 1", json!(null), true),
        ("isNil(result[3])", json!([1]), true),
        ("asFloat(result) > 1", json!("1.5"), true),
        ("asInt(result) == 1", json!("1.9"), true),
        ("result.rate > 1 && result.data.ok", json!({"rate": 2, "data": {"ok": true}}), true),
        ("result['rate'] > 1", json!({"rate": 2}), true),
        ("has(result.rate) && result.rate > 1", json!({}), false),
        ("result.status == 'ok'", json!({"status": "ok"}), true),
        ("result == 'ok'", json!("not ok"), false),
        ("result == 99.5", json!("99.5"), true),
        ("result.all(x, x > 1)", json!([2, 3]), true),
        ("result.all(x, x > 2)", json!([2, 3]), false),
        ("result.exists(x, x > 2)", json!([2, 3]), true),
        ("result.exists_one(x, x > 1)", json!([2, 3]), false),
        ("size(result.filter(x, x > 2)) == 1", json!([2, 3]), true),
        ("result.map(x, x * 10) == [20, 30]", json!([2, 3]), true),
        ("result.all(x, result.exists(y, y < x) || x == 1)", json!([1, 2, 3]), true),
        ("result in [200, 201]", json!(201), true),
        ("2 in result", json!([1, 2]), true),
        ("-result < 0 ? true : false", json!(1), true),
        ("result % 2 == 1", json!(7), true),
        ("result", json!(true), true),
        ("!result", json!(true), false),
    ] {
        assert_eq!(of(text, &result), Ok(holds), "{text} of {result}");
    }
}

#[test]
fn what_was_not_measured_is_never_compared() {
    for result in [json!("NaN"), json!(null)] {
        for text in [
            "result > 0.9",
            "!(result < 0.9)",
            "result != 5",
            "!(result == 5)",
            "result < 0.9 || 1 == 1",
            "result + 1 > 0",
            "result * 0 == 0",
            "result in [1, 2] || true",
            "!([1, 2] == [1, result])",
            "(result > 1) == false",
            "result > 1 ? false : true",
            "!(result / 0 > 1)",
            "!(result <= 'a')",
        ] {
            assert!(no_data(text, &result), "{text} of {result}: {:?}", of(text, &result));
        }
    }
    for (text, result) in [
        ("result[0] > 1", json!([])),
        ("!(result[1] < 1)", json!([1])),
        ("result.all(x, x < 5)", json!([])),
        ("!result.exists(x, x > 5)", json!([])),
        ("result.all(x, x < 5)", json!([1, null])),
        ("!result.exists(x, x > 5)", json!(["NaN"])),
        ("!(result.a > 1)", json!({})),
        ("result[0] < 0.05 || result[1] > 10", json!(["NaN", 20])),
        ("!(2 in result)", json!([1, "NaN"])),
        ("0.0 / 0.0 == result", json!(1)),
    ] {
        assert!(no_data(text, &result), "{text} of {result}: {:?}", of(text, &result));
    }
    assert!(matches!(of("result > 1", &json!("+Inf")), Err(Fault::Wrong(_))), "more than any number is none");
    assert!(matches!(of("result > 1", &json!({})), Err(Fault::Wrong(_))));
    assert!(matches!(of("result > 1", &json!("many")), Err(Fault::Wrong(_))));
    assert!(matches!(of("result ? true : false", &json!(1)), Err(Fault::Wrong(_))));
}

#[test]
fn there_is_an_end_to_it() {
    let many: Value = (0..2_000).collect();
    let text = "result.all(x, result.all(y, result.all(z, x + y + z >= 0)))";
    assert_eq!(of(text, &many), Err(Fault::Wrong("there is too much to compare: aggregate in the query".to_owned())));
    let list: Value = (0..20_000).collect();
    assert_eq!(of("result.all(x, x >= 0)", &list), Ok(true));
}

/// What goes as deep as it may, in three quarters of the stack that a thread has.
#[test]
fn the_stack_is_large_enough() {
    let nested = (0..5).fold("x4 > 0".to_owned(), |inner, n| {
        let list = if n == 4 { "result".to_owned() } else { format!("x{}", 3 - n) };
        format!("{list}.all(x{}, {inner})", 4 - n)
    });
    let list = (0..5).fold(json!(1), |inner, _| json!([inner]));
    let texts = [
        (nested, list),
        (format!("{}result{} > 0", "(".repeat(5), " + 1)".repeat(5)), json!(1)),
        (format!("result{} > 0", "+1".repeat(59)), json!(1)),
        (format!("{}(result > 0)", "!".repeat(56)), json!(1)),
        (
            format!(
                "result < 0 ? false : {}",
                (0..1).fold("true".to_owned(), |inner, _| format!("1 > 2 ? false : {inner}"))
            ),
            json!(1),
        ),
        (format!("result > {}", (0..5).fold("0".to_owned(), |inner, _| format!("[{inner}][0]"))), json!(1)),
    ];
    for (text, result) in texts {
        eprintln!("{text}");
        let small = std::thread::Builder::new().stack_size(3 << 19);
        let held = small.spawn(move || (of(&text, &result), text)).unwrap().join().unwrap();
        assert_eq!(held.0, Ok(true), "{}", held.1);
    }
}

fn some_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["NaN", "+Inf", "-Inf", "1e400", "ok", "", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

const TEXTS: [&str; 14] = [
    "result > 1",
    "!(result < 1)",
    "result[0] >= 1 || result.a != 2",
    "result[1] == result[0]",
    "result.all(x, x > 1)",
    "!result.exists(x, x == x)",
    "result.map(x, x * 2).filter(x, x > 1).size() > 0",
    "default(result, 0) < 1 ? isNaN(result) : isInf(result)",
    "has(result.a) && result.a in result.b",
    "result[result] > 1",
    "asInt(result) % 0 == -result",
    "isNil(result.a.b) || len(result) > 1",
    "result == [1, 'a', result]",
    "result[-1] > 0 || result[1e300] > 0",
];

proptest! {
    #[test]
    fn nothing_that_is_measured_is_too_odd(result in some_json(), text in prop::sample::select(TEXTS.to_vec())) {
        let _ = of(text, &result);
    }

    /// Whatever the sign of the comparison, and whatever stands around it.
    #[test]
    fn a_nan_is_never_success(
        operator in prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]),
        bound in -5..5_i32,
        shape in prop::sample::select(vec!["C", "!(C)", "C || true", "!(C && true)", "C ? true : true", "(C) != true", "!(C) || C"]),
        result in prop::sample::select(vec![json!("NaN"), json!(null)]),
    ) {
        let text = shape.replace('C', &format!("result {operator} {bound}"));
        prop_assert!(no_data(&text, &result), "{}", text);
    }
}
