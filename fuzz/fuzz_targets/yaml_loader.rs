//! Any text at all, read as a file of Envoy resources: it must end, without a panic, and every mistake must have a
//! place. What is read without a mistake must encode, decode and print.
//!
//! `cargo +nightly fuzz run yaml_loader fuzz/corpus/yaml_loader fuzz/seeds/yaml_loader`

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use prost_reflect::{DynamicMessage, ReflectMessage};
use serin::spec::{Reporter, canonical, json, resources, yaml};

fuzz_target!(|text: &str| {
    let (documents, mistakes) = yaml::parse(text);
    assert!(mistakes.iter().all(|mistake| mistake.position.column >= 1));
    let mut reporter = Reporter::new("fuzz.yaml".into());
    for document in &documents {
        for resource in resources::read(document, &Arc::default(), &mut reporter) {
            let bytes = canonical::encode(&resource.message);
            let decoded = DynamicMessage::decode(resource.message.descriptor(), bytes.clone()).expect("decodes");
            assert_eq!(canonical::encode(&decoded), bytes);
            json::to_value(&resource.message).expect("what was read can be printed");
        }
    }
    assert!(reporter.into_diagnostics().iter().all(|diagnostic| diagnostic.line >= 1 && diagnostic.column >= 1));
});
