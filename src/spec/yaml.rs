//! YAML text to a tree in which every node knows its place.
//!
//! Scalars are resolved by the YAML 1.2 core schema; numbers stay text, so that no digit is lost. Aliases are
//! expanded; merge keys are refused. Size and depth are bounded, so that a hostile file costs an error and no more.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Nodes of one file, aliases expanded: bounds what a chain of aliases can cost.
const MAX_NODES: usize = 1_000_000;

/// Depth of nesting: Envoy's deepest sensible resources stay under 40.
const MAX_DEPTH: usize = 100;

/// Characters of a text that an error message repeats.
const MAX_FOUND: usize = 120;

/// A place in the text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// What it is.
    pub data: Data,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer or float, as written.
    Number(String),
    /// Text, quoted or plain.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys in the order of the file, each once.
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as text.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// Its value.
    pub value: Node,
}

/// A mistake of syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub position: Position,
    /// What, in words.
    pub message: String,
    /// Whether the document it is in is lost, with all that follows.
    pub ends_reading: bool,
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if this is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// `true` or `false`; for anything else what its writer may have meant, where that can be told.
    pub(super) fn boolean(&self) -> Result<bool, Option<String>> {
        let meant = match &self.data {
            Data::Bool(value) => return Ok(*value),
            Data::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some("write true, without quotes".to_owned()),
                "false" | "no" | "off" | "n" => Some("write false, without quotes".to_owned()),
                _ => None,
            },
            _ => None,
        };
        Err(meant)
    }

    /// What stands there, in the words of an error message: scalars as written (long text is cut), the rest by kind.
    #[must_use]
    pub fn found(&self) -> String {
        match &self.data {
            Data::Null => "nothing".into(),
            Data::Bool(value) => value.to_string(),
            Data::Number(text) => text.clone(),
            Data::String(text) => {
                let line = text.lines().next().unwrap_or_default();
                match line.char_indices().nth(MAX_FOUND) {
                    Some((end, _)) => format!("{:?}...", &line[..end]),
                    None => format!("{line:?}"),
                }
            }
            Data::Sequence(_) => "a list".into(),
            Data::Mapping(_) => "a mapping".into(),
        }
    }
}

/// The documents of `text`, and what is wrong with it. A mistake of syntax ends the reading: what came before it is
/// returned, and the file must not be used.
#[must_use]
pub fn parse(text: &str) -> (Vec<Node>, Vec<Mistake>) {
    let mut composer = Composer::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let result = match next {
            Ok((event, span)) => composer.event(event, span),
            Err(error) => Err(mistake(position_at(error.marker().line(), error.marker().col()), error.info())),
        };
        if let Err(mistake) = result {
            composer.mistakes.push(Mistake { ends_reading: true, ..mistake });
            break;
        }
    }
    (composer.documents, composer.mistakes)
}

/// A collection that is being read.
enum Frame {
    Sequence { position: Position, anchor: usize, items: Vec<Node> },
    Mapping { position: Position, anchor: usize, entries: Vec<Entry>, key: Option<(String, Position)> },
}

#[derive(Default)]
struct Composer {
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, usize)>,
    documents: Vec<Node>,
    mistakes: Vec<Mistake>,
    nodes: usize,
}

