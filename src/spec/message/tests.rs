//! Whole messages: each kind of mistake at its place, real configurations, and there and back again.

mod examples;
mod mistakes;
mod round_trip;

use prost_reflect::DynamicMessage;

use super::read;
use crate::spec::diagnostic::{Diagnostic, Reporter};
use crate::spec::{descriptor, yaml};

/// `text` read as the message of that name.
fn read_text(name: &str, text: &str) -> (Option<DynamicMessage>, Vec<Diagnostic>) {
    let (nodes, mistakes) = yaml::parse(text);
    assert_eq!(mistakes, [], "{text}");
    let mut reporter = Reporter::new("f".into());
    let message = read(&nodes[0], &descriptor::message(name).expect(name), &mut reporter);
    (message, reporter.into_diagnostics())
}

/// The message, of a text without a mistake.
fn good(name: &str, text: &str) -> DynamicMessage {
    let (message, diagnostics) = read_text(name, text);
    assert_eq!(diagnostics, [], "{text}");
    message.expect("a message where there is no mistake")
}
