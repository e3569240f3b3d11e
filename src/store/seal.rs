//! The form of a document: `{"schema": 1, "sha256": "...", "body": ...}`, indented for people.
//!
//! Pure. The checksum is over the body as compact JSON, keys in the order in which its type gives them, so white space
//! does not count but every value does.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not JSON of this form, in the parser's words: cut off, or not ours.
    #[error("{0}")]
    Form(String),
    /// The body is not the one that was sealed.
    #[error("its content does not match its checksum")]
    Checksum,
    /// Another rollout's record, under this one's name.
    #[error("it is the record of {0:?}")]
    Name(String),
    /// A schema that never was.
    #[error("unknown schema {0}")]
    Schema(u32),
}

/// Why a document was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It is damaged.
    Flaw(Flaw),
    /// A later serin sealed it, with this schema.
    Newer(u32),
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    schema: u32,
    sha256: String,
    body: T,
}

/// The part of a document that every schema has.
#[derive(Deserialize)]
struct Stamp {
    schema: u32,
}

/// The document that holds `body`.
pub(super) fn seal<T: Serialize>(schema: u32, body: T) -> serde_json::Result<Vec<u8>> {
    Ok(seal_with_checksum(schema, body)?.0)
}

/// [`seal`], and the checksum in the document.
pub(super) fn seal_with_checksum<T: Serialize>(schema: u32, body: T) -> serde_json::Result<(Vec<u8>, String)> {
    let sha256 = checksum(&body)?;
    let mut document = serde_json::to_vec_pretty(&Sealed { schema, sha256: sha256.clone(), body })?;
    document.push(b'\n');
    Ok((document, sha256))
}

/// The body that `document` holds, if it has this schema.
pub(super) fn unseal<T: Serialize + DeserializeOwned>(schema: u32, document: &[u8]) -> Result<T, Unopened> {
    Ok(unseal_with_checksum(schema, document)?.0)
}

/// [`unseal`], and the checksum in the document.
pub(super) fn unseal_with_checksum<T: Serialize + DeserializeOwned>(
    schema: u32,
    document: &[u8],
) -> Result<(T, String), Unopened> {
    let flaw = |error: serde_json::Error| Unopened::Flaw(Flaw::Form(error.to_string()));
    let stamp: Stamp = serde_json::from_slice(document).map_err(flaw)?;
    if stamp.schema > schema {
        return Err(Unopened::Newer(stamp.schema));
    }
    if stamp.schema < schema {
        return Err(Unopened::Flaw(Flaw::Schema(stamp.schema)));
    }
    let sealed: Sealed<T> = serde_json::from_slice(document).map_err(flaw)?;
    if checksum(&sealed.body).map_err(flaw)? != sealed.sha256 {
        return Err(Unopened::Flaw(Flaw::Checksum));
    }
    Ok((sealed.body, sealed.sha256))
}

/// Of a body: what tells it from others.
pub(super) fn checksum<T: Serialize>(body: &T) -> serde_json::Result<String> {
    Ok(format!("{:x}", Sha256::digest(serde_json::to_vec(body)?)))
}