impl Composer {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let position = position_at(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let data = match tag {
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Data::String(text.into_owned()),
                    Some(tag) => {
                        return Err(mistake(
                            position,
                            format!("tags such as {}{} are not used here", tag.handle, tag.suffix),
                        ));
                    }
                    None if style == ScalarStyle::Plain => plain(&text),
                    None => Data::String(text.into_owned()),
                };
                self.value(Node { position, data }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => {
                self.open(Frame::Sequence { position, anchor, items: Vec::new() }, position)
            }
            Event::MappingStart(anchor, _) => {
                self.open(Frame::Mapping { position, anchor, entries: Vec::new(), key: None }, position)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Sequence { position, anchor, items }) => {
                    let size = 1 + items.len();
                    self.value(Node { position, data: Data::Sequence(items) }, anchor, size)
                }
                Some(Frame::Mapping { position, anchor, mut entries, .. }) => {
                    let size = 1 + entries.len();
                    self.take_out_repeated(&mut entries);
                    self.value(Node { position, data: Data::Mapping(entries) }, anchor, size)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some((node, size)) => {
                    let (node, size) = (node.clone(), *size);
                    self.value(node, 0, size)
                }
                None => Err(mistake(position, "an alias must stand after the anchor it names, not inside it")),
            },
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame, position: Position) -> Result<(), Mistake> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(mistake(position, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Puts a finished node where it belongs. `size` counts its own nodes, for the budget.
    fn value(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Mistake> {
        // What an anchor names is kept a second time.
        let kept = if anchor == 0 { 0 } else { count(&node) };
        self.nodes += size + kept;
        if self.nodes > MAX_NODES {
            return Err(mistake(node.position, format!("more than {MAX_NODES} values in one file, aliases expanded")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), kept));
        }
        match self.stack.last_mut() {
            None => self.documents.push(node),
            Some(Frame::Sequence { items, .. }) => items.push(node),
            Some(Frame::Mapping { entries, key, .. }) => match key.take() {
                None => {
                    let text = match &node.data {
                        Data::String(text) | Data::Number(text) => text.clone(),
                        Data::Bool(value) => value.to_string(),
                        _ => return Err(mistake(node.position, format!("a key must be text, not {}", node.found()))),
                    };
                    if text == "<<" {
                        return Err(mistake(node.position, "merge keys (<<) are not supported: write the fields out"));
                    }
                    *key = Some((text, node.position));
                }
                Some((key, position)) => entries.push(Entry { key, position, value: node }),
            },
        }
        Ok(())
    }

    /// Leaves each key once, the first time it stands there.
    fn take_out_repeated(&mut self, entries: &mut Vec<Entry>) {
        let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
        let mut repeated = BTreeSet::new();
        for (index, Entry { key, position, .. }) in entries.iter().enumerate() {
            match lines.get(key.as_str()) {
                Some(line) => {
                    repeated.insert(index);
                    let message = format!("{key:?} stands here a second time, first at line {line}");
                    self.mistakes.push(mistake(*position, message));
                }
                None => {
                    lines.insert(key, position.line);
                }
            }
        }
        let mut index = 0..;
        entries.retain(|_| index.next().is_none_or(|index| !repeated.contains(&index)));
    }
}

fn count(node: &Node) -> usize {
    match &node.data {
        Data::Sequence(items) => 1 + items.iter().map(count).sum::<usize>(),
        Data::Mapping(entries) => 1 + entries.iter().map(|entry| count(&entry.value)).sum::<usize>(),
        _ => 1,
    }
}

/// The YAML 1.2 core schema, <https://yaml.org/spec/1.2.2/#103-core-schema>.
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ if is_number(text) => Data::Number(text.to_owned()),
        _ => Data::String(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'))
        && unsigned.parse::<f64>().is_ok()
}

fn mistake(position: Position, message: impl Into<String>) -> Mistake {
    Mistake { position, message: message.into(), ends_reading: false }
}

fn position_at(line: usize, column: usize) -> Position {
    let saturate = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: saturate(line), column: saturate(column).saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn one(text: &str) -> Node {
        let (mut documents, mistakes) = parse(text);
        assert_eq!(mistakes, []);
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn wrong(text: &str) -> Mistake {
        let (_, mut mistakes) = parse(text);
        assert!(!mistakes.is_empty(), "no mistake in {text:?}");
        mistakes.remove(0)
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = one("a: 1\nb:\n  - x\n  - c: yes\n");
        let Some(Data::Sequence(items)) = node.get("b").map(|b| &b.data) else { panic!("{node:?}") };
        assert_eq!(items[0].position, Position { line: 3, column: 5 });
        let entry = items[1].entry("c").expect("c");
        assert_eq!(entry.position, Position { line: 4, column: 5 });
        assert_eq!(entry.value.position, Position { line: 4, column: 8 });
        assert_eq!(entry.value.data, Data::String("yes".into()));
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for (text, data) in [
            ("~", Data::Null),
            ("True", Data::Bool(true)),
            ("12", Data::Number("12".into())),
            ("-1.5e3", Data::Number("-1.5e3".into())),
            ("0x1F", Data::Number("0x1F".into())),
            ("\"12\"", Data::String("12".into())),
            ("10.0.0.1", Data::String("10.0.0.1".into())),
            ("1s", Data::String("1s".into())),
            ("18446744073709551615", Data::Number("18446744073709551615".into())),
        ] {
            assert_eq!(one(text).data, data, "{text}");
        }
    }

    #[test]
    fn documents_anchors_and_json_are_read() {
        assert_eq!(parse("a: 1\n---\nb: 2\n").0.len(), 2);
        assert_eq!(
            one("a: &x {p: 1}\nb: *x\n").get("b").and_then(|b| b.get("p")).map(|p| &p.data),
            Some(&Data::Number("1".into()))
        );
        assert_eq!(one("{\"a\": [1, null, \"t\"]}").get("a").map(Node::found), Some("a list".into()));
    }

    #[test]
    fn mistakes_say_where() {
        assert_eq!(wrong("a: 1\nb: 2\na: 3\n").position, Position { line: 3, column: 1 });
        assert_eq!(wrong("a: 1\n  b: [2\n").position.line, 2);
        assert!(wrong("a: {<<: {b: 1}}").message.contains("merge keys"));
        assert!(wrong(&"- ".repeat(MAX_DEPTH + 1)).message.contains("nested deeper"));
        assert_eq!(wrong(&"[".repeat(100_000)).position.line, 1);
    }

    #[test]
    fn anchors_within_anchors_are_cut_off() {
        let text = format!("{}[x{}]{}", "[&a ".repeat(50), ", x".repeat(30_000), "]".repeat(50));
        assert!(wrong(&text).message.contains("aliases expanded"));
    }

    #[test]
    fn many_keys_take_no_time() {
        let mut text = String::new();
        for n in 0..100_000 {
            writeln!(text, "k{n}: {n}").expect("text");
        }
        let (documents, mistakes) = parse(&format!("{text}k7: again\n"));
        assert_eq!(
            mistakes,
            [mistake(Position { line: 100_001, column: 1 }, "\"k7\" stands here a second time, first at line 8")]
        );
        assert_eq!(documents[0].get("k7").map(Node::found), Some("7".into()));
    }

    #[test]
    fn a_chain_of_aliases_is_cut_off() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            writeln!(text, "a{i}: &a{i} [{refs}]").expect("text");
        }
        assert!(wrong(&text).message.contains("aliases expanded"));
    }
}
