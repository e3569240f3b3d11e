//! Any text at all, read as the files of a directory: it must end, without a panic, and every mistake must have a place
//! in the text. What is read without a mistake must encode, decode and print, and be taken into service.
//!
//! One input is several files, with a line `#####` between them.
//!
//! `cargo +nightly fuzz run yaml_loader fuzz/corpus/yaml_loader fuzz/seeds/yaml_loader`

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use prost_reflect::{DynamicMessage, ReflectMessage};
use serin::spec::{
    Admission, Admitted, Diagnostic, Files, Options, Severity, admit, canonical, check_files, json, parse_file,
};

const BETWEEN_FILES: &str = "\n#####\n";

fuzz_target!(|input: &str| {
    let texts = input.split(BETWEEN_FILES).enumerate();
    let files: Files = texts.map(|(i, text)| (format!("{i}.yaml").into(), text.into())).collect();
    let mut mistakes = Vec::new();
    for (path, text) in &files {
        let (file, diagnostics) = parse_file(path, text);
        for resource in &file.resources {
            let bytes = canonical::encode(&resource.message);
            let decoded = DynamicMessage::decode(resource.message.descriptor(), bytes.clone()).expect("decodes");
            assert_eq!(canonical::encode(&decoded), bytes);
            json::to_value(&resource.message).expect("what was read can be printed");
        }
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.file == *path));
        mistakes.extend(diagnostics);
    }

    let options = Options::default();
    let diagnostics = check_files(&files, &options);
    assert!(mistakes.iter().all(|mistake| diagnostics.contains(mistake)), "a file's own mistakes are all told");
    assert!(diagnostics.is_sorted());
    for diagnostic in &diagnostics {
        check_place(diagnostic, &files[&diagnostic.file]);
    }
    let good = diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning);
    assert_eq!(Admitted::restore(&files, &options).is_ok(), good);
    match admit(&Admitted::default(), &files, &BTreeMap::new(), &options) {
        Admission::Ready { held_back, .. } => assert!(good && held_back.is_empty()),
        Admission::NotReady { diagnostics: told } => assert_eq!(told, diagnostics),
    }
});

/// A place is in the text, or on the line behind its end; what was found is a line at most.
fn check_place(diagnostic: &Diagnostic, text: &Arc<str>) {
    // YAML also takes a carriage return alone for the end of a line.
    let lines = text.matches(['\n', '\r']).count() + 1;
    assert!(diagnostic.line >= 1 && diagnostic.line as usize <= lines + 1, "{diagnostic} of {lines} lines");
    assert!(diagnostic.column >= 1, "{diagnostic}");
    assert!(!diagnostic.found.contains('\n') && !diagnostic.message.is_empty(), "{diagnostic:?}");
    let _ = diagnostic.to_string();
}
