//! One YAML or JSON document to a JSON value, by the reader of all other files: each key once, numbers as written.

use serde_json::Value;

use crate::spec::yaml::{self, Data, Node};

/// The only document of `text`, or its mistakes in words, with line and column.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let (documents, mistakes) = yaml::parse(text);
    if !mistakes.is_empty() {
        let told = mistakes.iter().map(|mistake| {
            format!("line {}, column {}: {}", mistake.position.line, mistake.position.column, mistake.message)
        });
        return Err(told.collect::<Vec<_>>().join("; "));
    }
    match &documents[..] {
        [document] => json(document),
        _ => Err(format!("{} documents, and one is expected", documents.len())),
    }
}

fn json(node: &Node) -> Result<Value, String> {
    Ok(match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Number(text) => serde_json::from_str(text).map_err(|_| {
            format!("line {}, column {}: write {text} in decimal", node.position.line, node.position.column)
        })?,
        Data::String(text) => Value::String(text.clone()),
        Data::Sequence(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Data::Mapping(entries) => {
            let entries = entries.iter().map(|entry| Ok((entry.key.clone(), json(&entry.value)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
    })
}
