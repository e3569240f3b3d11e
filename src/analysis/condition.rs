//! What conditions come to on measured values.
//!
//! Stricter than CEL in one thing: what is not there is never compared. A comparison that looks at a NaN, at null, at a
//! field or an element that is not there, or a list macro on an empty list, makes the whole condition one without data,
//! whatever else it says: `!(result < 0.9)` is not true of a NaN, and `result.all(x, x < 5)` not of nothing. Only what
//! asks for it (`isNaN`, `isNil`, `default`, `len`, `has`) gets an answer, and `&&`, `||` and `?:` look no further than
//! they must, from left to right.

mod term;

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, SelectExpr, operators};
use cel::parser::Expression;
use serde_json::Value;

use crate::spec::Condition;
use term::{Term, field, float, index, is_missing, json_term, kind, literal_term, nothing, spelled, sure, truth};

/// Parts that are looked at in one evaluation. A list of 10,000 values is compared with less than a tenth of it.
const MAX_STEPS: u32 = 1_000_000;

/// Why a condition is neither true nor false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It looks at something that was not measured.
    NoData(String),
    /// It does something that cannot be done.
    Wrong(String),
}

type Result<T> = std::result::Result<T, Fault>;

/// Whether `condition` holds of `result`.
pub(super) fn holds(condition: &Condition, result: &Value) -> Result<bool> {
    let mut scope = Scope { result, bound: Vec::new(), steps: MAX_STEPS };
    truth(&scope.term(condition.root())?)
}

/// The number that `value` is, or that a text spells, as Prometheus does: `"NaN"`, `"+Inf"`.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Whether nothing at all was measured: nothing, no element, or NaN alone.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_nothing),
        other => number(other).is_some_and(f64::is_nan),
    }
}

struct Scope<'a> {
    result: &'a Value,
    /// Innermost last.
    bound: Vec<(&'a str, Term<'a>)>,
    steps: u32,
}

