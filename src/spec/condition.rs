//! `successCondition` and `failureCondition`: expressions on what was measured, in the syntax of the Common Expression
//! Language (<https://cel.dev>), which Envoy and Kubernetes use too.
//!
//! The parser is that of the `cel` crate. All numbers are doubles, so that `result > 1` and `result[0] * 100 >= 99.5`
//! mean what they say whatever a provider writes; what the expressions come to is in [`crate::analysis`].

use std::fmt;
use std::sync::Arc;

use cel::common::ast::{Expr, LiteralValue, SourceInfo, operators};
use cel::parser::{Expression, Parser};

use super::suggest;

/// Characters that a condition may have. It is one comparison or a few.
const MAX_LENGTH: usize = 500;

/// How deep brackets and `?:` may stand in each other, and how many signs there may be. The parser and whoever evaluates
/// go down one into the other, and some kilobytes of stack with each: a thread has 2 MiB.
const MAX_DEPTH: usize = 5;
const MAX_SIGNS: usize = 60;

/// The functions there are, with how many arguments they take.
const FUNCTIONS: [(&str, usize); 10] = [
    ("asFloat", 1),
    ("asInt", 1),
    ("default", 2),
    ("double", 1),
    ("int", 1),
    ("isInf", 1),
    ("isNaN", 1),
    ("isNil", 1),
    ("len", 1),
    ("size", 1),
];

const OPERATORS: [&str; 17] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
];

/// Operators that give no truth.
const NUMERIC: [&str; 6] = [
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];

/// What `all`, `exists`, `exists_one`, `map` and `filter` are called by in other languages, and here.
const ON_LISTS: [(&str, &str); 7] = [
    ("all", "result.all(x, x > 1)"),
    ("any", "result.exists(x, x > 1)"),
    ("none", "!result.exists(x, x > 1)"),
    ("one", "result.exists_one(x, x > 1)"),
    ("count", "size(result.filter(x, x > 1))"),
    ("map", "result.map(x, x * 100)"),
    ("filter", "result.filter(x, x > 1)"),
];

/// A condition that has been checked: it knows no name but `result` and those it binds, and no function that is not there.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    root: Arc<Expression>,
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line within the text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
}

impl Condition {
    /// Reads `text`.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let characters = text.chars().count();
        if characters > MAX_LENGTH {
            let message = format!("it has {characters} characters, {MAX_LENGTH} are allowed");
            return Err(Mistake { line: 1, column: 1, message, help: None });
        }
        if let Some(message) = too_much(text) {
            return Err(Mistake { line: 1, column: 1, message, help: Some("compute it in the query".to_owned()) });
        }
        let (root, places) = Parser::new().parse_with_source_info(text).map_err(|errors| unreadable(text, &errors))?;
        let mut checker = Checker { places: &places, bound: Vec::new(), looks: false };
        checker.check(&root)?;
        if !is_truth(&root) {
            let help = Some("compare it: result >= 0.95".to_owned());
            return Err(checker.mistake(&root, "a condition is true or false, this is neither", help));
        }
        if !checker.looks {
            let help = Some("e.g. result >= 0.95".to_owned());
            return Err(checker.mistake(&root, "it does not look at result", help));
        }
        Ok(Self { text: text.into(), root: Arc::new(root) })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression.
    #[must_use]
    pub fn root(&self) -> &Expression {
        &self.root
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

struct Checker<'a> {
    places: &'a SourceInfo,
    /// Names that the list macros around this place bind.
    bound: Vec<String>,
    /// It names `result`.
    looks: bool,
}

impl Checker<'_> {
    fn check(&mut self, node: &Expression) -> Result<(), Mistake> {
        match &node.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => {
                Err(self.mistake(node, "there are no bytes to compare with", None))
            }
            Expr::Literal(LiteralValue::Null) => {
                let help = Some("isNil(result) asks whether there is nothing".to_owned());
                Err(self.mistake(node, "nothing compares with null", help))
            }
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(node, name),
            Expr::Select(select) => self.check(&select.operand),
            Expr::List(list) if list.optional_indices.is_empty() => {
                list.elements.iter().try_for_each(|element| self.check(element))
            }
            Expr::Call(call) => {
                let target = call.target.as_deref();
                let operator = OPERATORS.contains(&call.func_name.as_str())
                    || [operators::IN, operators::NOT_STRICTLY_FALSE].contains(&call.func_name.as_str());
                if !operator {
                    self.function(node, &call.func_name, call.args.len() + usize::from(target.is_some()))?;
                }
                target.into_iter().chain(&call.args).try_for_each(|part| self.check(part))
            }
            Expr::Comprehension(part) => {
                self.check(&part.iter_range)?;
                self.check(&part.accu_init)?;
                let depth = self.bound.len();
                self.bound.extend([part.iter_var.clone(), part.accu_var.clone()]);
                self.bound.extend(part.iter_var2.clone());
                let inner = [&part.loop_cond, &part.loop_step, &part.result];
                let checked = inner.into_iter().try_for_each(|part| self.check(part));
                self.bound.truncate(depth);
                checked
            }
            Expr::Unspecified | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
                Err(self.mistake(node, "a condition compares numbers, text and lists", None))
            }
        }
    }

    fn name(&mut self, node: &Expression, name: &str) -> Result<(), Mistake> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        if name == "result" {
            self.looks = true;
            return Ok(());
        }
        let help = match name {
            "nil" | "null" => "isNil(result) asks whether there is nothing".to_owned(),
            _ => suggest::did_you_mean(name, ["result"]).unwrap_or_else(|| "what was measured is result".to_owned()),
        };
        Err(self.mistake(node, &format!("nothing is called {name:?}"), Some(help)))
    }

    fn function(&self, node: &Expression, name: &str, arguments: usize) -> Result<(), Mistake> {
        if let Some((_, takes)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            if *takes == arguments {
                return Ok(());
            }
            let message =
                format!("{name} takes {takes} argument{}, found {arguments}", if *takes == 1 { "" } else { "s" });
            return Err(self.mistake(node, &message, None));
        }
        let list = ON_LISTS.iter().find(|(other, _)| *other == name).map(|(_, here)| format!("write {here}"));
        let names = FUNCTIONS.iter().map(|(name, _)| *name);
        let help = list.or_else(|| suggest::or_list(name, "there are", names));
        Err(self.mistake(node, &format!("there is no function {name:?}"), help))
    }

    fn mistake(&self, node: &Expression, message: &str, help: Option<String>) -> Mistake {
        let start = self.places.offset_for(node.id).map_or(0, |(start, _)| usize::try_from(start).unwrap_or_default());
        let before: String = self.places.source.chars().take(start).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        Mistake { line, column, message: message.to_owned(), help }
    }
}

