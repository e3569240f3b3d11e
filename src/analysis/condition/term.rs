//! Values while a condition is evaluated.

use std::rc::Rc;

use cel::common::ast::LiteralValue;
use serde_json::Value;

use super::{Fault, Result};

/// A value on the way.
#[derive(Debug, Clone)]
pub(super) enum Term<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List(Rc<Vec<Term<'a>>>),
    /// An array or an object.
    Json(&'a Value),
}

pub(super) fn literal_term(literal: &LiteralValue) -> Term<'_> {
    match literal {
        LiteralValue::Boolean(value) => Term::Bool(*value.inner()),
        LiteralValue::Double(value) => Term::Number(*value.inner()),
        #[expect(clippy::cast_precision_loss, reason = "all numbers are doubles")]
        LiteralValue::Int(value) => Term::Number(*value.inner() as f64),
        #[expect(clippy::cast_precision_loss, reason = "all numbers are doubles")]
        LiteralValue::UInt(value) => Term::Number(*value.inner() as f64),
        LiteralValue::String(value) => Term::Text(value.inner()),
        LiteralValue::Null | LiteralValue::Bytes(_) => Term::Null,
    }
}

pub(super) fn json_term(value: &Value) -> Term<'_> {
    match value {
        Value::Null => Term::Null,
        Value::Bool(value) => Term::Bool(*value),
        Value::Number(number) => number.as_f64().map_or(Term::Null, Term::Number),
        Value::String(text) if matches!(text.as_str(), "NaN" | "+Inf" | "-Inf" | "Inf") => {
            text.parse().map_or(Term::Text(text), Term::Number)
        }
        Value::String(text) => Term::Text(text),
        Value::Array(_) | Value::Object(_) => Term::Json(value),
    }
}

pub(super) fn field<'a>(term: &Term<'a>, name: &str) -> Result<Term<'a>> {
    match term {
        Term::Json(Value::Object(map)) => {
            map.get(name).map(json_term).ok_or_else(|| nothing(&format!("there is no field {name:?}")))
        }
        Term::Null => Err(nothing(&format!("nothing has no field {name:?}"))),
        other => Err(Fault::Wrong(format!("{} has no fields", kind(other)))),
    }
}

pub(super) fn index<'a>(term: &Term<'a>, at: &Term<'a>) -> Result<Term<'a>> {
    if let (Term::Json(Value::Object(_)), Term::Text(name)) = (term, at) {
        return field(term, name);
    }
    let place = sure(float(at)?)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 0 up, or no place"
    )]
    let index = (place >= 0.0 && place.fract() == 0.0).then_some(place as usize);
    let Some(index) = index else { return Err(Fault::Wrong(format!("{place} is no place in a list"))) };
    let element = match term {
        Term::List(items) => items.get(index).cloned(),
        Term::Json(Value::Array(items)) => items.get(index).map(json_term),
        Term::Null => None,
        other => return Err(Fault::Wrong(format!("{} has no elements", kind(other)))),
    };
    element.ok_or_else(|| nothing(&format!("there is no element {index}")))
}

pub(super) fn truth(term: &Term<'_>) -> Result<bool> {
    match term {
        Term::Bool(value) => Ok(*value),
        Term::Null => Err(nothing("nothing is neither true nor false")),
        other => Err(Fault::Wrong(format!("{} is neither true nor false", kind(other)))),
    }
}

/// A number, or one that a text spells.
pub(super) fn float(term: &Term<'_>) -> Result<f64> {
    spelled(term).ok_or_else(|| match term {
        Term::Null => nothing("there is no number"),
        other => Fault::Wrong(format!("{} is no number", kind(other))),
    })
}

pub(super) fn spelled(term: &Term<'_>) -> Option<f64> {
    match term {
        Term::Number(number) => Some(*number),
        Term::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// One that can be compared.
pub(super) fn sure(number: f64) -> Result<f64> {
    match number {
        _ if number.is_nan() => Err(nothing("NaN is compared")),
        _ if number.is_infinite() => Err(Fault::Wrong(format!("{number} is compared, which is no finite number"))),
        _ => Ok(number),
    }
}

pub(super) fn is_missing(term: &Term<'_>) -> bool {
    match term {
        Term::Null => true,
        Term::Number(number) => number.is_nan(),
        _ => false,
    }
}

pub(super) fn nothing(words: &str) -> Fault {
    Fault::NoData(words.to_owned())
}

pub(super) fn kind(term: &Term<'_>) -> &'static str {
    match term {
        Term::Null => "nothing",
        Term::Bool(_) => "true or false",
        Term::Number(_) => "a number",
        Term::Text(_) => "a text",
        Term::List(_) | Term::Json(Value::Array(_)) => "a list",
        Term::Json(_) => "a mapping",
    }
}