impl<'a> Scope<'a> {
    fn term(&mut self, node: &'a Expression) -> Result<Term<'a>> {
        self.pay(1)?;
        match &node.expr {
            Expr::Literal(literal) => Ok(literal_term(literal)),
            Expr::Ident(name) => Ok(self.named(name)),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => {
                let elements: Result<Vec<_>> = list.elements.iter().map(|element| self.term(element)).collect();
                Ok(Term::List(Rc::new(elements?)))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            // Refused when the condition is read.
            Expr::Unspecified | Expr::Map(_) | Expr::Struct(_) => {
                Err(Fault::Wrong("it cannot be evaluated".to_owned()))
            }
        }
    }

    fn pay(&mut self, steps: usize) -> Result<()> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps =
            left.ok_or_else(|| Fault::Wrong("there is too much to compare: aggregate in the query".to_owned()))?;
        Ok(())
    }

    fn named(&self, name: &str) -> Term<'a> {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name).map(|(_, term)| term.clone());
        bound.unwrap_or_else(|| json_term(self.result))
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<Term<'a>> {
        let operand = self.term(&select.operand);
        if select.test {
            let there =
                |term: Term<'a>| matches!(term, Term::Json(Value::Object(map)) if map.contains_key(&select.field));
            return match operand {
                Ok(term) => Ok(Term::Bool(there(term))),
                Err(Fault::NoData(_)) => Ok(Term::Bool(false)),
                Err(fault) => Err(fault),
            };
        }
        field(&operand?, &select.field)
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Term<'a>> {
        let parts: Vec<&'a Expression> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let name = call.func_name.as_str();
        match (name, &parts[..]) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let chosen = if truth(&self.term(condition)?)? { yes } else { no };
                self.term(chosen)
            }
            (operators::LOGICAL_OR, [left, right]) => {
                Ok(Term::Bool(truth(&self.term(left)?)? || truth(&self.term(right)?)?))
            }
            (operators::LOGICAL_AND, [left, right]) => {
                Ok(Term::Bool(truth(&self.term(left)?)? && truth(&self.term(right)?)?))
            }
            ("default", [value, other]) => match self.term(value) {
                Ok(term) if !is_missing(&term) => Ok(term),
                Ok(_) | Err(Fault::NoData(_)) => self.term(other),
                Err(fault) => Err(fault),
            },
            ("isNil", [value]) => match self.term(value) {
                Ok(term) => Ok(Term::Bool(matches!(term, Term::Null))),
                Err(Fault::NoData(_)) => Ok(Term::Bool(true)),
                Err(fault) => Err(fault),
            },
            (_, [value]) => {
                let value = self.term(value)?;
                self.one(name, &value)
            }
            (_, [left, right]) => {
                let (left, right) = (self.term(left)?, self.term(right)?);
                self.two(name, &left, &right)
            }
            _ => Err(Fault::Wrong(format!("{name} does not take {} values", parts.len()))),
        }
    }

    fn one(&mut self, name: &str, value: &Term<'a>) -> Result<Term<'a>> {
        Ok(match name {
            operators::LOGICAL_NOT => Term::Bool(!truth(value)?),
            // Lets a list macro end early.
            operators::NOT_STRICTLY_FALSE => Term::Bool(!matches!(value, Term::Bool(false))),
            operators::NEGATE => Term::Number(-float(value)?),
            "isNaN" => Term::Bool(float(value)?.is_nan()),
            "isInf" => Term::Bool(float(value)?.is_infinite()),
            "asFloat" | "double" => Term::Number(float(value)?),
            "asInt" | "int" => Term::Number(float(value)?.trunc()),
            "len" | "size" => {
                #[expect(clippy::cast_precision_loss, reason = "no answer holds 2^53 of anything")]
                let size = self.size(value)? as f64;
                Term::Number(size)
            }
            _ => return Err(Fault::Wrong(format!("there is no function {name:?}"))),
        })
    }

    fn two(&mut self, name: &str, left: &Term<'a>, right: &Term<'a>) -> Result<Term<'a>> {
        Ok(match name {
            operators::EQUALS => Term::Bool(self.equal(left, right)?),
            operators::NOT_EQUALS => Term::Bool(!self.equal(left, right)?),
            operators::LESS => Term::Bool(self.order(left, right)?.is_lt()),
            operators::LESS_EQUALS => Term::Bool(self.order(left, right)?.is_le()),
            operators::GREATER => Term::Bool(self.order(left, right)?.is_gt()),
            operators::GREATER_EQUALS => Term::Bool(self.order(left, right)?.is_ge()),
            operators::IN => {
                let items = self.items(right)?;
                let mut found = false;
                for item in items.iter() {
                    found |= self.equal(left, item)?;
                }
                Term::Bool(found)
            }
            operators::INDEX => index(left, right)?,
            operators::ADD => match (left, right) {
                (Term::List(_) | Term::Json(Value::Array(_)), _) => {
                    let (mut all, more) = (self.items(left)?, self.items(right)?);
                    self.pay(all.len() + more.len())?;
                    Rc::make_mut(&mut all).extend(more.iter().cloned());
                    Term::List(all)
                }
                _ => Term::Number(float(left)? + float(right)?),
            },
            operators::SUBSTRACT => Term::Number(float(left)? - float(right)?),
            operators::MULTIPLY => Term::Number(float(left)? * float(right)?),
            operators::DIVIDE => Term::Number(float(left)? / float(right)?),
            operators::MODULO => Term::Number(float(left)? % float(right)?),
            _ => return Err(Fault::Wrong(format!("there is no function {name:?}"))),
        })
    }

    /// What the macros `all`, `exists`, `exists_one`, `map` and `filter` stand for.
    fn comprehension(&mut self, part: &'a ComprehensionExpr) -> Result<Term<'a>> {
        let range = self.term(&part.iter_range)?;
        let items = self.items(&range)?;
        if items.is_empty() {
            return Err(Fault::NoData("there is no element to look at".to_owned()));
        }
        let start = self.term(&part.accu_init)?;
        let depth = self.bound.len();
        let outcome = self.fold(part, &items, start);
        self.bound.truncate(depth);
        outcome
    }

    fn fold(&mut self, part: &'a ComprehensionExpr, items: &[Term<'a>], start: Term<'a>) -> Result<Term<'a>> {
        let depth = self.bound.len();
        let mut so_far = start;
        for item in items {
            self.bound.push((&part.accu_var, so_far.clone()));
            if !truth(&self.term(&part.loop_cond)?)? {
                break;
            }
            self.bound.push((&part.iter_var, item.clone()));
            so_far = self.term(&part.loop_step)?;
            self.bound.truncate(depth);
        }
        self.bound.truncate(depth);
        self.bound.push((&part.accu_var, so_far));
        self.term(&part.result)
    }

    fn items(&mut self, term: &Term<'a>) -> Result<Rc<Vec<Term<'a>>>> {
        match term {
            Term::List(items) => Ok(Rc::clone(items)),
            Term::Json(Value::Array(items)) => {
                self.pay(items.len())?;
                Ok(Rc::new(items.iter().map(json_term).collect()))
            }
            Term::Null => Err(nothing("there is no list")),
            other => Err(Fault::Wrong(format!("{} is no list", kind(other)))),
        }
    }

    fn size(&mut self, term: &Term<'a>) -> Result<usize> {
        match term {
            Term::Text(text) => {
                self.pay(text.len())?;
                Ok(text.chars().count())
            }
            Term::List(items) => Ok(items.len()),
            Term::Json(Value::Array(items)) => Ok(items.len()),
            Term::Json(Value::Object(map)) => Ok(map.len()),
            Term::Null => Err(nothing("nothing has no size")),
            other => Err(Fault::Wrong(format!("{} has no size", kind(other)))),
        }
    }

    /// Numbers by their value, texts by theirs. What was not measured equals nothing, and differs from nothing.
    fn equal(&mut self, left: &Term<'a>, right: &Term<'a>) -> Result<bool> {
        self.pay(1)?;
        if let (Term::Text(left), Term::Text(right)) = (left, right) {
            self.pay(left.len().min(right.len()))?;
            return Ok(left == right);
        }
        // Texts that are numbers, for whoever writes "200" for 200.
        match (spelled(left), spelled(right)) {
            (Some(left), Some(right)) => {
                return Ok(sure(left)?.partial_cmp(&sure(right)?).is_some_and(Ordering::is_eq));
            }
            (Some(number), None) | (None, Some(number)) => {
                sure(number)?;
            }
            (None, None) => {}
        }
        match (left, right) {
            (Term::Null, _) | (_, Term::Null) => Err(nothing("nothing is compared")),
            (Term::Bool(left), Term::Bool(right)) => Ok(left == right),
            (Term::List(_) | Term::Json(Value::Array(_)), Term::List(_) | Term::Json(Value::Array(_))) => {
                let (left, right) = (self.items(left)?, self.items(right)?);
                let mut same = left.len() == right.len();
                for (left, right) in left.iter().zip(right.iter()) {
                    same &= self.equal(left, right)?;
                }
                Ok(same)
            }
            (left, right) => Err(Fault::Wrong(format!("{} and {} do not compare", kind(left), kind(right)))),
        }
    }

    fn order(&mut self, left: &Term<'a>, right: &Term<'a>) -> Result<Ordering> {
        if let (Term::Text(left), Term::Text(right)) = (left, right)
            && (left.parse::<f64>().is_err() || right.parse::<f64>().is_err())
        {
            self.pay(left.len().min(right.len()))?;
            return Ok(left.cmp(right));
        }
        let (left, right) = (sure(float(left)?)?, sure(float(right)?)?);
        // Both are finite: they compare.
        Ok(left.partial_cmp(&right).unwrap_or(Ordering::Equal))
    }
}

#[cfg(test)]
mod tests;