/// Why the stack could be too small for it. Brackets within text count too: nobody has many there.
fn too_much(text: &str) -> Option<String> {
    let signs = text.chars().filter(char::is_ascii_punctuation).count();
    if signs > MAX_SIGNS {
        return Some(format!("it has {signs} signs, {MAX_SIGNS} are allowed"));
    }
    let (mut open, mut deepest) = (0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => open += 1,
            // Whatever stands behind it stands in it.
            '?' => open += 2,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    (deepest > MAX_DEPTH).then(|| format!("brackets and ?: stand {deepest} deep in it, {MAX_DEPTH} are allowed"))
}

/// Whether an expression can be true or false.
fn is_truth(node: &Expression) -> bool {
    match &node.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) => false,
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => call.args.iter().skip(1).all(is_truth),
        Expr::Call(call) => {
            let number = ["asFloat", "asInt", "double", "int", "len", "size"];
            !NUMERIC.contains(&call.func_name.as_str()) && !number.contains(&call.func_name.as_str())
        }
        _ => true,
    }
}

fn unreadable(text: &str, errors: &cel::ParseErrors) -> Mistake {
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let whole = |number: isize| usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(1);
    let message = first.map_or("it cannot be read", |error| error.msg.as_str());
    // The parser lists all that could have stood there.
    let message = message.split(" expecting {").next().unwrap_or(message).replace("Syntax error: ", "");
    Mistake { line: whole(line), column: whole(column), message, help: meant(text) }
}

/// What was probably meant: expressions of Argo Rollouts are in another language, <https://expr-lang.org>.
fn meant(text: &str) -> Option<String> {
    let padded = format!(" {text} ");
    let list = ON_LISTS.iter().find(|(name, _)| text.contains(&format!("{name}(result")));
    let help = match list {
        Some((_, here)) => format!("write {here}"),
        None if text.contains('#') => "write result.all(x, x > 1)".to_owned(),
        None if padded.contains(" and ") => "write && for and".to_owned(),
        None if padded.contains(" or ") => "write || for or".to_owned(),
        None if padded.contains(" not ") => "write ! for not".to_owned(),
        None if text.contains("??") => "write default(result, 0) for what may be missing".to_owned(),
        None if text.contains("?.") => "write has(result.a) to ask whether it is there".to_owned(),
        None if padded.contains(" | ") => "write f(result) for result | f()".to_owned(),
        None if padded.contains(" = ") => "write == to compare".to_owned(),
        None => return None,
    };
    Some(help)
}

#[cfg(test)]
mod tests;
